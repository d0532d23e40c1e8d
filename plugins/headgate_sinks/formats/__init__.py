"""How events are written: JSON lines, rows, flat objects and files."""

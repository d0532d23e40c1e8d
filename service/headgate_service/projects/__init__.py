"""Projects, their keys, members and usage."""

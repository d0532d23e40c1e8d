"""Measures Headgate, its peers and its ceilings on one machine: `python -m bench --help`."""

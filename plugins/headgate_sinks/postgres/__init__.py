"""The `postgres` sink: a row per event in a table of PostgreSQL."""

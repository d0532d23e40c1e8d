"""Queries of a project's events: the grammar, the SQL, the answers."""

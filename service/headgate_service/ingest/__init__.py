"""Ingestion: authenticate, decide, append, answer."""

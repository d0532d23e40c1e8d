"""Reads JSON documents, times and what browsers add, and writes events."""

"""One ingestion API per file. Each is registered exactly as a plugin of another package is."""

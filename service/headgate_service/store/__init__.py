"""The embedded analytics store: the engine, its HTTP server, its schema and its client."""

"""The analytics store: the embedded engine and its HTTP front, the schema of its table, and the client of queries."""

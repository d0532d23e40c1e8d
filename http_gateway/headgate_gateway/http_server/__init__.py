"""The HTTP connection: everything that touches private parts of uvicorn."""

"""`headgate up` and the processes that it supervises."""

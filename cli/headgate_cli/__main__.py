"""`python -m headgate_cli` is `headgate`: this is how `headgate up` starts its children."""

from headgate_cli.main import app

app(prog_name="headgate")

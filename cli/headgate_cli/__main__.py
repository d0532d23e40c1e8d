"""`python -m headgate_cli` is `headgate`."""

from headgate_cli.main import app

app(prog_name="headgate")

"""What a shell offers while a command is typed."""

import os
import subprocess
import sys


def offered(words: str) -> list[str]:
    environment = {**os.environ, "_HEADGATE_COMPLETE": "complete_bash", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    command = [sys.executable, "-c", "from headgate_cli.main import app; app(prog_name='headgate')"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.split()


def test_commands_and_what_their_arguments_may_be_are_offered() -> None:
    assert offered("headgate pro") == ["project"]
    assert offered("headgate key ro") == ["rotate"]
    assert offered("headgate key create --kind se") == ["secret"]
    assert set(offered("headgate member set a@example.com ")) == {"viewer", "member", "admin", "owner"}

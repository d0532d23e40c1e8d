"""headgate.yaml as `headgate deploy` reads it: compiled, and checked as the service will."""

import os
from pathlib import Path

from headgate_service.policy.compiled_config import CompiledConfig
from headgate_service.policy.headgate_yaml import compile_yaml
from headgate_service.policy.invalid import PolicyInvalid
from headgate_service.policy.policy import Policy

from headgate_cli.admin_socket import fail


def read_config(file: Path) -> CompiledConfig:
    """The compiled config of a file. What is wrong with it is said on stderr and ends the command."""

    def read_beside(name: str) -> str:
        return (file.parent / name).read_text(encoding="utf-8")

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", 2)
    except UnicodeDecodeError:
        fail(f"{file} is not UTF-8", 2)
    try:
        compiled = compile_yaml(text, read_beside, os.environ)
        # Whose hashes these would be matters to nobody here.
        Policy.parse(compiled.canonical(), project_id="", secret=b"")
    except PolicyInvalid as error:
        fail("\n  ".join([f"{file} is not valid, and nothing was deployed:", *map(str, error.faults)]))
    return compiled

"""The login of a person: which Headgate, and the token that opens it."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = "HEADGATE_CREDENTIALS"


class LoginUnreadable(Exception):
    """The file is there, and is none that `headgate login` wrote; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Login:
    """`url` is where the app API is. `expires_at` is RFC 3339."""

    url: str
    token: str = field(repr=False)
    email: str
    expires_at: str


def login_file(environ: Mapping[str, str]) -> Path:
    """Where it is kept: $HEADGATE_CREDENTIALS, else in the person's folder of configurations."""
    if named := environ.get(VARIABLE):
        return Path(named)
    home = environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "headgate" / "credentials.json"


def read_login(file: Path) -> Login | None:
    """None where nobody is logged in. Raises LoginUnreadable."""
    try:
        kept: Any = json.loads(file.read_text(encoding="utf-8"))
        return Login(kept["url"], kept["accessToken"], kept["email"], kept["expiresAt"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise LoginUnreadable(f"{file} cannot be read as a login: `headgate login` again, or delete it") from None


def write_login(file: Path, login: Login) -> None:
    """Keeps a login for its owner only. Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = {"url": login.url, "accessToken": login.token, "email": login.email, "expiresAt": login.expires_at}
    # Never open to others, and whole at every moment.
    unfinished = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(kept, out)
    unfinished.replace(file)

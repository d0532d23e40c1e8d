"""The app API as a logged-in person reaches it: over HTTP."""

import http.client
import ipaddress
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlencode, urlsplit

from headgate_gateway.app_api.operation import Operation
from headgate_service.owner_file import write_owner_file

from headgate_cli.api.admin_socket import fail

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
    kept = {"url": login.url, "accessToken": login.token, "email": login.email, "expiresAt": login.expires_at}
    write_owner_file(file, kept)


# Longer than the gateway waits for the service, whose words are better than a timeout's.
GRACE_SECONDS = 15.0
LINE_SECONDS = 60.0
_USAGE = 400


class HttpApi:
    """Calls operations with the login's token. What fails is said on stderr and ends the command."""

    operator = False

    def __init__(self, login: Login) -> None:
        self._login = login

    def call(
        self,
        operation: Operation,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """What the operation answers; `key` goes along as the secret key."""
        target = operation.url(path or {}) + (f"?{urlencode(query)}" if query else "")
        sent = body if operation.body or operation.whole_body else None
        return ask(self._login.url, operation.method, target, sent, self._login.token, operation.seconds, key)

    def get(self, target: str) -> dict[str, Any]:
        """What there is at a path that belongs to no operation."""
        return get(self._login.url, target, self._login.token)

    def stream(
        self, operation: Operation, path: Mapping[str, str], query: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """What the operation answers, one by one."""
        target = f"{operation.url(path)}?{urlencode(query)}"
        headers = {"Accept": "application/x-ndjson", "Authorization": f"Bearer {self._login.token}"}
        with _connection(self._login.url, LINE_SECONDS) as connection:
            connection.request(operation.method, _prefix(self._login.url) + target, headers=headers)
            answer = connection.getresponse()
            if answer.status != 200:
                _refused(self._login.url, answer.status, answer.read(), logged_in=True)
            # An empty line is a sign of life.
            for line in answer:
                if line.strip():
                    yield json.loads(line)


def get(url: str, target: str, token: str) -> dict[str, Any]:
    """What there is at a path of the Headgate at `url`."""
    return ask(url, "GET", target, None, token)


def post(url: str, target: str, body: Mapping[str, Any], token: str = "") -> dict[str, Any]:
    """What the Headgate at `url` answers to a body."""
    return ask(url, "POST", target, body, token)


def ask(
    url: str,
    method: str,
    target: str,
    body: Mapping[str, Any] | None,
    token: str,
    seconds: float = 15.0,
    key: str | None = None,
) -> dict[str, Any]:
    """One request of the Headgate at `url`, and its answer. What fails is said on stderr and ends the command."""
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if key:
        headers["X-API-Key"] = key
    if body is not None:
        headers["Content-Type"] = "application/json"
    with _connection(url, seconds + GRACE_SECONDS) as connection:
        text = None if body is None else json.dumps(body)
        connection.request(method, _prefix(url) + target, text, headers)
        answer = connection.getresponse()
        raw = answer.read()
    if not 200 <= answer.status < 300:
        _refused(url, answer.status, raw, logged_in=bool(token))
    try:
        parsed = json.loads(raw) if raw else {}
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        fail(f"{url} answers, but not as Headgate does: is it the right address?")
    return parsed


def checked_url(text: str) -> str:
    """The address of a Headgate, without a slash at its end; what is none ends the command."""
    parts = urlsplit(text if "//" in text else f"http://{text}")
    try:
        odd = parts.port == 0 or parts.username or parts.query or parts.fragment
    except ValueError:
        odd = True
    if odd or parts.scheme not in ("http", "https") or not parts.hostname:
        fail(f"{text!r} is not an address such as https://headgate.example.com", 2)
    return parts._replace(path=parts.path.rstrip("/")).geturl()


def exposed(url: str) -> bool:
    """Whether what is sent to an address can be read on the way."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    return parts.scheme == "http" and not here


@contextmanager
def _connection(url: str, seconds: float) -> Iterator[http.client.HTTPConnection]:
    parts: SplitResult = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    try:
        yield connection
    except TimeoutError:
        fail(f"{url} did not answer within {seconds:.0f} s")
    except ssl.SSLCertVerificationError as error:
        fail(f"{url} shows a certificate that is not trusted: {error.verify_message}")
    except (OSError, http.client.HTTPException, socket.gaierror) as error:
        fail(f"no Headgate answers at {url}: {error}")
    finally:
        connection.close()


def _prefix(url: str) -> str:
    return urlsplit(url).path


def _refused(url: str, status: int, raw: bytes, *, logged_in: bool) -> NoReturn:
    try:
        error = json.loads(raw)["error"]
        message, details = str(error["message"]), error.get("details")
    except (ValueError, KeyError, TypeError):
        fail(f"{url} answers with {status}, but not as Headgate does: is it the right address?")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and "message" in detail:
            place = detail.get("path") or detail.get("field")
            said = f"{place}: {detail['message']}" if place else str(detail["message"])
            message += "" if said in message else f"\n  {said}"
    if status == 401 and logged_in:
        message += "\nLog in again with `headgate login TOKEN`, or be the operator with --data-dir."
    fail(message, 2 if status == _USAGE else 1)

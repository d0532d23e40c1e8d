"""A browser at a page, and the operations of the app API that the page asks on its behalf."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import grpc.aio
from falcon.asgi import Request

from headgate_gateway.app_api.accounts import GET_SESSION
from headgate_gateway.app_api.caller import Caller, Failure, caller_of, check_origin, failure_of
from headgate_gateway.app_api.fields import FieldInvalid, read_query
from headgate_gateway.app_api.operation import Asked, Operation
from headgate_gateway.app_api.projects import LIST_PROJECTS
from headgate_gateway.app_api.resource import Plumbing
from headgate_gateway.http.body import BodyFault, ClientGone, bears_body, read_body
from headgate_gateway.http.body_budget import Overloaded
from headgate_gateway.http.headers import request_headers
from headgate_gateway.http_server.deferred_body import receive_of

MAX_FORM_BYTES = 256 * 1024
MAX_FORM_FIELDS = 200
_ROLES = ("viewer", "member", "admin", "owner")


class Calls:
    """The gRPC methods of operations, each made once."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._made: dict[tuple[str, str], Any] = {}

    def of(self, operation: Operation) -> Any:
        """The method that does it."""
        key = (operation.method, operation.path)
        if key not in self._made:
            self._made[key] = operation.rpc(self._channel)
        return self._made[key]


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in, and the projects that they may enter."""

    email: str
    projects: list[dict[str, Any]]

    def project(self, slug: str) -> dict[str, Any]:
        """Raises Failure where they may not enter it."""
        for project in self.projects:
            if slug in (project["slug"], project["id"]):
                return project
        raise Failure(404, "project_unknown", "There is no such project, or you are not a member of it.")


class Visit:
    """One request of a browser."""

    def __init__(self, req: Request, plumbing: Plumbing, calls: Calls) -> None:
        self.req = req
        self.request_id = plumbing.new_request_id()
        self.headers = request_headers(req.scope)
        self._plumbing = plumbing
        self._calls = calls

    @cached_property
    def caller(self) -> Caller:
        """By its cookie only: a page takes no other credential."""
        found = caller_of({"cookie": self.headers.get("cookie", "")})
        return Caller(found.credential, by_cookie=True)

    @property
    def secure(self) -> bool:
        """Whether the browser speaks TLS."""
        return self._plumbing.is_over_tls(self.req, self.headers)

    @property
    def base_url(self) -> str:
        """Where the browser reaches Headgate, as https://HOST."""
        return f"http{'s' if self.secure else ''}://{self.headers.get('host', 'localhost')}"

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the address; of several of the name the last."""
        found = self.req.params.get(name, default)
        return found[-1] if isinstance(found, list) else found

    def metadata(self) -> Any:
        """What the service is told of the request."""
        return self.caller.metadata() + self._plumbing.origin_of(self.req, self.headers, self.request_id)

    async def raw(
        self,
        operation: Operation,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """What the service answers, as a message. Raises Failure."""
        try:
            asked = Asked(path or {}, read_query(operation.query, query or {}), operation.read_body(body or {}))
            request = operation.request(asked)
        except FieldInvalid as error:
            details = [{"field": error.field, "message": error.message}]
            raise Failure(400, "invalid_argument", str(error), details) from None
        try:
            return await self._calls.of(operation)(request, metadata=self.metadata(), timeout=operation.seconds)
        except grpc.aio.AioRpcError as error:
            raise failure_of(error) from None

    async def ask(
        self,
        operation: Operation,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What the app API answers. Raises Failure."""
        return operation.answer(await self.raw(operation, path, query, body)) or {}

    async def person(self) -> Person:
        """Who is signed in. Raises Failure where nobody is."""
        if not self.caller.credential:
            raise Failure(401, "credential_missing", "Sign in first.")
        session = await self.ask(GET_SESSION)
        projects = await self.ask(LIST_PROJECTS)
        return Person(session["user"]["email"], projects["projects"])

    def check_origin(self, *, signing_in: bool = False) -> None:
        """Refuses a change that another site's page had the browser ask for. Raises Failure."""
        check_origin(self.caller, self.headers, changes=True, takes_credential=not signing_in)

    async def form(self) -> dict[str, str]:
        """The fields of the form that was sent; of several of a name the last. Raises Failure."""
        if not bears_body(self.headers):
            return {}
        try:
            return await read_body(
                self.headers, receive_of(self.req.scope), MAX_FORM_BYTES, self._plumbing.reader, _fields
            )
        except Overloaded:
            raise Failure(503, "unavailable", "Too much waits: try again.") from None
        except (BodyFault, ClientGone, ValueError) as error:
            raise Failure(400, "bad_request", f"The form cannot be read: {error}") from None


def _fields(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS))


def may(project: Mapping[str, Any], least: str) -> bool:
    """Whether the person's role in a project is at least this one."""
    role = project.get("role")
    return role in _ROLES and _ROLES.index(role) >= _ROLES.index(least)

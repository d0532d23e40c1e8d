"""A path of the web app: who is there, what the page shows or does, and how it goes wrong."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from falcon.asgi import Request, Response

from headgate_gateway.app_api.caller import Failure
from headgate_gateway.app_api.resource import Plumbing
from headgate_gateway.http.origin import set_cookie
from headgate_gateway.web.templates import Templates
from headgate_gateway.web.visit import Calls, Person, Visit, may

SIGN_IN = "/app/sign-in"
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    # What htmx asks for and what a browser does are not the same bytes.
    "Vary": "Cookie, HX-Request",
}


@dataclass(frozen=True, slots=True)
class View:
    """A page to show."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another page to go to. `session`: the session's cookie from now on, and its seconds; no text removes it."""

    to: str
    session: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """A file."""

    data: bytes
    content_type: str
    name: str


Answer = View | Redirect | Download


@dataclass(frozen=True, slots=True)
class Here:
    """A person in one of their projects."""

    visit: Visit
    person: Person
    project: Mapping[str, Any]

    @property
    def slug(self) -> str:
        return str(self.project["slug"])

    @property
    def path(self) -> dict[str, str]:
        """The part of every address of the app API that names the project."""
        return {"project": self.slug}

    def url(self, place: str = "", **query: Any) -> str:
        """The address of a page of the project."""
        address = f"/app/p/{quote(self.slug)}{'/' if place else ''}{place}"
        return f"{address}?{urlencode(query)}" if query else address


Anybody = Callable[[Visit], Awaitable[Answer]]
Someone = Callable[[Visit, Person], Awaitable[Answer]]
Member = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Site:
    """What every page is made with."""

    plumbing: Plumbing
    templates: Templates
    calls: Calls


class Page:
    """Runs `show` on GET and `act` on POST; a change must come from a page of this origin."""

    signing_in = False

    def __init__(self, site: Site, show: Any = None, act: Any = None) -> None:
        self._site = site
        self._show, self._act = show, act
        self.methods = tuple(method for method, does in (("GET", show), ("POST", act)) if does is not None)

    async def on_get(self, req: Request, resp: Response, **path: str) -> None:
        await self._answer(req, resp, path, self._show)

    async def on_post(self, req: Request, resp: Response, **path: str) -> None:
        await self._answer(req, resp, path, self._act)

    async def _answer(self, req: Request, resp: Response, path: Mapping[str, str], does: Any) -> None:
        visit = Visit(req, self._site.plumbing, self._site.calls)
        resp.set_headers(SECURITY_HEADERS)
        chrome: dict[str, Any] = {"page": "", "person": None, "project": None, "may": lambda least: False}
        try:
            if req.method == "POST":
                visit.check_origin(signing_in=self.signing_in)
            answer = await self._run(visit, path, does, chrome)
        except Failure as failure:
            answer = self._failed(visit, failure)
        self._write(resp, visit, answer, chrome)

    async def _run(self, visit: Visit, path: Mapping[str, str], does: Any, chrome: dict[str, Any]) -> Answer:
        found: Answer = await does(visit, **path)
        return found

    def _failed(self, visit: Visit, failure: Failure) -> Answer:
        if failure.status == 401:
            back = visit.req.relative_uri if visit.req.method == "GET" else "/app"
            return Redirect(f"{SIGN_IN}?{urlencode({'next': back})}", session=("", 0))
        return View("error.html", {"failure": failure, "request_id": visit.request_id}, failure.status)

    def _write(self, resp: Response, visit: Visit, answer: Answer, chrome: Mapping[str, Any]) -> None:
        match answer:
            case Redirect(to, session):
                resp.status = 303
                resp.set_header("Location", to)
                if "hx-request" in visit.headers:
                    # A fragment must not be replaced by a whole other page.
                    resp.status = 200
                    resp.set_header("HX-Redirect", to)
                if session is not None:
                    resp.append_header("Set-Cookie", set_cookie(*session, secure=visit.secure))
            case View(template, values, status):
                resp.status = status
                resp.content_type = "text/html; charset=utf-8"
                resp.data = self._site.templates.render(template, {**chrome, **values})
            case Download(data, content_type, name):
                resp.content_type = content_type
                resp.set_header("Content-Disposition", f'attachment; filename="{name}"')
                resp.data = data


class PersonPage(Page):
    """For whoever is signed in."""

    async def _run(self, visit: Visit, path: Mapping[str, str], does: Any, chrome: dict[str, Any]) -> Answer:
        chrome["person"] = person = await visit.person()
        found: Answer = await does(visit, person, **path)
        return found


class ProjectPage(Page):
    """For members of the project that the address names."""

    async def _run(self, visit: Visit, path: Mapping[str, str], does: Any, chrome: dict[str, Any]) -> Answer:
        chrome["person"] = person = await visit.person()
        parts = dict(path)
        chrome["project"] = project = person.project(parts.pop("slug"))
        chrome["may"] = lambda least: may(project, least)
        here = Here(visit, person, project)
        chrome["here"] = here
        found: Answer = await does(here, **parts)
        return found

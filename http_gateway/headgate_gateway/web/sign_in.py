"""Signing in and out, and the way in: /app."""

from headgate_gateway.app_api.accounts import CREATE_CLI_TOKEN, LOGIN, LOGOUT
from headgate_gateway.app_api.caller import Failure
from headgate_gateway.web.page import SIGN_IN, Answer, Page, Redirect, View
from headgate_gateway.web.visit import Person, Visit

_NO = {
    401: "The e-mail address and the password do not belong together.",
    429: "Too many failed attempts. Wait a few minutes, then try again.",
    503: "Headgate cannot check passwords just now. Try again in a moment.",
}


class SignInPage(Page):
    """Takes no session, so that it is refused only to pages that are known to be another site's."""

    signing_in = True


def way_back(wanted: str) -> str:
    """A page of the app to go to after signing in: none of another site."""
    sound = wanted.startswith("/app") and wanted[4:5] in ("", "/", "?") and wanted.isprintable()
    return wanted if sound and "\\" not in wanted and "//" not in wanted else "/app"


async def show(visit: Visit) -> Answer:
    """The form; who is signed in already goes on."""
    back = way_back(visit.query("next"))
    if visit.caller.credential:
        try:
            await visit.person()
        except Failure:
            pass
        else:
            return Redirect(back)
    return View("sign_in.html", {"next": back, "email": "", "error": ""})


async def sign_in(visit: Visit) -> Answer:
    """Opens a session."""
    form = await visit.form()
    back, email = way_back(form.get("next", "")), form.get("email", "").strip()
    try:
        made = await visit.raw(LOGIN, body={"email": email, "password": form.get("password", "")})
    except Failure as failure:
        values = {"next": back, "email": email, "error": _NO.get(failure.status, failure.message)}
        return View("sign_in.html", values, failure.status)
    assert LOGIN.session is not None  # noqa: S101 - it opens one
    return Redirect(back, session=LOGIN.session(made))


async def sign_out(visit: Visit) -> Answer:
    """Ends the session."""
    await visit.ask(LOGOUT)
    return Redirect(SIGN_IN, session=("", 0))


async def command_line(visit: Visit, person: Person) -> Answer:
    """Makes a one-time token by which a command line signs in."""
    made = await visit.ask(CREATE_CLI_TOKEN)
    return View("command_line.html", {"made": made, "base_url": visit.base_url}, 201)


async def way_in(visit: Visit, person: Person) -> Answer:
    """The first project, or how to make one."""
    if person.projects:
        return Redirect(f"/app/p/{person.projects[0]['slug']}")
    return View("no_project.html", {"error": "", "name": ""})

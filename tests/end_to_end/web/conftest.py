"""The web app in a real Chromium. Each test fails where its pages had an error on the console or broke the policy."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from headgate.v1 import role_pb2
from headgate.v1 import user_service_pb2 as users
from headgate.v1.user_service_pb2_grpc import UserServiceStub

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
WAIT_MS = 20_000
# What is known not to be a fault of a page: Chromium notes each answer of 400 and above, which some tests are about.
_ANSWERED = "Failed to load resource: the server responded with a status of 4"
_WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => {
  violations.push(event.violatedDirective + " " + event.blockedURI);
});
"""
_AXE_RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => one.id + ": " + one.nodes.map((node) => node.html.slice(0, 200)).join(" | "))"""


class Browser:
    """A window of its own: cookies, pages, and what went wrong in them."""

    def __init__(self, context: Any, headgate: Any) -> None:
        self.headgate = headgate
        self.wrong: list[str] = []
        context.add_init_script(_WATCH)
        self.page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(f"{self.page.url}: {error}"))
        self.page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_ANSWERED):
            self.wrong.append(f"{self.page.url}: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.headgate.http, "about:", "blob:")):
            self.wrong.append(f"{self.page.url} asked {request.url}")

    def open(self, path: str) -> Any:
        """Goes to a page and returns it, once nothing is wrong with it."""
        self.page.goto(f"{self.headgate.http}{path}")
        self.check()
        return self.page

    def check(self) -> None:
        """Nothing was wrong until now."""
        assert self.wrong == []
        assert self.page.evaluate("window.violations") == []

    def check_accessible(self) -> None:
        """axe-core finds nothing serious."""
        # The page's own policy would not let the test's script in by an element.
        self.page.evaluate(AXE.read_text())
        assert self.page.evaluate(_AXE_RUN) == []

    def sign_in(self, email: str, password: str) -> Any:
        self.page.goto(f"{self.headgate.http}/app/sign-in")
        self.page.get_by_label("E-mail address").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "sign-in" not in url)
        return self.page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    # Not for the session: its loop would be in the way of asyncio's in other modules.
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: install it to run the browser tests")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


@pytest.fixture
def new_browser(chromium: Any, headgate: Any) -> Iterator[Callable[..., Browser]]:
    """Makes windows that share nothing."""
    made = []

    def new(**options: Any) -> Browser:
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
        made.append((context, Browser(context, headgate)))
        return made[-1][1]

    yield new
    for context, browser in made:
        browser.check()
        context.close()


@pytest.fixture
def owner(headgate: Any) -> dict[str, str]:
    """The account of the first start."""
    found: dict[str, str] = json.loads((headgate.data_dir / "first-start.json").read_text())["owner"]
    return found


@pytest.fixture
def browser(new_browser: Callable[..., Browser], owner: dict[str, str]) -> Browser:
    """A window in which the owner of `default` is signed in."""
    made = new_browser()
    made.sign_in(owner["email"], owner["password"])
    return made


@pytest.fixture
def member(headgate: Any, new_browser: Callable[..., Browser]) -> Callable[[str], Browser]:
    """Makes a person with a role in `default`, signed in in a window of their own."""

    def make(role: str) -> Browser:
        email, password = f"{role}@example.com", f"the password of {role}"
        with grpc.insecure_channel(f"unix:{headgate.data_dir}/run/admin.sock") as channel:
            membership = users.CreateUserRequest.Membership(
                project="default", role=role_pb2.Role.Value(f"ROLE_{role.upper()}")
            )
            request = users.CreateUserRequest(email=email, password=password, memberships=[membership])
            try:
                UserServiceStub(channel).CreateUser(request)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.ALREADY_EXISTS  # noqa: PT017 - it was made by another test
        made = new_browser()
        made.sign_in(email, password)
        return made

    return make


@pytest.fixture
def send(headgate: Any) -> Callable[..., httpx.Response]:
    """Sends an event by API 3 with the public key of `default`."""

    def one(name: str, **properties: Any) -> httpx.Response:
        event = {
            "event": name,
            "timestamp": datetime.now(UTC).isoformat(),
            "distinctId": "u1",
            "sessionId": "s1",
            "properties": properties,
        }
        return httpx.post(headgate.http, headers={"X-API-Key": headgate.keys["public"]}, json=event, timeout=20)

    return one

"""Pictures of every page of the web app, at two widths, light and dark: `python docs/screenshots.py [FOLDER]`.

It starts a Headgate of its own with made-up events, and needs Chromium and playwright. Those named in SHOWN go to
`docs/images/`, where the README and the guide show them; all of them go to the folder.
"""

import http.client
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

IMAGES = Path(__file__).parent / "images"
SHOWN = {
    "overview-1280-light": "overview",
    "overview-1280-dark": "overview-dark",
    "live-1280-light": "live",
    "explore-1280-light": "explore",
    "sinks-1280-light": "sinks",
}
SIZES = ((1280, 900), (390, 844))
PAGES = {
    "overview": "",
    "live": "/live",
    "found": "/live?q=u7",
    "explore": "/explore?type=timeseries&event=*&by=event&start={start}&end={end}",
    "breakdown": "/explore?type=breakdown&event=signup&by=plan&start={start}&end={end}",
    "funnel": "/explore?type=funnel&step1=page_view&step2=signup&step3=order_paid&start={start}&end={end}",
    "sinks": "/sinks",
    "policy": "/policy",
    "keys": "/keys",
    "people": "/people",
    "audit": "/audit",
    "docs": "/docs",
}
TOML = """
[[sinks]]
name = "warehouse-hook"
use = "webhook"
projects = ["default"]
[sinks.config]
url = "http://127.0.0.1:9/events"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""


@contextmanager
def headgate(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """A Headgate in a folder, by its address and what its first start wrote."""
    (folder / "headgate.toml").write_text(TOML)
    command = [sys.executable, "-m", "headgate_cli", "up", "--data-dir", str(folder / "data")]
    command += ["--config", str(folder / "headgate.toml"), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603 - itself
    try:
        assert process.stdout is not None  # noqa: S101 - it is piped
        ready = dict(part.split("=", 1) for part in process.stdout.readline().split()[1:])
        yield ready["http"], json.loads((folder / "data" / "first-start.json").read_text())
    finally:
        process.terminate()
        process.wait()


def post(url: str, path: str, body: Any, **headers: str) -> None:
    """Sends one request, whatever becomes of it."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
    connection.getresponse().read()
    connection.close()


def fill(url: str, keys: dict[str, str]) -> None:
    """Made-up events of the last days, by three APIs, and some that are refused."""
    chance, now, key = random.Random(7), datetime.now(UTC), {"X-API-Key": keys["public"]}  # noqa: S311 - no secret
    events = []
    for user in range(600):
        start = now - timedelta(minutes=chance.random() ** 3 * 6 * 1440)
        plan = chance.choices(("free", "pro", "team"), (6, 3, 1))[0]
        path = chance.choice(("/", "/pricing", "/docs", "/blog"))
        steps: list[tuple[str, dict[str, Any]]] = [("page_view", {"$pathname": path})]
        steps += [("signup", {"plan": plan})] if chance.random() < 0.5 else []
        steps += [("order_paid", {"plan": plan, "amount": 19})] if len(steps) == 2 and chance.random() < 0.4 else []
        for place, (name, properties) in enumerate(steps):
            moment = min(start + timedelta(minutes=place * chance.randint(1, 9)), now)
            sent = {"event": name, "timestamp": moment.isoformat(), "properties": properties}
            events.append({**sent, "distinctId": f"u{user}", "sessionId": f"s{user}"})
    for first in range(0, len(events), 100):
        post(url, "/", events[first : first + 100], **key)
    for user in range(40):
        post(url, "/api/analytics", {"events": [{"type": "scroll", "userId": f"u{user}", "payload": {"depth": user}}]})
        click = {"eventName": "click", "experimentId": "exp_hero", "sessionId": f"s{user}", "userId": f"u{user}"}
        post(url, "/api/v1/analytics", {"events": [click]}, **{"X-public-key": keys["public"]})
    post(url, "/", {"event": "signup", "timestamp": "yesterday", "distinctId": "u1", "sessionId": "s1"}, **key)
    post(url, "/", {"event": "", "timestamp": now.isoformat(), "properties": {}}, **key)


def main() -> None:
    """Takes them all."""
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="headgate-pictures-"))
    folder.mkdir(parents=True, exist_ok=True)
    IMAGES.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="hg-"))
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with headgate(work) as (url, first), sync_playwright() as playwright:
        fill(url, first["keys"])
        time.sleep(8)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for (width, height), scheme in ((size, scheme) for size in SIZES for scheme in ("light", "dark")):
            options: Any = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
            context = browser.new_context(**options)
            take(context.new_page(), url, first["owner"], folder, f"{width}-{scheme}")
            context.close()
        browser.close()
    for name, shown in SHOWN.items():
        shutil.copy(folder / f"{name}.png", IMAGES / f"{shown}.png")
    shutil.rmtree(work, ignore_errors=True)
    sys.stdout.write(f"{folder}\n")


def take(page: Any, url: str, owner: dict[str, str], folder: Path, name: str) -> None:
    """The sign-in page, then each of a project's."""
    page.goto(f"{url}/app/sign-in")
    page.screenshot(path=folder / f"sign-in-{name}.png", full_page=True)
    page.get_by_label("E-mail address").fill(owner["email"])
    page.get_by_label("Password").fill(owner["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/app/p/**")
    today = datetime.now(UTC).date()
    days = {"start": (today - timedelta(days=6)).isoformat(), "end": today.isoformat()}
    for place, address in PAGES.items():
        page.goto(f"{url}/app/p/default{address.format(**days)}")
        page.wait_for_timeout(2_500 if place == "live" else 500)
        if place == "live":
            page.locator("tr", has_text="refused").get_by_role("button").first.click()
        # A page of thousands of rows is shown by its beginning.
        page.screenshot(path=folder / f"{place}-{name}.png", full_page=place != "live")


if __name__ == "__main__":
    main()

"""hg.js in a page of another origin, in a real Chromium, with the network cut and the gateway killed."""

import http.server
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: install it to run the browser tests")

PAGE = """<!doctype html><title>Shop</title>
<script>window.hg ||= (...call) => (hg.q ||= []).push(call); hg("early", {at: 1});</script>
<script src="%s/hg.js" data-key="%s" %s></script>"""


@pytest.fixture
def shop(headgate) -> Iterator[Callable[[str], str]]:
    """Addresses of pages, each with other attributes of the script's tag."""
    attributes: list[str] = []

    class Shop(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            number = re.match(r"/(\d+)", self.path)
            given = attributes[int(number[1])] if number else ""
            self.wfile.write((PAGE % (headgate.http, headgate.keys["public"], given)).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def address(given: str = "") -> str:
        attributes.append(given)
        return f"http://localhost:{server.server_port}/{len(attributes) - 1}"

    yield address
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


@pytest.fixture
def context(browser) -> Iterator[Any]:
    made = browser.new_context()
    yield made
    made.close()


@pytest.fixture
def written(headgate, wait_until) -> Callable[..., list[dict[str, Any]]]:
    """The events of these names once there are so many; names of each test are its own."""

    def find(count: int, *names: str) -> list[dict[str, Any]]:
        def found() -> list[dict[str, Any]]:
            return [event for event in headgate.written() if event["name"] in names]

        wait_until(lambda: len(found()) >= count, f"{count} of {names} are written: {found()}", 60)
        assert len(found()) == count
        return found()

    return find


def views(headgate, address: str) -> list[dict[str, Any]]:
    return [event for event in headgate.written() if event["page"]["href"].startswith(address)]


def test_page_views_follow_a_single_page_app(headgate, shop, context, wait_until) -> None:
    page, address = context.new_page(), shop()
    page.goto(f"{address}?utm_source=news&utm_campaign=spring")
    page.evaluate(f"history.pushState({{}}, '', '{address}/two'); document.title = 'Two'")
    page.evaluate("history.replaceState({}, '', location.href)")
    page.evaluate(f"history.pushState({{}}, '', '{address}/three#top')")
    page.evaluate("location.hash = 'end'")
    page.evaluate("history.go(-2)")
    page.evaluate("hg('bought', {price: 9.5, tags: ['a']})")
    page.evaluate("hg.flush()")
    wait_until(lambda: len(views(headgate, address)) >= 6, "all of them are written")
    events = views(headgate, address)
    seen = [(event["page"]["href"].removeprefix(address), event["page"]["title"]) for event in events]
    assert [event["name"] for event in events].count("$pageview") == 4
    by_name = {event["name"]: event for event in events}
    assert seen[1] == ("?utm_source=news&utm_campaign=spring", "Shop")
    assert ("/two", "Two") in seen
    (two,) = [event for event in events if event["page"]["href"] == f"{address}/two" and event["name"] == "$pageview"][
        :1
    ]
    assert two["page"]["referrer"].startswith(f"{address}?utm")
    assert events[1]["campaign"] == {"source": "news", "campaign": "spring"}
    assert by_name["bought"]["properties"]["price"] == 9.5
    assert by_name["early"]["properties"]["at"] == 1
    assert len({event["anonymousId"] for event in events}) == 1
    assert len({event["eventId"] for event in events}) == len(events)
    assert context.cookies() == []


def test_five_leave_together_and_the_rest_by_beacon(headgate, shop, context, written) -> None:
    page = context.new_page()
    page.goto(shop('data-pages="off"'))
    with page.expect_request("**/v1/batch") as sent:
        # The page sends one on its way as it starts.
        page.evaluate("for (const at of [1, 2, 3, 4]) hg('batched', {at})")
    assert len(sent.value.post_data_json["batch"]) == 5
    page.evaluate("hg('leaving')")
    page.goto("about:blank")
    written(4, "batched")
    written(1, "leaving")


def test_nothing_is_lost_or_doubled_while_the_network_is_cut(shop, context, written, headgate) -> None:
    page, address = context.new_page(), shop('data-pages="off"')
    page.goto(address)
    context.set_offline(True)
    page.evaluate("hg('offline'); hg.flush()")
    page.wait_for_function("localStorage.getItem('hg.queue')?.includes('offline')")
    page.evaluate("hg('offline_later')")
    page.close()
    context.set_offline(False)
    next_page = context.new_page()
    next_page.goto(address)
    next_page.evaluate("hg.flush()")
    written(1, "offline")
    written(1, "offline_later")
    context.set_offline(True)
    next_page.evaluate("hg('cut'); hg.flush()")
    next_page.wait_for_function("localStorage.getItem('hg.queue')?.includes('cut')")
    context.set_offline(False)
    written(1, "cut")
    next_page.wait_for_function("localStorage.getItem('hg.queue') === '[]'")


def test_a_gateway_that_is_killed_costs_nothing(headgate, shop, context, written, wait_until) -> None:
    def serves() -> bool:
        try:
            return httpx.get(f"{headgate.http}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    page = context.new_page()
    page.goto(shop('data-pages="off"'))
    for turn in range(2):
        page.evaluate(f"for (let at = 0; at < 7; at++) hg('killed', {{turn: {turn}, at}})")
        headgate.kill("gateway")
        page.evaluate(f"for (let at = 7; at < 10; at++) hg('killed', {{turn: {turn}, at}}); hg.flush()")
        wait_until(serves, "the gateway is back", 60)
    events = written(20, "killed")
    assert len({(event["properties"]["turn"], event["properties"]["at"]) for event in events}) == 20


def test_an_answer_that_is_lost_counts_once(shop, context, written) -> None:
    page = context.new_page()
    page.goto(shop('data-pages="off"'))
    tries: list[str] = []

    def lose(route: Any) -> None:
        tries.append(route.request.post_data)
        if len(tries) < 3:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/batch", lose)
    page.evaluate("hg('lost'); hg.flush()")
    page.wait_for_function("localStorage.getItem('hg.queue')?.includes('lost')")
    page.wait_for_function("localStorage.getItem('hg.queue') === '[]'")
    assert len(tries) >= 3
    written(1, "lost")


@pytest.mark.parametrize("signal", ["globalPrivacyControl", "doNotTrack"])
def test_who_objects_is_not_counted(shop, context, signal: str) -> None:
    value = "true" if signal == "globalPrivacyControl" else "'1'"
    context.add_init_script(f"Object.defineProperty(navigator, '{signal}', {{value: {value}}})")
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(shop())
    page.evaluate("for (let at = 0; at < 9; at++) hg('objected'); hg.flush(); hg.identify('u')")
    page.goto("about:blank")
    assert [url for url in asked if "/v1/batch" in url] == []


def test_consent_comes_first(shop, context, written) -> None:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(shop('data-consent="ask" data-pages="off"'))
    page.evaluate("for (let at = 0; at < 6; at++) hg('asked'); hg.flush()")
    kept = "localStorage.length + sessionStorage.length"
    assert page.evaluate(kept) == 0
    assert [url for url in asked if "/v1/batch" in url] == []
    page.evaluate("hg.consent(true)")
    written(6, "asked")
    page.evaluate("hg.consent(false); hg('after'); hg.flush()")
    assert page.evaluate(kept) == 0

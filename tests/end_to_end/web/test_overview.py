"""Overview: what came, what of it was refused and why, and how the sinks fare."""

import httpx

HEADGATE_ENVIRONMENT = {"HEADGATE_STORE_ENABLED": "true"}
HEADGATE_TOML = """
[[sinks]]
name = "hook"
use = "webhook"
projects = ["default"]
[sinks.config]
url = "http://127.0.0.1:9/nobody"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""


def test_the_first_page_says_how_to_send(browser):
    page = browser.open("/app/p/default")
    assert "No events in the last 24 hours" in page.inner_text("main")
    assert "curl http://127.0.0.1" in page.inner_text("main")
    browser.check_accessible()


def test_it_shows_what_came_and_what_is_wrong(headgate, browser, send, wait_until):
    for number in range(3):
        assert send("signup", plan="pro", number=number).status_code == 200
    assert (
        httpx.post(headgate.http, headers={"X-API-Key": headgate.keys["public"]}, json={"event": ""}).status_code == 400
    )

    def told() -> str:
        return browser.open("/app/p/default").inner_text("main")

    wait_until(
        lambda: "refused or dropped" not in told() and "retrying" in told(), "the refusal and the broken sink show"
    )
    text = told()
    assert "Sink hook is retrying" in text
    assert "The oldest has waited for" in text
    assert "A field is missing, of the wrong type or out of its range." in text
    wait_until(lambda: "No events in the last hour" not in told(), "the store has them", 60)
    page = browser.open("/app/p/default")
    page.locator("canvas").first.wait_for()
    assert page.locator("canvas").count() == 2
    page.get_by_text("As a table").first.click()
    assert "realanalytics" in page.locator("section", has_text="Events a minute").inner_text()
    browser.check()
    browser.check_accessible()


def test_narrow_and_dark_it_fits_and_can_be_read(new_browser, owner):
    browser = new_browser(color_scheme="dark")
    browser.page.set_viewport_size({"width": 390, "height": 844})
    page = browser.sign_in(owner["email"], owner["password"])
    page.get_by_role("heading", name="Overview").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    browser.check_accessible()

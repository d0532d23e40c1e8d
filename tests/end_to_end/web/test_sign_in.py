"""The way in and out, and what every page has in common."""

import httpx
import pytest

HTML = {"Accept": "text/html,application/xhtml+xml"}


def test_a_browser_that_opens_the_address_gets_to_the_overview(new_browser, owner):
    browser = new_browser()
    page = browser.open("/")
    assert page.url.startswith(f"{browser.headgate.http}/app/sign-in")
    assert "first-start.json" in page.inner_text("main")
    browser.check_accessible()
    page = browser.sign_in(owner["email"], owner["password"])
    page.get_by_role("heading", name="Overview").wait_for()
    assert page.url == f"{browser.headgate.http}/app/p/default"
    browser.check()
    page.get_by_text(owner["email"]).click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/app/sign-in")
    assert not browser.page.context.cookies()
    page = browser.open("/app/p/default")
    assert "/app/sign-in?next=%2Fapp%2Fp%2Fdefault" in page.url


def test_a_wrong_password_is_said(new_browser, owner):
    browser = new_browser()
    page = browser.open("/app/sign-in")
    page.get_by_label("E-mail address").fill(owner["email"])
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    assert "do not belong together" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("E-mail address").input_value() == owner["email"]


def test_post_to_the_root_is_api_3_still(headgate, client):
    assert client.get("/", headers=HTML).headers["location"] == "/app"
    assert client.get("/").status_code == 405
    assert client.get("/", headers={"Accept": "application/json"}).json() == {"error": "Method not allowed"}
    assert client.post("/", headers={**HTML, "X-API-Key": "pk_live_none"}, json={}).json() == {
        "error": "Invalid API key"
    }


def test_the_way_back_leads_to_no_other_site(headgate, client, owner):
    for wanted in (
        "//evil.example",
        "https://evil.example",
        "/app//evil.example",
        "/app\\evil",
        "/apple",
        "/app/p/x\r\nA: b",
    ):
        answer = client.post("/app/sign-in", data={**owner, "next": wanted})
        assert (answer.status_code, answer.headers["location"]) == (303, "/app"), wanted
    answer = client.post("/app/sign-in", data={**owner, "next": "/app/p/default?x=1"})
    assert answer.headers["location"] == "/app/p/default?x=1"


def test_another_site_can_neither_sign_in_nor_change_anything(headgate, client, owner):
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert client.post("/app/sign-in", data=owner, headers=foreign).status_code == 403
    assert client.post("/app/sign-in", data=owner).status_code == 303
    for headers in (foreign, {}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}):
        assert client.post("/app/projects", data={"name": "Stolen"}, headers=headers).status_code == 403, headers
        assert client.post("/app/sign-out", headers=headers).status_code == 403, headers
    assert client.get("/app/p/default").status_code == 200


@pytest.mark.parametrize("path", ["/app", "/app/sign-in", "/app/p/default", "/app/projects", "/app/p/nothing"])
def test_every_page_bears_the_policy(headgate, client, owner, path):
    client.post("/app/sign-in", data=owner)
    answer = client.get(path)
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_bearer_token_opens_no_page(headgate, client):
    answer = httpx.get(f"{headgate.http}/app/p/default", headers={"Authorization": f"Bearer {headgate.keys['secret']}"})
    assert (answer.status_code, answer.headers["location"][:12]) == (303, "/app/sign-in")


def test_a_project_is_made_and_its_keys_are_shown_once(browser):
    page = browser.open("/app/projects")
    page.get_by_label("Name").fill('<img src=x onerror="alert(1)"> & Söhne')
    page.get_by_role("button", name="Make the project").click()
    page.get_by_text("shown this once").wait_for()
    assert "pk_live_" in page.inner_text("main")
    assert "curl" in page.inner_text("main")
    browser.check_accessible()
    page.get_by_role("link", name="Go to the project").click()
    page.get_by_role("heading", name="Overview").wait_for()
    page.locator(".menu summary").first.click()
    page.get_by_role("link", name="Default").click()
    page.wait_for_url("**/app/p/default")
    browser.check()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"


def test_files_are_kept_by_what_they_hold(headgate, client):
    page = client.get("/app/sign-in").text
    address = next(part for part in page.split('"') if part.startswith("/app/static/app.css"))
    answer = client.get(address)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert client.get(address, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert client.get("/app/static/app.css?v=old").headers["cache-control"] == "no-cache"
    assert client.get("/app/static/../app.py").status_code == 404


def test_a_command_line_is_signed_in_from_the_menu(headgate, browser, client, owner):
    page = browser.open("/app/p/default")
    page.get_by_text(owner["email"]).click()
    page.get_by_role("button", name="Sign in at a command line").click()
    command = page.locator(".code code").inner_text()
    assert command.endswith(f" --url {headgate.http}")
    token = command.split()[2]
    assert client.post("/api/cli/validate", json={"token": token}).json()["user"]["email"] == owner["email"]
    browser.check_accessible()

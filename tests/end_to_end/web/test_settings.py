"""Policy, keys, people, audit and docs: each action to its effect, and roles."""

import json

import httpx
import pytest

PAGES = ("policy", "keys", "people", "audit", "docs")
HOSTILE = '<img src=x onerror="window.hacked=1">'


def deploy(headgate, client, owner, config) -> int:
    client.post("/api/auth/login", json=owner)
    answer = client.post(
        "/api/deploy", json=config, headers={"X-API-Key": headgate.keys["secret"], "Origin": headgate.http}
    )
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_sound(browser, name):
    page = browser.open(f"/app/p/default/{name}")
    page.locator("h1").wait_for()
    browser.check_accessible()
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_key_is_made_sends_and_is_revoked(headgate, browser, wait_until):
    page = browser.open("/app/p/default/keys")
    page.get_by_role("button", name="Make it").click()
    page.get_by_text("The new public key").wait_for()
    key = page.locator("section code").first.inner_text()
    event = {"event": "x", "timestamp": "2026-02-01", "distinctId": "u", "sessionId": "s", "properties": {}}

    def status() -> int:
        return httpx.post(headgate.http, headers={"X-API-Key": key}, json=event, timeout=20).status_code

    wait_until(lambda: status() == 200, "the key opens")
    row = page.locator("tr", has=page.get_by_text("good", exact=True)).last
    key_id = row.locator("code").first.inner_text()
    row.get_by_text("Revoke…").click()
    row.get_by_label("to confirm").fill(key_id)
    row.get_by_role("button", name=f"Revoke {key_id}").click()
    page.get_by_text("is revoked").wait_for()
    wait_until(lambda: status() == 401, "it is revoked")
    browser.check()


def test_people_are_invited_and_get_roles(headgate, browser, member):
    member("member")
    page = browser.open("/app/p/default/people")
    page.get_by_label("Invite by").fill("new@example.com")
    page.get_by_role("button", name="Invite").click()
    page.get_by_text("new@example.com is invited").wait_for()
    browser.check_accessible()
    page.get_by_role("button", name="Take back").click()
    page.wait_for_url("**/people")
    assert page.get_by_text("new@example.com").count() == 0
    page.get_by_label("Role of member@example.com").select_option("viewer")
    page.get_by_role("button", name="Set the role of member@example.com").click()
    row = page.locator("tr", has_text="member@example.com")
    row.locator(".badge", has_text="viewer").wait_for()
    row.get_by_text("Remove…").click()
    row.get_by_label("to confirm").fill("member@example.com")
    row.get_by_role("button", name="Remove member@example.com").click()
    page.wait_for_url("**/people")
    page.locator("tr", has_text="member@example.com").wait_for(state="detached")
    audit = browser.open("/app/p/default/audit").inner_text("main")
    assert "member@example.com" in audit
    browser.check()


def test_versions_are_compared_tried_and_activated(headgate, browser, client, owner):
    first = deploy(headgate, client, owner, {"formatVersion": 1, "events": {HOSTILE: {"enabled": False}}})
    second = deploy(headgate, client, owner, {"formatVersion": 1, "ip": "drop"})
    page = browser.open("/app/p/default/policy")
    page.get_by_role("link", name=f"Compare version {first}").click()
    page.locator(".diff .come").first.wait_for()
    assert "onerror" in page.locator(".diff").inner_text()
    assert page.evaluate("window.hacked") is None
    page.get_by_label("The draft").fill(json.dumps({"formatVersion": 1, "evnts": {}}))
    page.locator("form", has=page.locator("textarea")).get_by_role("button").click()
    page.get_by_role("alert").wait_for()
    assert "evnts" in page.inner_text("main")
    browser.open("/app/p/default/policy")
    page.get_by_text("Activate…").first.click()
    page.get_by_label("to confirm").first.fill(str(first))
    page.get_by_role("button", name=f"Activate version {first}").click()
    page.get_by_text(f"Version {first} is active").wait_for()
    active = client.get("/api/deploys/active", params={"project": "default"}).json()
    assert (active["version"], second > first) == (first, True)
    browser.check_accessible()


def test_a_viewer_sees_no_button_and_is_refused_anyway(headgate, member):
    browser = member("viewer")
    for name in ("keys", "people"):
        page = browser.open(f"/app/p/default/{name}")
        assert page.locator("main button:not([data-copy])").count() == 0
    assert browser.page.get_by_role("link", name="Audit").count() == 0
    refused = (
        ("keys", {"do": "create", "kind": "secret"}),
        ("people", {"do": "invite", "user": "x@example.com", "role": "owner"}),
        ("people", {"do": "role", "user": "viewer@example.com", "role": "owner"}),
        ("policy", {"do": "activate", "version": "1", "confirm": "1"}),
    )
    for name, form in refused:
        url, headers = f"{headgate.http}/app/p/default/{name}", {"Origin": headgate.http}
        answer = browser.page.context.request.post(url, form=form, headers=headers)
        assert (name, answer.status) == (name, 403)
    assert browser.page.context.request.get(f"{headgate.http}/app/p/default/audit").status == 403


def test_the_commands_of_docs_are_taken(headgate, browser):
    page = browser.open("/app/p/default/docs")
    commands = page.locator(".code code").all_inner_texts()
    assert sum(headgate.http in one for one in commands) == 5

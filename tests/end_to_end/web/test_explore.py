"""Explore: each kind of question is asked by the form, and its address says it all."""

from typing import Any

import pytest

HEADGATE_ENVIRONMENT = {"HEADGATE_STORE_ENABLED": "true"}
HOSTILE = '<img src=x onerror="window.hacked=1">'


@pytest.fixture(scope="module", autouse=True)
def asked() -> dict[str, bool]:
    return {}


@pytest.fixture
def explore(browser: Any, send: Any, wait_until: Any, asked: dict[str, bool]) -> Any:
    """The page, once the store has the events."""
    if not asked:
        for plan in ("pro", "pro", "free", HOSTILE):
            assert send("signup", plan=plan, amount=10).status_code == 200
        assert send(HOSTILE, plan="pro").status_code == 200
        asked["sent"] = True
    wait_until(
        lambda: browser.open("/app/p/default/explore").get_by_role("link", name="onerror").count() == 1,
        "the store has them",
        60,
    )
    return browser.page


def test_a_timeseries_is_plotted_beside_its_table(browser, explore):
    browser.check_accessible()
    explore.get_by_role("link", name="signup").click()
    explore.locator("canvas").wait_for()
    assert explore.locator("tbody tr").count() == 7
    assert explore.locator("tbody tr").first.locator("td").last.inner_text() == "4"
    explore.get_by_label("Grouped by").fill("plan")
    explore.get_by_role("button", name="Ask").click()
    explore.get_by_role("columnheader", name="onerror").wait_for()
    assert "by=plan" in explore.url
    assert explore.evaluate("window.hacked") is None
    browser.check()
    browser.check_accessible()


def test_a_breakdown_a_number_and_its_file(browser, explore):
    page = browser.open("/app/p/default/explore?type=breakdown&event=signup&by=plan")
    assert page.locator("tbody tr").count() == 3
    assert HOSTILE in page.locator("table").inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    text = download.value.path().read_text()
    assert text.startswith("key,isOther,value,share")
    page = browser.open(
        "/app/p/default/explore?type=metric&event=signup&metric=sum&property=amount&key1=plan&value1=pro"
    )
    assert page.locator(".figure").inner_text() == "20"
    page.get_by_text("The same over the API").click()
    assert '"agg": "sum"' in page.locator("details pre").inner_text()
    browser.check_accessible()


def test_a_funnel(browser, explore):
    page = browser.open("/app/p/default/explore?type=funnel")
    page.get_by_label("Step 1").fill("signup")
    page.get_by_label("Step 2").fill(HOSTILE)
    page.get_by_role("button", name="Ask").click()
    page.get_by_text("Of the step before").wait_for()
    assert page.locator("tbody tr").count() == 2
    assert page.evaluate("window.hacked") is None
    browser.check()
    browser.check_accessible()


def test_what_is_wrong_with_a_question_is_said(browser, explore):
    page = browser.open("/app/p/default/explore?type=timeseries&event=signup&zone=Moon/Base")
    page.get_by_role("alert").wait_for()
    assert "timezone" in page.inner_text("main")
    browser.check()

"""The page at /logs in a browser, on a running installation."""

from __future__ import annotations

import json
import re
import shlex
from urllib.parse import parse_qs, urlsplit

import httpx
from playwright.sync_api import Page, expect
from tests.browser.installation import Installation
from tests.browser.visitors import Visitors
from tests.dashboards.seed import Event

SEEDED = "since=2026-11-17T00:00:00Z&until=2026-11-18T00:00:00Z"


def on_that_day(installation: Installation) -> list[Event]:
    """The seeded events of 17 November that are in ml-api-logs."""
    return [
        event
        for event in installation.events
        if event["timestamp"].startswith("2026-11-17") and event["data"]["kind"] not in {"service", "letter"}
    ]


def keys(page: Page) -> list[str]:
    """The entries that the page shows, from the top."""
    found: list[str] = page.locator(".log-entry").evaluate_all("rows => rows.map(row => row.dataset.key)")
    return found


def counted(page: Page, count: int) -> None:
    """Wait until the page says that there are so many entries."""
    expect(page.locator(".log-count")).to_have_attribute("data-count", str(count))


def test_a_search_is_typed_shared_and_gone_back_from(visit: Visitors, installation: Installation) -> None:
    """Each filter counts as plain Python does; the address holds the search, and the back button undoes it."""
    events = on_that_day(installation)
    refused = [event for event in events if event["data"].get("status") == "refused"]
    on_path = [event for event in refused if event["data"].get("path") == "/predict"]
    page = visit(f"/logs?{SEEDED}")
    counted(page, len(events))
    page.get_by_label("Status").select_option("refused")
    counted(page, len(refused))
    page.get_by_label("Path").fill("/predict")
    page.keyboard.press("Enter")
    counted(page, len(on_path))
    assert set(keys(page)) <= {f"{e['data']['producer']}-{e['data']['number']}" for e in on_path}
    expect(page.get_by_label("Path")).to_be_focused()
    asked = parse_qs(urlsplit(page.url).query)
    assert (asked["path"], asked["status"]) == (["/predict"], ["refused"])
    other = visit(urlsplit(page.url).path + "?" + urlsplit(page.url).query, language="fr")
    counted(other, len(on_path))
    expect(other.get_by_label("Chemin")).to_have_value("/predict")
    page.go_back()
    counted(page, len(refused))
    expect(page.get_by_label("Path")).to_have_value("")
    page.go_back()
    counted(page, len(events))
    counted(other, len(on_path))


def test_pages_follow_one_another(visit: Visitors, installation: Installation) -> None:
    """Older entries come once each, newest first; the back button returns to the page before."""
    page = visit(f"/logs?{SEEDED}")
    first = keys(page) if page.locator(".log-entry").first.is_visible() else []
    expect(page.locator(".log-entry")).to_have_count(50)
    first = keys(page)
    page.get_by_role("link", name="Older entries").click()
    expect(page.locator(f'[data-key="{first[0]}"]')).to_have_count(0)
    expect(page.locator(".log-entry")).to_have_count(50)
    assert not set(keys(page)) & set(first)
    page.go_back()
    expect(page.locator(f'[data-key="{first[0]}"]')).to_have_count(1)
    assert keys(page) == first


def test_what_comes_in_appears_at_the_top_until_it_is_paused(
    visit: Visitors, installation: Installation
) -> None:
    """New entries come without a search; what is unfolded stays so; a request can be copied and repeated."""
    installation.indexed(installation.predict(AGE=20))
    page = visit("/logs?path=/predict")
    opened = page.locator(".log-entry > details").first
    opened.locator(":scope > summary").click()
    page.get_by_label("Follow live").check()
    given = installation.predict(AGE=21)
    fresh = page.locator(".log-entry.fresh").first
    expect(fresh).to_contain_text('"AGE": 21')
    expect(page.locator(".log-entry > details[open]")).to_have_count(1)
    fresh.locator("> details > summary").click()
    expect(fresh.locator(".tree").first).to_contain_text(given)
    fresh.get_by_role("button", name="Copy as curl").click()
    expect(fresh.get_by_role("button", name="Copied")).to_be_visible()
    words = shlex.split(str(page.evaluate("navigator.clipboard.readText()")))
    assert words[:5] == ["curl", "--globoff", "--request", "POST", f"{installation.stack.url('api')}/predict"]
    again = httpx.post(words[4], content=words[-1], headers={"content-type": "application/json"}, timeout=30)
    assert again.status_code == 200
    assert json.loads(words[-1])["AGE"] == 21
    expect(page.locator(".log-entry.fresh")).to_have_count(2)
    page.get_by_label("Follow live").uncheck()
    expect(page.locator(".log-live")).to_have_attribute("data-state", "paused")
    installation.indexed(installation.predict(AGE=22))
    expect(page.locator(".log-entry.fresh")).to_have_count(2)
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".log-entry").first).to_contain_text('"AGE": 22')


def test_what_was_sent_is_shown_as_text(visit: Visitors, installation: Installation) -> None:
    """Markup in a path and in a body, unfolded, in the list and followed live."""
    api = installation.stack.url("api")
    hostile = "<img src=x onerror=alert(1)>"
    httpx.get(f"{api}/{hostile}'\"", timeout=30)
    given = httpx.post(
        f"{api}/predict",
        content=f"<script>{hostile}",
        headers={"content-type": "application/json"},
        timeout=30,
    ).headers["X-Transaction-Id"]
    page = visit(f"/logs?level=WARNING&transaction_id={given}")
    page.get_by_label("Follow live").check()
    entry = page.locator(".log-entry").first
    entry.locator("> details > summary").click()
    expect(entry.locator(".log-body")).to_contain_text(f"<script>{hostile}")
    other = visit("/logs?level=WARNING")
    other.get_by_label("Follow live").check()
    expect(other.get_by_text(f"GET /{hostile}").first).to_be_visible()
    for one in (page, other):
        assert one.locator(".log-entry :is(script, img, svg)").count() == 0


def test_with_the_store_away_it_is_said_and_following_goes_on(
    visit: Visitors, installation: Installation
) -> None:
    """The stream is read meanwhile; with the store back a search finds it all."""
    with installation.without("store"):
        page = visit("/logs?path=/predict")
        expect(page.get_by_role("alert")).to_contain_text("The stored logs cannot be read now")
        page.get_by_label("Follow live").check()
        given = installation.predict(AGE=23)
        expect(page.locator(".log-entry.fresh").first).to_contain_text('"AGE": 23')
    installation.indexed(given)
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".log-count")).to_be_visible()
    expect(page.locator(".log-entry").first).to_contain_text('"AGE": 23')


def test_with_redis_away_searching_goes_on(visit: Visitors, installation: Installation) -> None:
    """Following says that it waits, and goes on by itself."""
    page = visit(f"/logs?{SEEDED}")
    expect(page.locator(".log-entry")).to_have_count(50)
    page = visit("/logs?path=/predict")
    with installation.without("redis"):
        page.get_by_label("Follow live").check()
        expect(page.locator(".log-live")).to_have_attribute("data-state", "away")
        page.get_by_label("Text").fill("predict")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("text=predict"))
        expect(page.locator(".log-count")).to_be_visible()
    expect(page.locator(".log-live")).to_have_attribute("data-state", "following")


def test_the_stream_is_emptied_only_after_a_confirmation(visit: Visitors, installation: Installation) -> None:
    """What is not indexed is named with both counts, and goes only when that is confirmed too."""
    page = visit("/logs", language="en")
    begin = page.get_by_role("button", name="Empty the stream…")
    begin.click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#logs-clearing")).to_be_hidden()
    with installation.without("pipeline"):
        installation.streamed(installation.predict(AGE=24))
        begin.click()
        page.get_by_role("button", name="Empty it", exact=True).click()
        expect(page.locator(".log-cleared")).to_contain_text(
            re.compile(r"Nothing was deleted: \d+ of \d+ entries")
        )
        page.get_by_role("button", name="Delete what is not indexed too").click()
        expect(page.locator(".log-cleared")).to_contain_text(re.compile(r"\d+ entries were deleted"))
        page.get_by_role("button", name="Close").click()
        expect(page.locator("#logs-clearing")).to_be_hidden()

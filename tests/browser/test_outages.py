"""A part is away: each page says so in words, none hangs or is blank, and all come back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.installation import Installation
from tests.browser.test_frame import PATHS
from tests.browser.visitors import Visitors

REFUSED = r"Failed to load resource"
"""The browser's own line for an answer with an error status."""
TOLD: dict[str, dict[str, str]] = {
    "api": {
        "/trace": r"does not answer|cannot be reached",
        "/pipeline": r"does not answer|cannot be reached",
    },
    "store": {
        "/trace": r"[Tt]he store",
        "/dashboards": r"The store|the store",
        "/logs": r"The store|the store",
        "/drift": r"The store|the store",
        "/pipeline": r"The store|the store",
    },
    "redis": {"/pipeline": r"Redis"},
}
"""What is away → the pages that need it, and what each says."""
HEADER = {
    "api": r"The API does not answer",
    "store": r"Works, but see Pipeline",
    "redis": r"Works, but see Pipeline",
}


def all_said(page: Page) -> str:
    """Return what the page's content says, what stands in closed details included."""
    return str(page.locator("main").evaluate("element => element.textContent"))


@pytest.mark.parametrize("service", HEADER)
def test_pages_say_what_is_away_and_come_back(
    visit: Visitors, installation: Installation, service: str
) -> None:
    """With the part away every page is drawn and those that need it name it; with it back, none does."""
    visit.tolerate(REFUSED)
    page = visit(None)
    with installation.without(service):
        for path in PATHS:
            visit.open(page, path)
            visit.settled(page)
            expect(page.locator("main h1")).to_be_visible()
            expect(page.locator("#site-health")).to_contain_text(re.compile(HEADER[service]))
            if path in TOLD[service]:
                failures = page.locator("main .failure")
                expect(failures.first).to_be_attached()
                said = " ".join(failures.all_text_contents()) if service != "redis" else all_said(page)
                assert re.search(TOLD[service][path], said), (path, said)
            assert "Traceback" not in all_said(page)
            assert "Error" not in {text.strip() for text in page.locator(".toast-body").all_inner_texts()}
    for path in TOLD[service]:
        visit.open(page, path)
        visit.settled(page)
        expect(page.locator("#site-health")).to_contain_text("All is well")
        expect(page.locator("main .failure")).to_have_count(0)


def test_a_prediction_without_the_api_is_said_and_works_again(
    visit: Visitors, installation: Installation
) -> None:
    """The form keeps what was entered; pressed again once the API is back, it answers."""
    page = visit("/")
    with installation.without("api"):
        page.get_by_role("button", name="Predict", exact=True).click()
        expect(page.locator("#result").get_by_role("alert")).to_contain_text("cannot be reached")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_role("link", name="Show what happened")).to_be_visible()


def test_the_header_notices_by_itself(visit: Visitors, installation: Installation) -> None:
    """A page that is open learns that the API went away, and that it is back, without being loaded again."""
    page = visit("/logs")
    expect(page.locator("#site-health")).to_contain_text("All is well")
    with installation.without("api"):
        expect(page.locator("#site-health")).to_contain_text("The API does not answer")
    expect(page.locator("#site-health")).to_contain_text("All is well")

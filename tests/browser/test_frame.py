"""The frame around every page: navigation, language, appearance, health, widths."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.browser.installation import Installation
from tests.browser.visitors import Visitors

PATHS = ("/", "/batch", "/trace", "/dashboards", "/logs", "/drift", "/pipeline")


def test_the_navigation_leads_to_every_page_and_back(visit: Visitors) -> None:
    """Each link opens its page, which is the current one; the browser's back button returns to the one before."""
    page = visit("/")
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    names = links.all_inner_texts()
    assert len(names) == len(PATHS)
    for name, path in zip(names, PATHS, strict=True):
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
        visit.drawn(page)
        expect(page).to_have_url(re.compile(rf"^http://[^/]+{path}(\?.*)?$"))
        expect(page.locator('#site-nav [aria-current="page"]')).to_have_text(name)
        expect(page).to_have_title(f"{name} · Vigie")
        expect(page.locator("main h1")).to_have_count(1)
    page.go_back()
    visit.drawn(page)
    expect(page.locator('#site-nav [aria-current="page"]')).to_have_text(names[-2])


@pytest.mark.parametrize("width", [390, 1600])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_fits_its_window(visit: Visitors, path: str, width: int) -> None:
    """Nothing has to be scrolled sideways, on a phone and on a wide screen."""
    page = visit(path, width=width)
    visit.settled(page)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_skip_link_is_the_first_stop_and_leads_to_the_content(visit: Visitors) -> None:
    """A keyboard gets past the navigation by one key."""
    page = visit("/logs?text=kept")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    expect(page).to_have_url(re.compile(r"/logs\?text=kept$"))


def test_the_header_says_which_model_answers_and_how_it_is(
    visit: Visitors, installation: Installation
) -> None:
    """Version and health are the API's own."""
    health = httpx.get(f"{installation.stack.url('api')}/health", timeout=30).json()
    page = visit("/")
    expect(page.locator("#site-health")).to_contain_text(f"version {health['model']['version']}")
    expect(page.locator("#site-header .name")).to_have_text(installation.schema.title.en)
    expect(page.locator("#site-header .notice")).to_contain_text(
        "Demonstration model trained on a simulated cohort; not a medical device."
    )


def test_the_appearance_follows_the_system_until_it_is_chosen(visit: Visitors) -> None:
    """Dark by the system's wish; light once chosen, also after the next page is opened."""
    page = visit("/", theme="dark")
    assert dark(page)
    page.get_by_label("Appearance").select_option("Light")
    page.wait_for_function("!document.body.classList.contains('dark')")
    visit.open(page, "/logs")
    assert not dark(page)
    page.get_by_label("Appearance").select_option("System")
    page.wait_for_function("document.body.classList.contains('dark')")


def dark(page: Page) -> bool:
    """Whether the page is drawn dark, header and components alike."""
    colours = page.evaluate(
        "[document.body, document.querySelector('#site-header')].map(e => getComputedStyle(e).backgroundColor)"
    )
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) > 384 for colour in colours]
    assert light[0] == light[1], colours
    return not light[0]

"""English and French: by the browser's wish, by the switch, on every page and for what the server writes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.test_frame import PATHS
from tests.browser.visitors import Visitors

from vigie.ui.texts import Texts

ENGLISH = re.compile(
    r"\b(the|and|of|with|from|this|that|which|what|search|loading|submit|clear|drop|click|upload|select|show|hide|"
    r"next|previous|error|rows|none|yet|when|where|until|since)\b",
    re.IGNORECASE,
)
"""Words that no French sentence has."""
TEXTS = Texts()


def chrome_of(page: Page) -> str:
    """Return what the page itself says: its visible text and names, without code and stored data."""
    return str(
        page.evaluate(
            """() => {
                const skipped = "code, pre, script, style, [lang=en], [data-stored], .log-message, option";
                const said = [];
                const walk = (node) => {
                    if (node.nodeType === Node.TEXT_NODE) said.push(node.data);
                    if (node.nodeType !== Node.ELEMENT_NODE || node.matches(skipped)) return;
                    for (const name of ["aria-label", "title", "placeholder"]) said.push(node.getAttribute(name) ?? "");
                    node.childNodes.forEach(walk);
                };
                walk(document.body);
                return said.map((text) => text.trim()).filter(Boolean).join("\\n");
            }"""
        )
    )


@pytest.mark.parametrize("path", PATHS)
def test_a_french_browser_reads_french_alone(visit: Visitors, path: str) -> None:
    """No English is left in what the page says by itself, its components included."""
    page = visit(path, language="fr")
    visit.settled(page)
    assert page.evaluate("document.documentElement.lang") == "fr"
    english = [line for line in chrome_of(page).splitlines() if ENGLISH.search(line)]
    assert english == []


def test_the_switch_decides_and_keeps_the_address(visit: Visitors) -> None:
    """A French browser reads English after the switch, on the same address, and on the next page; and back."""
    page = visit("/trace?id=nonsense", language="fr")
    page.get_by_role("button", name="English").click()
    expect(page).to_have_title("Trace · Vigie")
    visit.drawn(page)
    expect(page).to_have_url(re.compile(r"/trace\?id=nonsense$"))
    assert page.evaluate("[document.documentElement.lang, navigator.language]") == ["en", "en"]
    page.get_by_role("link", name="Logs", exact=True).click()
    expect(page).to_have_title("Logs · Vigie")
    visit.drawn(page)
    page.get_by_role("button", name="Français").click()
    expect(page).to_have_title("Journaux · Vigie")
    expect(page.locator("main h1")).to_have_text(TEXTS.say("fr", "logs.title"))

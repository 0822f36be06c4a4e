"""What axe-core finds on the pages: no serious and no critical fault."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from tests.browser.installation import Installation
from tests.browser.test_frame import PATHS
from tests.browser.visitors import Theme, Visitors

GRAVE = {"serious", "critical"}


def faults(page: Page) -> list[str]:
    """Return axe's serious and critical findings, each with the first places it concerns."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: "
        + "; ".join(
            f"{node['html'][:160]} {node.get('failureSummary', '')[:200]}" for node in one["nodes"][:3]
        )
        for one in found
        if one["impact"] in GRAVE
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_no_grave_fault(visit: Visitors, path: str, theme: Theme) -> None:
    """Names, roles, contrast and structure of every page, in both themes."""
    page = visit(path, theme=theme)
    visit.settled(page)
    assert faults(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_answer_and_its_trace_have_no_grave_fault(
    visit: Visitors, installation: Installation, theme: Theme
) -> None:
    """What appears after a question is held to the same."""
    page = visit("/", theme=theme)
    page.get_by_role("button", name="Predict", exact=True).click()
    link = page.get_by_role("link", name="Show what happened")
    expect(link).to_be_visible()
    visit.settled(page)
    assert faults(page) == []
    transaction = installation.predict(AGE=70)
    installation.indexed(transaction)
    visit.open(page, f"/trace?id={transaction}")
    visit.settled(page)
    assert faults(page) == []

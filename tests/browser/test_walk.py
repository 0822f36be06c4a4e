"""From a prediction to a dashboard that shows it, by what the pages say alone."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import expect
from tests.browser.installation import Installation
from tests.browser.visitors import Visitors

MOST_CLICKS = 4


def test_a_prediction_leads_to_its_trace_and_to_a_dashboard_that_shows_it(
    visit: Visitors, installation: Installation
) -> None:
    """Predict, its trace, the dashboard: by visible text, in at most four clicks."""
    page = visit("/")
    clicks = 0

    def click(text: str, role: str) -> None:
        nonlocal clicks
        clicks += 1
        page.get_by_role(role, name=text, exact=True).and_(page.locator(":visible")).click()

    click("Predict", "button")
    answer = page.locator("#result")
    expect(answer).to_contain_text("Show what happened")
    (transaction,) = re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}", answer.inner_text())

    click("Show what happened", "link")
    visit.drawn(page)
    expect(page.locator("main")).to_contain_text(transaction)
    installation.indexed(transaction)

    click("Performance dashboard of that hour", "link")
    visit.drawn(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Dashboards")
    expect(page).to_have_url(re.compile(r"/dashboards\?name=performance&since="))
    assert clicks <= MOST_CLICKS

    counted = page.locator('table[data-panel="profiler_coverage"] [data-value]')
    expect(counted.first).to_be_attached()
    values = [cell.get_attribute("data-value") for cell in counted.all()]
    asked = httpx.URL(page.url).params
    stored = inferred_between(installation, asked["since"], asked["until"])
    assert transaction in stored
    assert sum(float(value) for value in values if value) == len(stored)


def inferred_between(installation: Installation, since: str, until: str) -> list[str]:
    """Return the transaction ids of the predictions that the store holds the performance of."""
    inferred = {
        "bool": {
            "filter": [
                {"term": {"doc_type": "request"}},
                {"range": {"@timestamp": {"gte": since, "lt": until}}},
            ]
        }
    }
    return [found["transaction_id"] for found in installation.stack.documents("ml-api-perfs", inferred)]

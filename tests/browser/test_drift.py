"""Drift and quality in a browser: checked on demand, the same numbers as in the store, downloads, both languages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.browser.installation import Installation
from tests.browser.visitors import Visitors
from tests.drift.traffic import rows

OLD = 95


@pytest.fixture(scope="module")
def predictions(installation: Installation) -> list[dict[str, Any]]:
    """All stored predictions of the served model, the newest like the training data but of one great age."""
    ids = [installation.predict(**{**row, "AGE": OLD}) for row in rows(installation.schema, 120, 7)]
    for one in ids[-10:]:
        installation.indexed(one)
    return installation.stack.documents(
        "ml-api-message",
        {
            "bool": {
                "filter": [
                    {"term": {"doc_type": "prediction"}},
                    {"term": {"status": "ok"}},
                    {"term": {"model.name": "lung_cancer"}},
                    {"term": {"model.version": "1.0.0"}},
                ]
            }
        },
    )


def checked(visit: Visitors, page: Page, window: str, button: str) -> None:
    """Choose a window by its words and have it checked, once the page shows what it shows by itself."""
    visit.settled(page)
    page.get_by_label(window, exact=True).check()
    page.get_by_role("button", name=button).click()
    visit.settled(page)


def shares(page: Page, feature: str, metric: str) -> dict[str, float]:
    """Return a picture's numbers as they stand in the page: bin → share of the rows."""
    rows = page.locator(f'table[data-panel="distribution-{feature}"] tbody tr')
    found: list[list[str]] = rows.evaluate_all(
        f"""rows => rows.map(row => [row.querySelector("th").textContent,
            row.querySelector('[data-metric="{metric}"]').dataset.value])"""
    )
    return {name: float(value) for name, value in found}


def test_a_check_shows_the_numbers_of_the_store(
    visit: Visitors, installation: Installation, predictions: list[dict[str, Any]]
) -> None:
    """The alarm names the input that changed, its picture has the shares of the newest predictions."""
    page = visit("/drift")
    checked(visit, page, "Newest 500", "Check now")
    drift = page.locator("#drift-found")
    expect(drift.get_by_text("just now")).to_be_visible()
    expect(drift.locator("[data-state=alarm]")).to_contain_text("Age")
    newest = predictions[-500:]
    ages = [document["input_data"]["AGE"] for document in newest]
    assert ages.count(OLD) >= 60
    found = shares(page, "AGE", "now")
    top = next(name for name in found if name.startswith("≥"))
    least = int(re.sub(r"\D", "", top))
    assert found[top] == pytest.approx(sum(age >= least for age in ages) / len(ages))
    tired = sum(document["input_data"]["FATIGUE"] for document in newest) / len(newest)
    assert shares(page, "FATIGUE", "now")["yes"] == pytest.approx(tired)
    expect(page.locator("#distribution-AGE .chart svg")).to_be_visible()
    expect(page.locator("#quality-found h2").first).to_contain_text("Quality")


def test_inputs_without_drift_are_drawn_when_they_are_asked_for(
    visit: Visitors, predictions: list[dict[str, Any]]
) -> None:
    """They are folded away, and their pictures are drawn as soon as they are opened."""
    assert predictions
    page = visit("/drift", language="fr", width=390)
    checked(visit, page, "Dernières 24 heures", "Vérifier maintenant")
    expect(page.locator("#drift-found")).to_contain_text("à l’instant")
    page.get_by_text("Entrées sans dérive").click()
    stable = page.locator("details.more-pictures figure")
    expect(stable.first.locator(".chart svg")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_reports_are_downloaded(visit: Visitors, predictions: list[dict[str, Any]]) -> None:
    """Both reports are files that need nothing else."""
    assert predictions
    page = visit("/drift")
    checked(visit, page, "Newest 500", "Check now")
    expect(page.locator("#drift-found")).to_contain_text("just now")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the drift report").click()
    assert download.value.suggested_filename == "drift-lung_cancer-1.0.0.html"
    assert "ALARM: drift of" in download.value.path().read_text(encoding="utf-8")

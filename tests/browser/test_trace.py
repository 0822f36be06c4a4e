"""The page at /trace in a browser, on a running installation."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Page, expect
from tests.browser.installation import Installation
from tests.browser.visitors import Visitors
from tests.dashboards.seed import when


def values(page: Page, part: str) -> dict[str, float]:
    """Name → value of the numbers that a part of the page shows."""
    cells = page.locator(f"#{part} [data-metric]").evaluate_all(
        "cells => cells.map(cell => [cell.dataset.metric, cell.dataset.value])"
    )
    return {name: float(value) for name, value in cells if value}


def test_a_prediction_is_traced_from_its_answer_to_the_store(
    visit: Visitors, installation: Installation
) -> None:
    """Opened at once, the page looks by itself until the event is stored, and shows what the API has of it."""
    given = installation.predict(AGE=71)
    page = visit(f"/trace?id={given}")
    expect(page.locator("#trace-documents")).to_contain_text("ml-api-message")
    trace = installation.indexed(given)
    expect(page.locator('[data-fact="transaction_id"]')).to_have_text(given)
    expect(page.locator('[data-fact="status"]')).to_have_text("answered (200)")
    expect(page.locator("#trace-request")).to_contain_text("71 years")
    stages = values(page, "trace-stages")
    assert {name: stages[name.removesuffix("_ms")] for name in trace["stages"]} == trace["stages"]
    shown = values(page, "trace-metrics")
    assert shown == {name: trace["metrics"][name] for name in shown}
    assert set(shown) >= {"latency_ms", "inference_time_ms", "cpu_time_ms", "memory_mb", "memory_delta_mb"}
    functions = page.locator("#trace-functions tbody th").all_inner_texts()
    assert functions == [one["function"] for one in trace["top_functions"]]
    document = page.locator('.document[data-index="ml-api-message"]')
    tree = document.locator(":scope > .tree")
    expect(tree).to_be_hidden()
    document.locator(":scope > summary").click()
    expect(tree.get_by_text("features_present")).to_be_visible()


def test_its_place_is_counted_among_those_of_its_hour(visit: Visitors, installation: Installation) -> None:
    """The sentence and the bars are what plain counting of the seeded events says."""
    answered = [
        event
        for event in installation.events
        if event["data"].get("kind") == "prediction"
        and event["data"].get("status") == "ok"
        and "batch_id" not in event["data"]
    ]
    chosen = answered[len(answered) // 2]
    hour = when(chosen).replace(minute=0, second=0, microsecond=0)
    alike = [
        e["data"]["latency_ms"]
        for e in answered
        if when(e).replace(minute=0, second=0, microsecond=0) == hour
    ]
    page = visit(f"/trace?id={chosen['data']['transaction_id']}")
    place = page.locator("#trace-place .place")
    expect(place).to_have_attribute("data-total", str(len(alike)))
    expect(place).to_have_attribute(
        "data-slower", str(sum(latency > chosen["data"]["latency_ms"] for latency in alike))
    )
    page.locator("#trace-place summary").click()
    counts = page.locator("#trace-place td[data-metric=count]").evaluate_all(
        "cells => cells.map(cell => Number(cell.dataset.value))"
    )
    assert sum(counts) == len(alike)
    own = page.locator('#trace-place tr[aria-current="true"] td').all_inner_texts()
    assert float(own[0]) <= chosen["data"]["latency_ms"] <= float(own[1])
    page.get_by_role("link", name="Performance dashboard of that hour").click()
    visit.drawn(page)
    expect(page).to_have_url(re.compile(rf"/dashboards\?name=performance&since={hour:%Y-%m-%dT%H}"))


def test_a_recent_prediction_is_chosen_and_the_back_button_returns(
    visit: Visitors, installation: Installation
) -> None:
    """From the list to its trace, and back."""
    given = installation.predict(AGE=33)
    installation.indexed(given)
    page = visit("/trace")
    page.get_by_role("link", name=given).click()
    visit.drawn(page)
    expect(page.locator('[data-fact="transaction_id"]')).to_have_text(given)
    page.go_back()
    expect(page.get_by_role("heading", name="Recent predictions")).to_be_visible()


def test_an_id_is_entered_by_keyboard(visit: Visitors, installation: Installation) -> None:
    """What is none is said, an unknown one too; the field keeps what was typed."""
    page = visit("/trace", language="fr")
    page.get_by_label("Identifiant de transaction").fill("<img src=x onerror=alert(1)>")
    page.keyboard.press("Enter")
    visit.drawn(page)
    expect(page.get_by_role("alert")).to_contain_text("Ce n’est pas un identifiant")
    field = page.get_by_label("Identifiant de transaction")
    expect(field).to_have_value("<img src=x onerror=alert(1)>")
    field.fill("019A0000-0000-7000-8000-000000000001")
    page.keyboard.press("Enter")
    visit.drawn(page)
    expect(page.get_by_role("alert")).to_contain_text("Cette requête n’existe pas")
    expect(page).to_have_url(re.compile(r"/trace\?id=019A0000"))


def test_a_refused_request_says_what_was_sent_and_why(visit: Visitors, installation: Installation) -> None:
    """Markup in its input stays text."""
    given = installation.predict(AGE="<svg onload=alert(1)>")
    installation.indexed(given)
    page = visit(f"/trace?id={given}", width=390, theme="dark")
    expect(page.locator('[data-fact="status"]')).to_have_text("refused (422)")
    expect(page.locator("#trace-request .trace-reasons")).to_contain_text("AGE")
    expect(page.locator("#trace-request .tree")).to_contain_text("<svg onload=alert(1)>")
    expect(page.locator("#outcome")).to_be_hidden()


def test_how_it_turned_out_is_told_weeks_later_from_the_trace(
    visit: Visitors, installation: Installation
) -> None:
    """The link to a trace is what somebody keeps: the true outcome is sent from there."""
    given = installation.predict()
    installation.indexed(given)
    page = visit(f"/trace?id={given}")
    page.get_by_label("NO", exact=True).check()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#truth-told")).to_contain_text("NO is")
    answer = httpx.post(
        f"{installation.stack.url('api')}/feedback", json={"transaction_id": given, "label": "NO"}, timeout=30
    )
    assert answer.json()["status"] == "known"


def test_with_the_api_away_the_page_says_so_and_comes_back_by_itself(
    visit: Visitors, installation: Installation
) -> None:
    """Nothing has to be reloaded."""
    given = installation.predict(AGE=55)
    installation.indexed(given)
    with installation.without("api"):
        page = visit(f"/trace?id={given}")
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(page.locator('[data-fact="transaction_id"]')).to_have_text(given)

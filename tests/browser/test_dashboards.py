"""The dashboards in a browser: their numbers, their charts, time, choices and refresh."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from tests.browser.installation import Installation
from tests.browser.visitors import Visitors
from tests.dashboards.expected import Asked, expected_answers
from tests.dashboards.page_numbers import Rows, typed
from tests.dashboards.seed import DAYS, START
from tests.dashboards.test_panels import UNORDERED, same

from vigie.dashboards.query import panel_query
from vigie.dashboards.specification import Panel, load_specification, panels_file

UNTIL = START + timedelta(days=DAYS)
OF_TWO_DAYS = f"since={START:%Y-%m-%dT%H:%MZ}&until={UNTIL:%Y-%m-%dT%H:%MZ}"
OF_AN_HOUR = "since=2026-11-18T06:15Z&until=2026-11-18T07:15Z"
NAMES = ("overview", "performance", "drift", "pipeline")

READ = """() => Object.fromEntries([...document.querySelectorAll("[data-panel]")].map((panel) => [
  panel.dataset.panel,
  (panel.matches("table") ? [...panel.tBodies[0].rows] : [panel]).map((row) => [
    [...row.querySelectorAll("[data-key]")].map((cell) => cell.dataset.key),
    Object.fromEntries([row, ...row.querySelectorAll("[data-metric]")].filter((cell) => cell.dataset.metric)
      .map((cell) => [cell.dataset.metric, cell.dataset.value])),
  ]),
]))"""
"""Panel → rows of keys and values, as they are in the document."""


def opened(page: Page, name: str) -> None:
    """Wait until the dashboard `name` is there with every chart drawn."""
    page.wait_for_selector(f'.dashboard[data-address*="name={name}"]')
    page.wait_for_function(
        "[...document.querySelectorAll('.chart')].every((chart) => chart.querySelector('svg .marks, svg.marks'))"
    )


def rows_of(page: Page) -> dict[str, Rows]:
    """Return what the document shows of each panel."""
    return {name: [(keys, values) for keys, values in rows] for name, rows in page.evaluate(READ).items()}


def test_the_numbers_of_every_panel_are_those_of_the_events(
    visit: Visitors, installation: Installation
) -> None:
    """What stands in the document is what plain Python computes from the seeded events, panel by panel."""
    answers = expected_answers(installation.schema)
    specification = load_specification(panels_file(), installation.schema)
    wrong, seen = [], set()
    page = visit(None)
    for dashboard in specification.dashboards:
        visit.open(page, f"/dashboards?name={dashboard.id}&{OF_TWO_DAYS}")
        opened(page, dashboard.id)
        rows = rows_of(page)
        for panel in dashboard.panels:
            wrong += faults(panel, rows.get(panel.id, []), answers, installation)
            seen.add(panel.id)
    assert wrong == []
    assert seen == set(answers)


def faults(panel: Panel, rows: Rows, answers: dict, installation: Installation) -> list[str]:  # type: ignore[type-arg]
    """Return what is wrong with the rows shown of `panel`."""
    interval = panel_query(panel, START, UNTIL).interval_seconds
    wanted = answers[panel.id](Asked.of(installation.events, START, UNTIL, interval))
    found = typed(panel, rows)
    order = sorted if panel.id in UNORDERED else list
    if order(found) != order(wanted):
        return [f"{panel.id}: rows {order(found)[:3]}, not {order(wanted)[:3]}"]
    return [
        f"{panel.id} {keys} {name}: {value}, not {wanted[keys][name]}"
        for keys, values in found.items()
        for name, value in values.items()
        if not same(value, wanted[keys][name])
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_is_drawn_and_none_is_empty(visit: Visitors, name: str) -> None:
    """Vega draws marks for each panel that is a chart, without an error or a warning in the console."""
    page = visit(None)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    visit.open(page, f"/dashboards?name={name}&{OF_AN_HOUR}")
    opened(page, name)
    assert (
        page.evaluate(
            """() => [...document.querySelectorAll(".chart")].filter((chart) =>
            !chart.querySelector("svg :is(.mark-rect, .mark-line, .mark-symbol, .mark-area) path")
        ).map((chart) => chart.dataset.chart)"""
        )
        == []
    )
    assert [text for text in said if "vega" in text.lower() or "WARN" in text] == []
    assert page.locator('.panel[data-state="failed"]').count() == 0


def test_a_french_reader_has_french_panels(visit: Visitors) -> None:
    """Titles, axes, help and choices are French; the numbers of the table are written in French."""
    page = visit(f"/dashboards?name=performance&{OF_TWO_DAYS}", language="fr")
    opened(page, "performance")
    panel = page.locator('[data-panel-id="largest_memory"]')
    expect(panel.get_by_role("heading")).to_have_text("Jusqu’où le processus a grossi")
    expect(panel.locator(".figure")).to_have_text(re.compile(r"^\d+,\d\sMo$"))
    expect(page.locator('[data-chart="cpu_time_over_time"] svg')).to_contain_text("Temps CPU (ms)")
    panel.locator(".help summary").click()
    expect(panel.locator(".help p")).to_contain_text("Plus grande mémoire résidente")
    expect(panel.locator(".help p")).to_be_visible()
    panel.locator(".help summary").click()
    expect(panel.locator(".help p")).to_be_hidden()


def test_the_time_chosen_is_the_address_and_the_back_button_returns(visit: Visitors) -> None:
    """A preset, then a time of one's own, each asked at once, shared by the address, undone by the back button."""
    page = visit("/dashboards")
    opened(page, "overview")
    page.get_by_label("Time", exact=True).select_option("Last 30 days")
    expect(page).to_have_url(re.compile(r"last=30d"))
    page.wait_for_selector('.dashboard[data-address*="last=30d"]')
    page.get_by_text("From – to").click()
    page.locator('input[name="since"]').fill("2026-11-17T00:00")
    page.locator('input[name="until"]').fill("2026-11-19T00:00")
    page.get_by_role("button", name="Show").click()
    page.wait_for_selector('.dashboard[data-address*="since=2026-11-17T00:00"]')
    expect(page).to_have_url(re.compile(r"since=2026-11-17T00%3A00&until=2026-11-19T00%3A00"))
    page.go_back()
    page.wait_for_selector('.dashboard[data-address*="last=30d"]')
    expect(page.get_by_label("Time", exact=True)).to_have_value("30d")


def test_a_choice_narrows_every_panel_and_is_kept_in_the_address(
    visit: Visitors, installation: Installation
) -> None:
    """One model version chosen: the count is that version's, the list stays open for the next choice."""
    page = visit(f"/dashboards?name=overview&{OF_TWO_DAYS}")
    opened(page, "overview")
    page.get_by_text("Model version: all").click()
    page.get_by_label("1.1.0").check()
    page.wait_for_selector('.dashboard[data-address*="model.version=1.1.0"]')
    answered = Asked.of(installation.events, START, UNTIL, None).answered
    wanted = sum(event["data"]["model"]["version"] == "1.1.0" for event in answered)
    expect(page.locator('.figure[data-panel="predictions_answered"]')).to_have_attribute(
        "data-value", str(wanted)
    )
    expect(page.get_by_label("1.0.0")).to_be_visible()
    expect(page).to_have_url(re.compile(r"model\.version=1\.1\.0"))


def test_a_drag_over_a_chart_chooses_its_time(visit: Visitors) -> None:
    """What is marked on one chart becomes the time of the whole dashboard."""
    page = visit(f"/dashboards?name=overview&{OF_TWO_DAYS}")
    opened(page, "overview")
    box = page.locator('[data-chart="predictions_per_hour"] svg').bounding_box()
    assert box is not None
    height = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.4, height)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, height, steps=5)
    page.mouse.move(box["x"] + box["width"] * 0.6, height, steps=5)
    page.mouse.up()
    page.wait_for_function(f"!location.search.includes({f'{START:%Y-%m-%dT%H}'!r})")
    page.wait_for_selector('.dashboard[data-address*="since=2026-11-17T"]')
    since, until = page.evaluate(
        "['since', 'until'].map((name) => new URLSearchParams(location.search).get(name))"
    )
    span = datetime.fromisoformat(until) - datetime.fromisoformat(since)
    assert timedelta(hours=6) < span < timedelta(hours=14)


def test_a_refresh_keeps_what_the_reader_opened_and_draws_nothing_anew(visit: Visitors) -> None:
    """Numbers stay unfolded, the keyboard stays where it was, an unchanged chart is the same picture."""
    page = visit(f"/dashboards?name=overview&{OF_TWO_DAYS}")
    opened(page, "overview")
    summary = page.locator('[data-keep="numbers-features_present"] > summary')
    summary.click()
    page.evaluate("document.querySelector('[data-chart=features_present] svg').id = 'the-same'")
    page.evaluate("document.querySelector('.dashboard').dataset.old = 'yes'")
    summary.focus()
    page.evaluate("window.vigie.askDashboard(location.search)")
    page.wait_for_selector(".dashboard:not([data-old])")
    opened(page, "overview")
    expect(page.locator('[data-keep="numbers-features_present"] table')).to_be_visible()
    assert (
        page.evaluate("document.activeElement.closest('details')?.dataset.keep") == "numbers-features_present"
    )
    assert page.locator("[data-chart=features_present] svg#the-same").count() == 1


def test_a_dashboard_refreshes_by_itself_until_it_is_told_not_to(visit: Visitors) -> None:
    """The switch stands in the address; off, nothing is asked again."""
    page = visit("/dashboards?name=overview&last=1h")
    opened(page, "overview")
    assert page.evaluate("document.querySelector('.dashboard').dataset.refreshSeconds") == "30"
    page.evaluate("document.querySelector('.dashboard').dataset.refreshSeconds = 1")
    page.evaluate("document.querySelector('.dashboard').dataset.old = 'yes'")
    page.wait_for_selector(".dashboard:not([data-old])")  # asked by itself
    page.get_by_label("Refresh every 30").uncheck()
    page.wait_for_selector('.dashboard[data-refresh-seconds="0"]')
    expect(page).to_have_url(re.compile("refresh=off"))


def test_without_the_store_the_page_says_so_and_comes_back(
    visit: Visitors, installation: Installation
) -> None:
    """One sentence with what to do; when the store is back a refresh draws the panels."""
    visit.tolerate("Failed to load resource")
    with installation.without("store"):
        page = visit(f"/dashboards?name=overview&{OF_TWO_DAYS}")
        expect(page.locator(".dashboard .failure")).to_contain_text("does not answer")
        expect(page.get_by_role("link", name="Performance")).to_be_visible()
    page.get_by_role("button", name="Refresh now").click()
    opened(page, "overview")
    expect(page.locator(".dashboard .failure")).to_have_count(0)
    expect(page.locator('.figure[data-panel="predictions_answered"]')).not_to_have_attribute("data-value", "")


def test_a_stored_value_is_text_in_the_page(visit: Visitors, installation: Installation) -> None:
    """A path that somebody asked for with markup in it is shown as it is."""
    hostile = "<img src=x onerror=window.harmed=1>"
    page = visit("/dashboards?name=overview&last=1h&" + "path=" + hostile.replace(" ", "%20"))
    page.wait_for_selector(".dashboard")
    expect(page.locator('summary:has-text("Path") b')).to_have_text(hostile)
    assert page.evaluate("window.harmed") is None

"""The parts of the page on the pipeline: what the API and the store say, in words, with what is lost named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.ui.asked import HOSTILE, away, with_api, words
from tests.ui.handlers import handlers, request
from tests.ui.sites import site_of

from vigie.schema import FeatureSchema
from vigie.ui.pages import pipeline
from vigie.ui.pipeline.dead_letters import Place
from vigie.ui.pipeline.parts import SHOWN, TERMS, PipelineParts, producer_rows
from vigie.ui.site import Site
from vigie.ui.spans import span
from vigie.ui.store_reader import Away, StoreAwayError

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NOTHING = dict.fromkeys((*TERMS, "doubled"), 0)
HEALTH = {
    "status": "ok",
    "reasons": [],
    "stages": {"model": None, "journal": None, "redis": None, "pipeline": None, "store": None},
    "backlog": 3,
    "dropped": 0,
}


class Store:
    """Answers in the store's place."""

    url = "http://store"

    def __init__(self, reports: list[dict[str, Any]], fault: Away | None = None) -> None:
        self.reports, self.fault = reports, fault

    async def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reports, the newest first."""
        assert (index, body["size"]) == ("ml-api-perfs", 500)
        if self.fault:
            raise StoreAwayError("away", self.fault)
        newest = sorted(self.reports, key=lambda one: str(one["@timestamp"]), reverse=True)
        return {"hits": {"hits": [{"_source": one} for one in newest]}}


class PanelsAway(Store):
    """Answers no panel."""

    def __init__(self) -> None:
        super().__init__([])

    async def search(self, index: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Say that nothing is there."""
        raise StoreAwayError("away", "away")


@pytest.fixture
def site(schema: FeatureSchema, tmp_path: Path) -> Site:
    """Shared parts; nothing of them is connected."""
    return site_of(schema, tmp_path)


def producer(name: str, role: str = "api", *, closed: bool = False, **counts: int) -> dict[str, Any]:
    """One producer of GET /ledger."""
    own = {**NOTHING, **counts}
    produced = sum(own[term] for term in TERMS)
    return {"producer": name, "role": role, "closed": closed, "produced": produced, **own}


def ledger(*producers: dict[str, Any], problems: tuple[str, ...] = ()) -> dict[str, Any]:
    """GET /ledger."""
    totals = {term: sum(one[term] for one in producers) for term in ("produced", *TERMS, "doubled")}
    return {
        "balanced": not problems,
        "totals": totals,
        "producers": list(producers),
        "documents": [{"index": "ml-api-logs", "expected": 7, "stored": 7, "expired": 0, "erased": 0}],
        "problems": list(problems),
        "notes": [],
    }


def report(service: str, producer: str, seconds_ago: float, **figures: Any) -> dict[str, Any]:
    """A process's report."""
    at = (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")
    return {"service": service, "producer": producer, "@timestamp": at, "uptime_seconds": 90.0, **figures}


async def test_each_stage_says_what_is_wrong_and_the_remedy(site: Site) -> None:
    """The stage that is wrong carries the API's words, the others are well; 503 of a broken model counts too."""
    problem = f"Redis at 127.0.0.1:1 is away: start it {HOSTILE}"
    broken = {**HEALTH, "status": "degraded", "stages": {**HEALTH["stages"], "redis": problem}}  # type: ignore[dict-item]
    with_api(site, health=broken)
    html = await PipelineParts(site).stages("en")
    states = dict(re.findall(r'data-stage="(\w+)" class="(\w+)"', html))
    assert states == {
        "model": "well",
        "journal": "well",
        "redis": "wrong",
        "pipeline": "well",
        "store": "well",
    }
    assert "start it" in html
    assert "<img" not in html
    assert "3 events wait in it" in words(html)
    with_api(site, health=away(503, {**HEALTH, "status": "unavailable"}))
    assert 'data-stage="model"' in await PipelineParts(site).stages("fr")
    with_api(site, health=away())
    html = await PipelineParts(site).stages("fr")
    assert "L’état des étapes est inconnu" in html
    assert "Rien ne répond à l’adresse http://api" in words(html)


async def test_the_ledger_is_a_sum_in_words_and_numbers(site: Site) -> None:
    """Balanced, each term in the total, and what is not 0 among the columns."""
    with_api(site, ledger=ledger(producer("p1", indexed=1200, pending=3), producer("p2", "ui", filtered=4)))
    html = await PipelineParts(site).ledger("fr")
    totals = dict(re.findall(r'data-metric="(\w+)" data-value="(\d+)"', html))
    assert totals == {"produced": "1207", "indexed": "1200", "filtered": "4", "pending": "3", "missing": "0"}
    assert 'data-balanced="true"' in html
    assert "1 200" in words(html)
    assert "Chaque événement produit est justifié" in words(html)


async def test_a_loss_is_named_with_its_producer(site: Site) -> None:
    """Dropped and missing events stand above the table, however many producers there are."""
    others = [producer(f"other-{number}", indexed=1) for number in range(SHOWN + 5)]
    lossy = producer("the-one-that-lost", "api", closed=True, indexed=10, dropped=7, missing=2)
    problem = f"producer the-one-that-lost: 2 events are missing: 4-5 {HOSTILE}"
    with_api(site, ledger=ledger(*others, lossy, problems=(problem,)))
    html = await PipelineParts(site).ledger("en")
    assert 'data-loss="the-one-that-lost"' in html
    assert "the-one-that-lost (API) lost events: 7 dropped and declared, 2 missing" in words(html)
    assert "missing: 4-5" in words(html)
    assert 'data-balanced="false"' in html
    assert "<img" not in html


def test_producers_without_news_share_a_row() -> None:
    """Closed ones, and those beyond what is shown, are summed up; nobody's counts are lost."""
    closed = [producer(f"closed-{number}", closed=True, indexed=2) for number in range(4)]
    waiting = producer("closed-but-waiting", closed=True, pending=1)
    running = [producer(f"running-{number}", indexed=3) for number in range(SHOWN + 2)]
    found = list(producer_rows([*closed, waiting, *running]))
    assert found[0].name == "closed-but-waiting"
    assert len(found) == SHOWN + 1
    assert (found[-1].name, found[-1].together) == ("", 4 + 3)
    assert sum(row.counts["produced"] for row in found) == 4 * 2 + 1 + 3 * (SHOWN + 2)


async def test_without_events_the_ledger_says_what_fills_it(site: Site) -> None:
    """An installation that is new is neither balanced nor wrong: it is empty."""
    with_api(site, ledger=ledger())
    assert "make simulate" in words(await PipelineParts(site).ledger("en"))
    with_api(site, ledger=away(503, {"detail": "Redis is away"}))
    assert "The ledger could not be measured" in await PipelineParts(site).ledger("en")


async def test_processes_are_their_newest_reports(site: Site) -> None:
    """One row for each, silent ones marked; the pipeline's last report says backlog and lag."""
    reports = [
        report("api", "api-1", 5, backlog=2, dropped=4, observer_us_per_request=31.4),
        report("api", "api-1", 35, backlog=900, dropped=0),
        report("ui", "ui-1", 300, backlog=0, dropped=0),
        report("pipeline", "pipeline-1", 20, backlog=17, lag_ms=2500.0, dropped=0),
        report("pipeline", "pipeline-0", 400, backlog=99, lag_ms=9e9, dropped=0),
        report(HOSTILE, "strange", 3, dropped=0),
    ]
    object.__setattr__(site, "store", Store(reports))
    html = await PipelineParts(site).processes("en", NOW)
    rows = dict(re.findall(r'<tr data-key="([^"]+)">(.*?)</tr>', html, re.DOTALL))
    assert set(rows) == {"api-1", "ui-1", "pipeline-1", "pipeline-0", "strange"}
    assert 'data-metric="backlog" data-value="2"' in rows["api-1"]
    assert "31 µs per event" in words(rows["api-1"])
    assert "silent for 5.00 min" in words(rows["ui-1"])
    assert "Front end does not report" in words(html)
    assert "API does not report" not in words(html)
    tiles = dict(re.findall(r'<dd data-metric="(\w+)" data-value="([^"]+)"', html))
    assert tiles == {"backlog": "17", "lag_ms": "2500.0"}
    assert "<img" not in html


async def test_without_reports_or_store_the_processes_say_so(site: Site) -> None:
    """Nothing reported is told apart from a store that cannot be asked."""
    object.__setattr__(site, "store", Store([]))
    assert "make demo" in words(await PipelineParts(site).processes("fr", NOW))
    object.__setattr__(site, "store", Store([], "away"))
    html = await PipelineParts(site).processes("en", NOW)
    assert 'role="alert"' in html
    assert "http://store" in words(html)


@pytest.mark.parametrize(
    ("milliseconds", "english", "french"),
    [
        (0, "0 ms", "0 ms"),
        (12.4, "12.4 ms", "12,4 ms"),
        (5_990, "5.99 s", "5,99 s"),
        (18_000_000, "5.00 h", "5,00 h"),
        (259_200_000, "3.00 days", "3,00 jours"),
    ],
)
def test_lengths_of_time_have_the_largest_unit_that_fits(
    milliseconds: float, english: str, french: str
) -> None:
    """In the language's way of writing numbers."""
    assert span("en", milliseconds) == english.replace(" ", "\u00a0")
    assert span("fr", milliseconds) == french.replace(" ", "\u00a0")


async def test_each_part_is_drawn_in_the_language_of_who_asks(site: Site) -> None:
    """On load and with each tick by the same function; a part that fails leaves the others alone."""
    with_api(site, health=HEALTH, ledger=away())
    object.__setattr__(site, "store", Store([report("api", "api-1", 5, backlog=2, dropped=4)]))
    page = handlers(pipeline.build, site)
    assert {
        name: len(found) for name, found in page.items() if name in {"stages", "processes", "ledger"}
    } == {
        "stages": 2,
        "processes": 2,
        "ledger": 2,
    }
    assert "3 événements y attendent" in words(await page["stages"][0](request("fr")))
    assert 'data-key="api-1"' in await page["processes"][0](request())
    assert "The ledger could not be measured" in words(await page["ledger"][1](request()))


async def test_panels_of_a_store_that_is_away_say_so_once(site: Site) -> None:
    """One sentence in the place of all of them, which names the store; below it the way to the dashboard."""
    object.__setattr__(site, "store", PanelsAway())
    html = await handlers(pipeline.build, site)["draw"][-1](request("fr"))
    assert html.count('role="alert"') == 1
    assert "http://store" in words(html)
    assert "data-panel-id" not in html
    assert 'href="./dashboards?name=pipeline"' in html


async def test_a_button_does_what_it_says(site: Site) -> None:
    """To ask touches nothing; to replay is followed to its end; the page's place and replay are the visitor's."""
    counts = {"indexed": 0, "filtered": 0, "failed": 0, "left": 0, "gone": 0}
    replay = {"id": "r1", "state": "waiting", "counts": counts, "still_there": [], "problem": None}
    empty = {"total": 0, "letters": [], "next": None}
    api = with_api(site, pipeline_dead=empty, pipeline_replays=replay)
    api.answers |= {
        "/pipeline/discards": {"discarded": 1, "waiting": 0},
        "/pipeline/replays/r1": {**replay, "state": "done", "counts": {**counts, "indexed": 1}},
    }
    page = handlers(pipeline.build, site)
    (press,), (follow,) = page["press"], page["follow"]

    async def pressed(action: str, seen: Place, running: str) -> tuple[Any, ...]:
        event = SimpleNamespace(_data={"action": action, "letter": "7-0"})
        return tuple(await press(seen, running, event, request()))

    _, said, seen, running, timer = await pressed("ask", Place(), "")
    assert (said, seen, running, timer.active) == ("", Place(asked="7-0"), "", False)
    assert [method for method, _, _ in api.asked] == ["GET"]
    _, said, seen, running, timer = await pressed("replay", seen, running)
    assert ('data-replay="waiting"' in said, seen, running, timer.active) == (True, Place(), "r1", True)
    _, _, _, running, timer = await pressed("unfold", seen, running)
    assert (running, timer.active) == ("r1", True), "what is looked at does not end what is followed"
    _, said, _, running, timer = await follow(seen, running, request())
    assert ('data-replay="done"' in said, running, timer.active) == (True, "", False)
    _, said, *_ = await pressed("discard", Place(asked="7-0"), "")
    assert 'data-discarded="1"' in said
    assert api.asked[-2] == ("POST", "/pipeline/discards", {"letters": ["7-0"]})

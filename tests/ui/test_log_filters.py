"""Searching the log: what the filters find in a store is what they say of each entry by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.logs_pipeline.events import PRODUCER, prediction, record

from vigie.indices.event_order import cursor
from vigie.indices.mappings import LOGS
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import Settings
from vigie.telemetry.stream.stream import Stream
from vigie.ui.logs.entries import LogEntry
from vigie.ui.logs.filters import LONGEST, PAGE, LogFilters
from vigie.ui.logs.words import Term, fit, terms_of
from vigie.ui.store_reader import StoreReader

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BATCH = "01900000-0000-7000-8000-000000000900"
LAST = 130


def log(number: int, message: str, level: str = "INFO", **data: Any) -> dict[str, Any]:
    """A log line of the application."""
    return {
        "level": level,
        "message": message,
        "data": {"kind": "log", "producer": PRODUCER, "number": number, "service": "api", **data},
    }


def events() -> list[dict[str, Any]]:
    """Requests and log lines of all sorts, half a minute apart, the last a minute before NOW."""
    special: dict[int, dict[str, Any]] = {
        3: log(3, "Model reloaded: version 2.0.0 serves now", transaction_id=BATCH),
        4: log(4, "could not reload", "ERROR", exception="Traceback\n  File x.py\nValueError: broken pipe"),
        5: log(5, "Pipeline broken? The pipe is fine", "WARNING"),
        6: {**prediction(6, status="refused", status_code=422, input_data=None), "level": "WARNING"},
        7: {**prediction(7, status="failed", status_code=500), "level": "ERROR"},
        8: prediction(8, path="/predict_proba", correlation_id="Client-7"),
        9: prediction(9, path="/predict/batch", batch_id=BATCH),
        10: prediction(10, path="/predict/batch", kind="request", transaction_id=BATCH, result=None),
        11: prediction(11, path="/model", kind="request", method="GET"),
        12: log(12, "<script>alert('x')</script> & «ünïcode» words"),
    }
    made = [special.get(number) or prediction(number) for number in range(1, LAST + 1)]
    times = [NOW - timedelta(minutes=1, seconds=30 * (LAST - number)) for number in range(1, LAST + 1)]
    return [
        {**event, "timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        for event, when in zip(made, times, strict=True)
    ]


def entries() -> list[LogEntry]:
    """The events as they are read from the stream, newest first."""
    streamed = [{"id": "1-0", **orjson.loads(orjson.dumps(event))} for event in events()]
    return [LogEntry.streamed(one) for one in reversed(streamed)]


def write(settings: Settings, made: list[dict[str, Any]], first: int = 1) -> None:
    """Write events to the stream, index them and let the store show them."""
    Stream.open(settings.redis).write(PRODUCER, [record(event, n) for n, event in enumerate(made, first)])
    run_once(settings)
    with connect_store(settings.store) as store:
        store.indices.refresh(index=f"{settings.store.es_index_prefix}{LOGS}")


@pytest.fixture
def reader(settings: Settings) -> Iterator[StoreReader]:
    """A store with these events."""
    write(settings, events())
    found = StoreReader(settings.store)
    yield found
    found.close()


async def keys_found(reader: StoreReader, filters: LogFilters) -> tuple[list[str], int]:
    """Return the keys of the first page of a search, and how many there are in all."""
    answer = await reader.search(LOGS, filters.search(NOW, PARIS))
    hits = answer["hits"]
    return [LogEntry.stored(hit["_source"]).key for hit in hits["hits"]][:PAGE], hits["total"]["value"]


SEARCHES: dict[str, int] = {
    "": 130,
    "level=ERROR": 2,
    "level=WARNING&status=refused": 1,
    "status=failed": 1,
    "status=shed": 0,
    "path=/predict": 122,
    "path=/predict*": 125,
    "path=/predict/*": 2,
    "path=/mod": 0,
    f"transaction_id={BATCH.upper()}": 3,
    "transaction_id=Client-7": 1,
    "transaction_id=client-7": 0,
    "text=reload*": 2,
    "text=reload": 1,
    "text=broken+pipe": 2,
    'text="broken+pipe"': 1,
    'text="broken pipe" -fine': 1,
    "text=RELOADED -could": 1,
    "text=-post": 4,
    "text=script": 1,
    "text=ünïcode+%26": 1,
    "text=%26+%3F": 130,
    "last=15m": 29,
    "last=1h": 119,
    "since=2026-11-20T12:30:00": 59,
    "since=2026-11-20T11:30:00Z&until=2026-11-20T12:31:00": 2,
    "until=2026-11-20T10:55:00Z": 1,
    "last=15m&since=2026-11-20T10:00:00": 29,
    "since=0001-01-01T00:00:00": 130,
    "until=9999-12-31T23:59:59": 130,
    "level=INFO&path=/predict*&text=200&last=1h": 118,
}


async def test_every_filter_finds_what_it_says_of_each_entry(reader: StoreReader) -> None:
    """In the store and in the stream the same entries fit, newest first, alone and together."""
    for query, expected in SEARCHES.items():
        filters = LogFilters.of({name: values[0] for name, values in parse_qs(query).items()})
        assert filters.faults() == []
        page, total = await keys_found(reader, filters)
        fitting = [entry.key for entry in entries() if filters.fits(entry, NOW, PARIS)]
        assert (page, total) == (fitting[:PAGE], len(fitting)), query
        assert total == expected, query


async def test_pages_stay_as_they_were_while_entries_arrive(reader: StoreReader, settings: Settings) -> None:
    """Page by page each entry comes once, though newer ones are stored in between."""
    found: list[str] = []
    filters = LogFilters()
    for page in range(4):
        answer = await reader.search(LOGS, filters.search(NOW, PARIS))
        hits = answer["hits"]["hits"]
        found += [LogEntry.stored(hit["_source"]).key for hit in hits[:PAGE]]
        if len(hits) <= PAGE:
            break
        filters = LogFilters(cursor=cursor(*hits[PAGE - 1]["sort"]))
        assert filters.faults() == []
        newer = {**prediction(LAST + page + 1), "timestamp": "2026-11-20T12:30:00.000000Z"}
        write(settings, [newer], LAST + page + 1)
    assert found == [entry.key for entry in entries()]


def test_what_cannot_be_searched_for_is_named() -> None:
    """Made-up values never reach the store."""
    wrong = LogFilters.of(
        {"level": "LOUD", "status": "<b>", "last": "2y", "since": "noon", "until": "25:00", "cursor": "1-2",
         "text": "x" * (LONGEST + 1), "unknown": "x"}
    )  # fmt: skip
    assert wrong.faults() == ["cursor", "last", "level", "since", "status", "text", "until"]
    assert LogFilters.of({"since": "0001-01-01T00:00:00", "until": "9999-12-31T23:59:59"}).faults() == []


FILTERS = st.builds(
    LogFilters,
    **{
        name: st.text(max_size=20).map(str.strip)
        for name in ("level", "path", "text", "transaction_id", "since")
    },
)


@given(FILTERS)
def test_an_address_holds_the_whole_search(filters: LogFilters) -> None:
    """What is read from it is what was written into it, whatever characters it has."""
    encodable = all(not 0xD800 <= ord(one) < 0xE000 for one in "".join([filters.level, filters.text]))
    if not encodable:
        return
    asked = parse_qs(urlsplit(filters.address()).query, keep_blank_values=True)
    assert LogFilters.of({name: values[0] for name, values in asked.items()}) == filters


@given(st.text(), st.text())
def test_every_text_is_a_search(text: str, message: str) -> None:
    """Any input gives conditions; a word of a text is found in it, and not found when it is unwanted."""
    terms = terms_of(text)
    assert all(term.words for term in terms)
    fit(terms, [message])
    wanted = terms_of(message)[:1]
    if wanted and not wanted[0].negated and not wanted[0].phrase:
        assert fit(wanted, [message])
        assert not fit([Term(wanted[0].words, negated=True)], [message])


def test_following_ends_where_the_time_does() -> None:
    """Only the newest page without an end changes while one looks at it."""
    assert LogFilters().open_ended
    assert LogFilters(last="1h", until="2026-11-20T12:00:00").open_ended
    assert not LogFilters(until="2026-11-20T12:00:00").open_ended
    assert not LogFilters(cursor="1-1-aa").open_ended


def test_a_time_is_shown_in_the_zone_of_the_page() -> None:
    """An address from a dashboard is in UTC, the field is not."""
    assert LogFilters(since="2026-11-20T12:00:00Z").local("since", PARIS) == "2026-11-20T13:00:00"
    assert LogFilters(since="2026-11-20T12:00").local("since", PARIS) == "2026-11-20T12:00:00"
    assert LogFilters(since="noon").local("since", PARIS) == LogFilters().local("since", PARIS) == ""

"""A request among those of its hour: the share and the bars against plain counting, on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.logs_pipeline.events import PRODUCER, prediction, record

from vigie.indices.mappings import LOGS
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import Settings
from vigie.telemetry.stream.stream import Stream
from vigie.ui.store_reader import StoreReader
from vigie.ui.trace.latency_place import EDGES_MS, Place

UTC_ZONE = ZoneInfo("UTC")
LATENCIES = [0.004, 0.3, 0.3, 0.4, 0.5, 0.55, 1.0, 1.25, 2.0, 9.9, 250_000.0]


def events() -> list[dict[str, Any]]:
    """Predictions of one hour, and others that are not to be compared with them."""
    own = [{"latency_ms": latency} for latency in LATENCIES]
    others: list[dict[str, Any]] = [
        {"status": "refused", "status_code": 422},
        {"batch_id": "01900000-0000-7000-8000-000000000099", "path": "/predict/batch"},
        {"kind": "request", "path": "/model"},
        {"kind": "request", "path": "/model", "latency_ms": 3.0},
        {"kind": "request", "path": "/other"},
    ]
    made = [prediction(number, **changes) for number, changes in enumerate([*own, *others], 1)]
    late = {**prediction(len(made) + 1), "timestamp": "2026-11-21T00:00:00.000000Z"}
    return [*made, late]


@pytest.fixture
def reader(settings: Settings) -> Iterator[StoreReader]:
    """A store with these events."""
    Stream.open(settings.redis).write(PRODUCER, [record(event, n) for n, event in enumerate(events(), 1)])
    run_once(settings)
    with connect_store(settings.store) as store:
        store.indices.refresh(index=f"{settings.store.es_index_prefix}{LOGS}")
    found = StoreReader(settings.store)
    yield found
    found.close()


async def test_share_and_bars_are_those_of_plain_counting(reader: StoreReader) -> None:
    """Only predictions that went well, of that hour, by the same way in; each in the bar of its latency."""
    for latency in (0.3, 9.9):
        place = Place.of(prediction(1, latency_ms=latency), UTC_ZONE)
        assert place is not None
        found = place.found(await reader.search(LOGS, place.search()))
        assert found.total == len(LATENCIES)
        assert found.slower == sum(one > latency for one in LATENCIES)
        assert found.share_slower == found.slower / len(LATENCIES)
        assert sum(bar.count for bar in found.bars) == len(LATENCIES)
        for bar in found.bars:
            low, high = bar.low_ms or 0.0, bar.high_ms or float("inf")
            assert bar.count == sum(low <= one < high for one in LATENCIES)
            assert bar.own == (low <= latency < high)
        assert (found.bars[0].low_ms, found.bars[-1].high_ms) == (None, None)
        assert max(bar.height for bar in found.bars) == 100


async def test_rows_and_requests_are_compared_with_their_like(reader: StoreReader) -> None:
    """A row with rows, a request with those to its path; in an hour without documents nothing is compared."""
    row = Place.of(prediction(1, batch_id="x"), UTC_ZONE)
    request = Place.of(prediction(1, kind="request", path="/model", latency_ms=1.5), UTC_ZONE)
    assert row is not None
    assert request is not None
    assert (row.among, request.among) == ("rows", "requests")
    rows = row.found(await reader.search(LOGS, row.search()))
    requests = request.found(await reader.search(LOGS, request.search()))
    assert (rows.total, rows.slower) == (1, 0)
    assert (requests.total, requests.slower) == (2, 1)
    expired = Place.of({**prediction(1), "timestamp": "2020-01-01T10:30:00Z"}, UTC_ZONE)
    assert expired is not None
    none = expired.found(await reader.search(LOGS, expired.search()))
    assert (none.total, none.slower, none.bars, none.share_slower) == (0, 0, (), 0.0)


def test_the_hour_is_one_of_the_clock_that_is_shown() -> None:
    """Zones that are off by half an hour have hours of their own."""
    place = Place.of({**prediction(1), "timestamp": "2026-11-20T10:15:00Z"}, ZoneInfo("Asia/Kolkata"))
    assert place is not None
    assert place.since == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert place.until == datetime(2026, 11, 20, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "event",
    [
        prediction(1, status="refused"),
        prediction(1, latency_ms="fast"),
        prediction(1, latency_ms=True),
        prediction(1, kind="log"),
        {**prediction(1), "timestamp": "yesterday"},
        {},
    ],
)
def test_what_did_not_go_well_or_says_no_time_has_no_place(event: dict[str, Any]) -> None:
    """Nothing is asked for it."""
    assert Place.of(event, UTC_ZONE) is None


def test_the_bars_are_equal_steps_without_gaps() -> None:
    """Each bound is about a quarter above the one before."""
    assert all(1.2 < high / low < 1.3 for low, high in pairwise(EDGES_MS))

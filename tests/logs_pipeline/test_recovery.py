"""When a store comes back: full speed at once, with nothing left of the caution of the time without it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import orjson
import pytest
from tests.logs_pipeline.events import PRODUCER
from tests.logs_pipeline.fault_store import Answer, FaultStore, Line, fault_store

from vigie.indices.store_client import connect_store
from vigie.logs_pipeline import breaker as breaker_module
from vigie.logs_pipeline import indexer as indexer_module
from vigie.logs_pipeline.breaker import LONGEST_PROBE_PAUSE_SECONDS, CircuitBreaker
from vigie.logs_pipeline.filter import Document
from vigie.logs_pipeline.indexer import Indexer, Job
from vigie.settings import Settings
from vigie.telemetry.stream.stream import StreamEntry, Verdict

REFUSALS = 200
"""Refused bulks in a row, as an hour without a store brings them."""
KIB = 1024


@pytest.fixture
def store() -> Iterator[FaultStore]:
    """A store that does what it is told."""
    with fault_store() as found:
        yield found


@pytest.fixture
def indexer(store: FaultStore, settings_for: Callable[..., Settings]) -> Iterator[Indexer]:
    """An indexer on it whose breaker hardly waits."""
    stop = threading.Event()
    settings = settings_for(ES_HOST="127.0.0.1", ES_PORT=store.url.rpartition(":")[2])
    with connect_store(settings.store) as client:
        yield Indexer(client, store.url, stop, CircuitBreaker(longest=0.001))
    stop.set()


def jobs(count: int) -> list[Job]:
    """Events of one document of a kibibyte each."""
    source = orjson.dumps({"padding": "x" * KIB})
    return [
        Job(
            StreamEntry(f"{number}-0", PRODUCER, number, b"{}"),
            [Document("logs", "logs-2026.11.20", f"{PRODUCER}-{number}", source)],
        )
        for number in range(1, count + 1)
    ]


def busy(_: list[Line]) -> Answer:
    """Refuse a bulk as a whole."""
    return 429, {"error": {"type": "es_rejected_execution_exception", "reason": "full"}, "status": 429}


def test_a_long_outage_is_followed_by_few_bulks(
    store: FaultStore, indexer: Indexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bulks that had shrunk to one event each double again: 2,000 events need a dozen of them."""
    monkeypatch.setattr(breaker_module, "_SLOW_SECONDS", 1000.0)  # a busy machine is no slow store
    settled: list[Verdict] = []
    store.faults = [busy] * REFUSALS
    indexer.index(jobs(2000), settled.extend)
    assert len(settled) == 2000
    sizes = [len(bulk) for bulk in store.bulks[REFUSALS:]]
    assert sum(sizes) == 2000
    assert len(sizes) <= 14
    assert sizes[0] <= 4


def test_nobody_waits_twice_for_the_same_store(
    store: FaultStore, indexer: Indexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the breaker is open it alone decides when to try; a batch has no pause of its own on top."""
    pauses: list[int] = []

    def backoff(attempt: int) -> float:
        pauses.append(attempt)
        return 0.0

    monkeypatch.setattr(indexer_module, "backoff", backoff)
    settled: list[Verdict] = []
    store.faults = [busy] * 20
    indexer.index(jobs(5), settled.extend)
    assert (len(settled), pauses) == (5, [])


def test_documents_refused_one_by_one_open_the_breaker_when_none_is_taken(
    store: FaultStore, indexer: Indexer
) -> None:
    """A store that answers 200 and takes nothing is as busy as one that answers 429, and is named as such."""
    reasons: list[str | None] = []
    left = {"refusals": 30}

    def refuse(_: Line) -> Answer | None:
        reasons.append(indexer.breaker.reason)
        left["refusals"] -= 1
        return (
            (429, {"type": "es_rejected_execution_exception", "reason": "full"})
            if left["refusals"] > 0
            else None
        )

    store.refuse = refuse
    settled: list[Verdict] = []
    indexer.index(jobs(10), settled.extend)
    assert len(settled) == 10
    assert reasons[:10] == [None] * 10
    assert "give the store more memory" in (reasons[10] or "")
    assert indexer.breaker.reason is None


def test_an_open_breaker_looks_again_within_seconds_however_long_it_was_open() -> None:
    """The pause between two tries stops growing."""
    now = 0.0
    breaker = CircuitBreaker(clock=lambda: now)
    for _ in range(1000):
        breaker.trip("away")
    now = LONGEST_PROBE_PAUSE_SECONDS
    assert breaker.wait(threading.Event())

"""Replay on a store that has real mappings: everything is stored and counted once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from elasticsearch import Elasticsearch
from tests.logs_pipeline.events import PRODUCER, predictions

from vigie.ledger.proof import verify
from vigie.logs_pipeline.dead_letters import Replayed, discard, replay
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import Settings
from vigie.telemetry.stream.stream import Record, Stream

MESSAGE_INDEX = "ml-api-message-2026.11.20"
DAY = datetime(2026, 11, 21, tzinfo=UTC)
"""A day after the events: nothing of theirs is expired."""


@pytest.fixture
def conflict(settings: Settings, store: Elasticsearch) -> Callable[[], None]:
    """An index of the events' day that somebody made with a wrong mapping; call it to repair that."""
    name = f"{settings.store.es_index_prefix}{MESSAGE_INDEX}"
    alias = name.removesuffix("-2026.11.20")
    wrong = {"path": {"type": "double"}}
    store.indices.create(index=name, aliases={alias: {}}, mappings={"dynamic": False, "properties": wrong})

    def repair() -> None:
        store.indices.delete(index=name)

    return repair


def outcomes(settings: Settings, ids: list[str] | None = None) -> list[str]:
    """Replay, and return what became of each letter."""
    return [one.outcome for one in replay(settings, ids, now=DAY)]


def of(found: list[Replayed], outcome: str) -> list[int]:
    """Return the numbers of the letters with that outcome."""
    return [one.letter.number for one in found if one.outcome == outcome]


def counted(store: Elasticsearch, settings: Settings, index: str) -> int:
    """Count the documents of an index, or of an alias, without prefix."""
    name = f"{settings.store.es_index_prefix}{index}"
    store.indices.refresh(index=name)
    return int(store.count(index=name)["count"])


def state_of(stream: Stream) -> tuple[dict[str, int], dict[str, int]]:
    """Return the producer's counts, and the documents expected of it by index without prefix."""
    (state,) = stream.producers()
    by_index = {name.partition("ml-api-")[2]: count for name, count in state.documents.items()}
    return dict(state.counts), by_index


def test_a_mapping_conflict_is_replayed_once_after_the_mapping_was_fixed(
    settings: Settings, stream: Stream, store: Elasticsearch, conflict: Callable[[], None]
) -> None:
    """The letter names each refused document; fixed and replayed, everything is stored and counted once."""
    stream.write(PRODUCER, predictions(1, 20))
    summary = run_once(settings)
    assert (summary.counts.indexed, summary.counts.dead, summary.complete) == (0, 20, True)
    letter = stream.letters.after("", 1)[0]
    (failure,) = letter.failures
    assert failure.index == f"{settings.store.es_index_prefix}{MESSAGE_INDEX}"
    assert (failure.id, failure.status) == (f"{PRODUCER}-1", 400)
    assert failure.type == "document_parsing_exception"
    assert "path" in failure.reason
    assert failure.reason in letter.reason
    assert (letter.attempts, letter.stray) == (1, False)
    assert letter.first_at <= letter.last_at
    assert sum(letter.stored.values()) == 2
    assert state_of(stream)[1] == {"logs-2026.11.20": 20, "perfs-2026.11.20": 24}

    assert outcomes(settings) == ["failed"] * 20
    assert stream.letters.count() == 20

    conflict()
    assert outcomes(settings) == ["indexed"] * 20
    assert outcomes(settings) == []
    for index, count in (("ml-api-logs", 20), ("ml-api-message", 20), ("ml-api-perfs", 24)):
        assert counted(store, settings, index) == count
    assert state_of(stream) == (
        {"indexed": 20, "filtered": 0, "dead": 0, "cleared": 0},
        {"logs-2026.11.20": 20, "message-2026.11.20": 20, "perfs-2026.11.20": 24},
    )
    report = verify(settings)
    assert report.balanced, report.problems
    assert run_once(settings).counts.read == 0


def test_two_replays_at_the_same_time_count_once(
    settings: Settings, stream: Stream, store: Elasticsearch, conflict: Callable[[], None]
) -> None:
    """Both may store an event; only the one that removes the letter counts it, each document once."""
    stream.write(PRODUCER, predictions(1, 300))
    run_once(settings)
    assert stream.letters.count() == 300
    conflict()
    found: list[Replayed] = []
    threads = [threading.Thread(target=lambda: found.extend(replay(settings, None, now=DAY))) for _ in "12"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(of(found, "indexed")) == list(range(1, 301))
    assert {one.outcome for one in found} <= {"indexed", "gone"}
    assert counted(store, settings, "ml-api-message") == 300
    assert state_of(stream) == (
        {"indexed": 300, "filtered": 0, "dead": 0, "cleared": 0},
        {"logs-2026.11.20": 300, "message-2026.11.20": 300, "perfs-2026.11.20": 360},
    )
    assert stream.ledger.totals().dead == 0
    assert verify(settings).balanced


def test_the_ledger_balances_with_letters_discarded(settings: Settings, stream: Stream) -> None:
    """Dead is what has a letter or a record of its discarding; each is named in the ledger."""
    stream.write(PRODUCER, [*predictions(1, 1), *(Record(number, b"not json") for number in range(2, 6))])
    run_once(settings)
    ids = {letter.number: letter.id for letter in stream.letters.after("")}
    assert discard(settings, [ids[2], ids[4]]) == 2
    assert stream.letters.numbers() == {PRODUCER: [3, 5]}
    assert list(stream.ledger.bits(PRODUCER, 5).discarded) == [2, 4]
    assert verify(settings).balanced
    assert discard(settings, None) == 2
    assert list(stream.ledger.bits(PRODUCER, 5).discarded) == [2, 3, 4, 5]
    report = verify(settings)
    assert (report.balanced, report.totals["dead"]) == (True, 4)
    assert state_of(stream)[0] == {"indexed": 1, "filtered": 0, "dead": 4, "cleared": 0}

"""The ledger: balanced on a quiet and on a busy system, and never when something is lost or doubled."""

from __future__ import annotations

import threading

import orjson
import pytest
from elasticsearch import Elasticsearch
from tests.ledger.conftest import delete, only
from tests.logs_pipeline.events import PRODUCER, prediction, predictions
from tests.servers import free_port, wait_for

from vigie.ledger.proof import LedgerError, verify
from vigie.ledger.report import Row
from vigie.logs_pipeline.pipeline import run_continuously, run_once
from vigie.settings import Settings
from vigie.telemetry.journal.journal import Journal
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.stream import Gap, Record, Stream, Verdict


def test_a_quiet_system_balances_in_every_state(settings: Settings, stream: Stream) -> None:
    """Each state is counted at its own place, and together they are what was produced."""
    stream.register(PRODUCER, {"role": "api"})
    stream.write(PRODUCER, predictions(1, 4))
    stream.ensure_group()
    stream.settle([Verdict(entry, "cleared") for entry in stream.read("clear", 4, 0)])
    stream.write(PRODUCER, [*predictions(5, 10), Gap(11, 13, "journal full"), Record(14, b"poison")])
    run_once(settings)
    stream.write(PRODUCER, predictions(15, 16))
    report = verify(settings)
    row = only(report)
    assert row == Row(
        PRODUCER,
        "api",
        closed=False,
        produced=16,
        indexed=6,
        filtered=0,
        dead=1,
        cleared=4,
        expired=0,
        erased=0,
        removed=0,
        pending=2,
        dropped=3,
        missing=0,
        doubled=0,
        faulty=False,
    )
    assert report.problems == ()
    assert [(found.expected, found.stored) for found in report.documents] == [(6, 6), (6, 6), (8, 8)]
    assert report.as_dict()["balanced"] is True
    assert report.as_dict()["totals"]["dropped"] == 3
    assert report.equation() == "produced 16 = indexed 6 + dead 1 + cleared 4 + pending 2 + dropped 3"
    assert "ml-api-perfs: 8 documents stored, 8 expected" in list(report.lines())


@pytest.mark.slow
def test_a_busy_system_balances(settings: Settings, stream: Stream) -> None:
    """While events are produced, shipped and indexed at full speed, every measurement adds up."""
    stop, filled = threading.Event(), threading.Event()

    def produce() -> None:
        number = 1
        while not stop.is_set():
            if stream.backlog() > 1000:  # fast enough to be busy, not to fill the machine
                stop.wait(0.01)
                continue
            stream.write(PRODUCER, predictions(number, number + 19))
            number += 20
            filled.set()

    threads = [
        threading.Thread(target=produce),
        threading.Thread(target=run_continuously, args=(settings, stop)),
    ]
    for thread in threads:
        thread.start()
    try:
        assert filled.wait(60)
        wait_for(lambda: stream.ledger.totals().indexed > 0, 60)
        reports = [verify(settings) for _ in range(20)]
        wait_for(lambda: only(verify(settings)).produced > only(reports[0]).produced, 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert [report.problems for report in reports] == [()] * 20
    produced = [only(report).produced for report in reports]
    assert produced == sorted(produced)
    assert verify(settings).balanced


def test_what_is_in_a_journal_is_pending(settings: Settings, stream: Stream) -> None:
    """Events that a process of this host has not shipped yet are counted where they are."""
    journal = Journal.create(settings.api.vigie_home, "api", settings.journal)
    journal.append([prediction(number) for number in range(1, 6)])  # type: ignore[arg-type]  # plain dicts
    report = verify(settings)
    assert (only(report).produced, only(report).pending) == (5, 5)
    items = journal.read(3)
    stream.write(journal.producer, items)
    journal.advance(3)
    report = verify(settings)
    assert (only(report).produced, only(report).pending, report.problems) == (5, 5, ())
    journal.close(delete=False)
    assert run_once(settings).counts.indexed == 5
    report = verify(settings)
    assert (only(report).indexed, report.balanced) == (5, True)


@pytest.mark.parametrize("index", ["ml-api-logs", "ml-api-message", "ml-api-perfs"])
def test_a_deleted_document_is_noticed(
    settings: Settings, stream: Stream, store: Elasticsearch, index: str
) -> None:
    """One stored document less than was accepted, in any index, and the ledger does not balance."""
    stream.write(PRODUCER, predictions(1, 40))
    run_once(settings)
    assert verify(settings).balanced
    delete(store, settings, index, 17)
    what = "1 indexed events are not in the store" if index == "ml-api-logs" else f"{index} lacks 1 documents"
    assert verify(settings).problems == (f"producer {PRODUCER}: {what}, of number 17",)


def test_reports_are_in_the_ledger_like_any_other_event(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """They are in another index than the rest, and neither hide nor feign a missing document."""
    report = {"timestamp": "2026-11-20T10:00:00Z", "level": "INFO", "message": "up"}
    data = {"kind": "service", "service": "api", "backlog": 0}
    for number in range(1, 21):
        event = prediction(number) if number % 2 else {**report, "data": data}
        stream.write(PRODUCER, [Record(number, orjson.dumps(event))])
    run_once(settings)
    found = verify(settings)
    assert (only(found).indexed, found.problems) == (20, ())
    assert [(one.expected, one.stored) for one in found.documents] == [(10, 10), (10, 10), (20, 20)]
    delete(store, settings, "ml-api-logs", 7)
    delete(store, settings, "ml-api-perfs", 8)
    assert verify(settings).problems == (
        f"producer {PRODUCER}: 2 indexed events are not in the store, of number 7–8",
        f"producer {PRODUCER}: ml-api-logs lacks 1 documents",
        f"producer {PRODUCER}: ml-api-perfs lacks 1 documents",
    )


def test_a_document_too_many_is_noticed(settings: Settings, stream: Stream, store: Elasticsearch) -> None:
    """The same event in a second physical index is one document too many."""
    stream.write(PRODUCER, predictions(1, 3))
    run_once(settings)
    alias = f"{settings.store.es_index_prefix}ml-api-logs"
    store.indices.refresh(index=alias)
    (hit,) = store.search(index=alias, query={"term": {"number": 2}})["hits"]["hits"]
    store.index(index=f"{alias}-2026.11.21", id=hit["_id"], document=hit["_source"], refresh=True)
    assert verify(settings).problems == (
        f"producer {PRODUCER}: 1 events are stored more than once, of number 2",
    )


def test_missing_numbers_are_named(settings: Settings, stream: Stream) -> None:
    """Numbers that are nowhere are named as ranges."""
    stream.write(PRODUCER, predictions(1, 10))
    run_once(settings)
    stream.write(PRODUCER, [*predictions(14, 14), *predictions(16, 18)])
    entry = stream.newest(1)[0]
    stream.client.xdel(keys.STREAM, entry.id)
    report = verify(settings)
    assert report.problems == (f"producer {PRODUCER}: missing 5 (11–13, 15, 18)",)
    assert (only(report).produced, only(report).pending, only(report).missing) == (18, 3, 5)


def test_a_closed_producers_last_number_counts(settings: Settings, stream: Stream) -> None:
    """What a producer said it produced is what must be found."""
    stream.write(PRODUCER, predictions(1, 2))
    run_once(settings)
    stream.close_producer(PRODUCER, 4)
    (problem,) = verify(settings).problems
    assert "missing 2 (3–4)" in problem


def test_numbers_in_two_states_or_none_are_named(settings: Settings, stream: Stream) -> None:
    """Bitmaps that contradict each other are no proof."""
    stream.write(PRODUCER, predictions(1, 5))
    run_once(settings)
    stream.client.setbit(keys.bitmap_key(PRODUCER, "dead", 0), 1, 1)
    stream.client.setbit(keys.bitmap_key(PRODUCER, "indexed", 0), 3, 0)
    problems = verify(settings).problems
    assert f"producer {PRODUCER}: in more than one state 1 (2)" in problems
    assert f"producer {PRODUCER}: settled in no state 1 (4)" in problems


def test_folded_chunks_count_without_their_bitmaps(
    settings: Settings, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk that became counts balances like any other."""
    monkeypatch.setattr(keys, "CHUNK_BITS", 3)
    monkeypatch.setattr("vigie.telemetry.stream.ledger_state.CHUNK_SIZE", 8)
    stream.write(PRODUCER, predictions(1, 20))
    run_once(settings)
    report = verify(settings)
    assert (only(report).indexed, only(report).produced, report.problems) == (20, 20, ())
    assert stream.ledger.bits(PRODUCER, 20).folded.keys() == {0, 1}


def test_what_was_written_or_deleted_by_hand_is_noted(settings: Settings, stream: Stream) -> None:
    """Interference with the stream is told, beside the account."""
    stream.write(PRODUCER, predictions(1, 2))
    stream.client.xadd(keys.STREAM, {"by": "hand"})
    stream.ensure_group()
    first, *_ = stream.read("dead", 1, 0)
    stream.client.xdel(keys.STREAM, first.id)
    run_once(settings, min_idle_ms=100)
    report = verify(settings)
    assert report.notes == (
        "1 entries are in no producer's ledger: written by hand, or under a number that its producer never wrote",
        "1 pending entries were deleted from the stream by somebody else",
    )
    assert report.problems == (f"producer {PRODUCER}: missing 1 (1)",)


def test_a_store_or_redis_that_is_away_is_said(settings: Settings, stream: Stream) -> None:
    """Without the store the ledger is not proven; without Redis there is none."""
    stream.write(PRODUCER, predictions(1, 2))
    away = settings.store.model_copy(update={"es_port": free_port()})
    report = verify(settings.model_copy(update={"store": away}))
    (problem,) = report.problems
    assert "were not counted" in problem
    assert list(report.lines()) == ["produced 2 = indexed ? + pending 2", problem, "NOT balanced"]
    nowhere = settings.redis.model_copy(update={"redis_port": free_port()})
    with pytest.raises(LedgerError, match=r"Redis at 127.*: start it, or check REDIS_HOST and REDIS_PORT"):
        verify(settings.model_copy(update={"redis": nowhere}))


def test_an_installation_without_events_balances(settings: Settings, stream: Stream) -> None:
    """Nothing produced is nothing lost, before any index exists."""
    report = verify(settings)
    assert (report.rows, report.balanced) == ((), True)


def test_lost_dead_letters_are_noticed(settings: Settings, stream: Stream) -> None:
    """The letters are counted where they are: without them, dead events are unaccounted for."""
    stream.write(PRODUCER, [Record(1, b"not an event")])
    run_once(settings)
    assert verify(settings).balanced
    stream.client.delete(keys.DEAD_LETTERS)
    report = verify(settings)
    assert report.problems == (f"producer {PRODUCER}: dead without a letter 1 (1)",)

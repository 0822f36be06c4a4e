"""The cut: what moves, is folded, dropped or erased between two measurements is counted once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import orjson
import pytest
from elasticsearch import Elasticsearch
from tests.ledger.conftest import only
from tests.logs_pipeline.events import PRODUCER, prediction, predictions, record

from vigie.ledger import proof
from vigie.ledger.account import measure
from vigie.ledger.counting import Count, Question, StoreCounter
from vigie.ledger.erasure import erase
from vigie.ledger.proof import verify
from vigie.ledger.stored import compare
from vigie.logs_pipeline.pipeline import run_once
from vigie.logs_pipeline.retention import apply_retention
from vigie.settings import Settings
from vigie.telemetry.journal.journal import Journal
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.admission import Admission, Candidate
from vigie.telemetry.stream.dead_letters import DeadLetters, Decision
from vigie.telemetry.stream.erased import Subject
from vigie.telemetry.stream.ledger_state import LedgerState
from vigie.telemetry.stream.number_set import NumberSet
from vigie.telemetry.stream.stream import Gap, Record, Stream, Verdict

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _one_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single measurement has to do."""
    monkeypatch.setattr(proof, "MEASUREMENTS", 1)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, Callable[[], object]], None]:
    """(class, method, what happens once, just before that method's first call)."""

    def arrange(owner: Any, name: str, happens: Callable[[], object]) -> None:
        real, done = getattr(owner, name), []

        def called(*given: Any, **options: Any) -> Any:
            if not done:
                done.append(1)
                happens()
            return real(*given, **options)

        monkeypatch.setattr(owner, name, called)

    return arrange


def dated(number: int, day: str) -> Record:
    """A prediction of a day."""
    return record({**prediction(number), "timestamp": f"{day}T08:00:00.000000Z"}, number)


Meanwhile = Callable[[Any, str, Callable[[], object]], None]


@pytest.mark.parametrize(
    ("owner", "before"),
    [(Stream, "waiting"), (LedgerState, "bits"), (StoreCounter, "refresh"), (StoreCounter, "ask")],
)
def test_events_that_arrive_and_are_indexed_meanwhile(
    settings: Settings, stream: Stream, meanwhile: Meanwhile, owner: Any, before: str
) -> None:
    """Before whichever measurement events are written and indexed, the account adds up."""
    stream.write(PRODUCER, predictions(1, 10))
    run_once(settings)
    stream.write(PRODUCER, predictions(11, 14))

    def work() -> None:
        run_once(settings)
        stream.write(PRODUCER, predictions(15, 20))
        run_once(settings)

    meanwhile(owner, before, work)
    report = verify(settings)
    assert report.problems == ()
    row = only(report)
    assert (row.produced, row.indexed) in {(14, 14), (14, 10)}
    assert row.indexed + row.pending == 14
    assert verify(settings).totals["indexed"] == 20


def test_a_chunk_that_is_folded_meanwhile_moves_the_cut(
    settings: Settings, stream: Stream, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a folded chunk only the whole can be counted, so the cut goes to its end."""
    monkeypatch.setattr(keys, "CHUNK_BITS", 3)
    monkeypatch.setattr("vigie.telemetry.stream.ledger_state.CHUNK_SIZE", 8)
    stream.write(PRODUCER, predictions(1, 5))

    def work() -> None:
        stream.write(PRODUCER, predictions(6, 12))
        run_once(settings)

    meanwhile(LedgerState, "bits", work)
    report = verify(settings)
    assert report.problems == ()
    assert (only(report).produced, only(report).indexed) == (8, 8)


def test_an_index_that_expires_between_two_countings(
    settings: Settings, stream: Stream, meanwhile: Meanwhile
) -> None:
    """Its events are counted in the store or in the record, and never in both or none."""
    stream.write(PRODUCER, [*(dated(n, "2026-01-05") for n in range(1, 5)), *predictions(5, 7)])
    run_once(settings)
    drops: list[Any] = []
    meanwhile(StoreCounter, "ask", lambda: drops.extend(apply_retention(settings, now=NOW)))
    report = verify(settings)
    assert len(drops) == 3
    assert (report.problems, report.notes) == ((), ())
    assert (only(report).indexed, only(report).expired, only(report).produced) == (3, 4, 7)


def test_an_erasure_between_two_countings(settings: Settings, stream: Stream, meanwhile: Meanwhile) -> None:
    """Its events are counted in the store or as erased."""
    stream.write(PRODUCER, predictions(1, 9))
    run_once(settings)
    subject = Subject(transactions=frozenset({"01900000-0000-7000-8000-000000000004"}))
    meanwhile(StoreCounter, "ask", lambda: erase(settings, subject))
    report = verify(settings)
    assert (report.problems, report.notes) == ((), ())
    assert (only(report).indexed, only(report).erased) == (8, 1)


def test_retention_knows_the_dead_and_the_erased(settings: Settings, stream: Stream) -> None:
    """A dead event of which a document was stored, or an erased one, is not counted as expired too."""
    broken = prediction(3)
    broken["timestamp"] = "2026-01-05T08:00:00.000000Z"
    broken["data"]["performance_metrics"]["inference_time_ms"] = "soon"
    report_of_a_process = {
        "timestamp": "2026-01-05T09:00:00Z", "level": "INFO", "message": "up",
        "data": {"kind": "service", "service": "api", "backlog": 0},
    }  # fmt: skip
    events = [dated(1, "2026-01-05"), dated(2, "2026-01-05"), record(broken, 3)]
    stream.write(PRODUCER, [*events, Record(4, orjson.dumps(report_of_a_process)), *predictions(5, 5)])
    run_once(settings)
    assert stream.ledger.totals().dead == 1
    erase(settings, Subject(transactions=frozenset({"01900000-0000-7000-8000-000000000002"})))
    assert verify(settings).problems == ()
    assert len(apply_retention(settings, now=NOW)) == 3
    report = verify(settings)
    row = only(report)
    assert report.problems == ()
    assert (row.indexed, row.dead, row.erased, row.expired, row.produced) == (1, 1, 1, 2, 5)


def test_a_producer_that_only_a_journal_knows(settings: Settings) -> None:
    """Its events and its declared gap are counted, before Redis has heard of it."""
    journal = Journal.create(settings.api.vigie_home, "api", settings.journal)
    journal.append([prediction(number) for number in range(1, 4)])  # type: ignore[arg-type]  # plain dicts
    report = verify(settings)
    row = only(report)
    assert (row.producer, row.role, row.closed) == (journal.producer, "api", False)
    assert (row.produced, row.pending, row.dropped, report.problems) == (3, 3, 0, ())
    journal.close(delete=True)


def test_gaps_in_journal_and_redis(settings: Settings, stream: Stream) -> None:
    """The same gap seen in both places is one; each number of it is dropped, none is missing."""
    journal = Journal.create(settings.api.vigie_home, "api", settings.journal)
    journal.append([prediction(number) for number in range(1, 4)])  # type: ignore[arg-type]  # plain dicts
    stream.write(journal.producer, [*journal.read(2), Gap(3, 3, "journal damaged")])
    journal.advance(2)
    row = only(verify(settings))
    assert (row.produced, row.pending, row.dropped, row.missing) == (3, 2, 1, 0)
    journal.close(delete=True)


def test_a_closed_producer_is_known_from_redis_alone(settings: Settings, stream: Stream) -> None:
    """A closed producer, all of whose events are settled, shares a row of the table with its like."""
    for name in ("one", "two"):
        stream.register(name, {"role": "api", "host": "elsewhere"})
        stream.write(name, predictions(1, 3))
        stream.close_producer(name, 3)
    stream.register("three", {"role": "ui", "host": "elsewhere"})
    stream.write("three", predictions(1, 1))
    run_once(settings)
    report = verify(settings)
    assert [row.settled for row in report.rows if row.producer in {"one", "two", "three"}] == [
        True,
        False,
        True,
    ]
    assert report.notes == ("what the journals on elsewhere hold cannot be seen from here",)
    stream.close_producer("three", 1)
    report = verify(settings)
    assert (report.problems, report.notes) == ((), ())


def test_many_scattered_events_on_their_way(
    settings: Settings, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More spans than one question takes are asked in several, and counted once."""
    monkeypatch.setattr("vigie.ledger.counting.MOST_RANGES", 3)
    stream.write(PRODUCER, predictions(1, 40))
    stream.ensure_group()
    entries = stream.read("worker", 40, 0)
    stream.settle([Verdict(entry, "filtered") for entry in entries if entry.number % 2])
    asked: list[int] = []
    real = StoreCounter.ask

    def ask(self: StoreCounter, questions: Sequence[Question]) -> list[Count]:
        asked.extend(len(list(question.parts())) for question in questions)
        return real(self, questions)

    monkeypatch.setattr(StoreCounter, "ask", ask)
    row = only(verify(settings))
    assert (row.filtered, row.pending, row.indexed) == (20, 20, 0)
    assert max(asked) == 7


def test_the_parts_of_a_question_cover_it() -> None:
    """No number is asked for twice, none is passed over."""
    without = NumberSet.of_numbers(range(2, 3000, 2))
    parts = list(Question("i", "p", 1, 3000, without).parts())
    assert parts[0].first == 1
    assert parts[-1].last == 3000
    assert all(before.last + 1 == after.first for before, after in pairwise(parts))
    assert max(len(part.query()["bool"]["must_not"]) for part in parts) <= 300


@pytest.mark.parametrize(
    ("owner", "before"), [(Stream, "waiting"), (DeadLetters, "count"), (StoreCounter, "ask")]
)
def test_foreign_numbers_may_come_in_any_order_at_any_moment(
    settings: Settings, stream: Stream, meanwhile: Meanwhile, owner: Any, before: str
) -> None:
    """A foreign producer is measured by what was admitted; holes are nobody's loss, and fill at any time."""
    admission = Admission(stream.client, 1000)

    def admit(*numbers: int) -> None:
        candidates = [
            Candidate(f"1-{n}", "far-away", n, f"f{n}", orjson.dumps(prediction(n, producer="far-away")))
            for n in numbers
        ]
        cursor = admission.cursor("http://far")
        assert admission.admit_page("http://far", cursor, "", candidates, complete=True).admitted == len(
            numbers
        )

    def work() -> None:
        admit(3, 8)
        run_once(settings)

    admit(2, 5, 9)
    run_once(settings)
    admit(7)
    meanwhile(owner, before, work)
    report = verify(settings)
    assert report.problems == ()
    row = only(report)
    assert row.produced == row.indexed + row.pending
    assert (row.role, row.missing, row.dropped) == ("foreign", 0, 0)
    report = verify(settings)
    assert (report.problems, only(report).produced, only(report).indexed) == ((), 6, 6)
    assert only(report).settled


def test_a_replay_between_any_two_of_its_steps(
    settings: Settings, stream: Stream, store: Elasticsearch, meanwhile: Meanwhile
) -> None:
    """A replay stores documents, then moves the event: before, between and after, the account adds up."""
    broken = prediction(2)
    broken["data"]["performance_metrics"]["inference_time_ms"] = "soon"
    stream.write(PRODUCER, [*predictions(1, 1), record(broken, 2), *predictions(3, 4)])
    run_once(settings)
    report = verify(settings)
    assert (report.problems, only(report).indexed, only(report).dead) == ((), 3, 1)
    physical = f"{settings.store.es_index_prefix}ml-api-perfs-2026.11.20"
    document = {
        "@timestamp": "2026-11-20T10:00:00Z",
        "producer": PRODUCER,
        "number": 2,
        "doc_type": "request",
    }
    store.index(index=physical, id=f"{PRODUCER}-2", document=document, refresh=True)
    assert verify(settings).problems == ()
    (letter,) = DeadLetters(stream.client).newest(1)
    held = {**letter.stored, physical: 1}

    def decide() -> None:
        assert DeadLetters(stream.client).decide([Decision(letter.id, "indexed", held)]) == [True]

    meanwhile(LedgerState, "bits", decide)  # the letters were read, the bits were not
    report = verify(settings)
    assert (report.problems, only(report).indexed, only(report).dead) == ((), 4, 0)


def test_a_letter_that_is_replayed_behind_the_bits(
    settings: Settings, stream: Stream, meanwhile: Meanwhile
) -> None:
    """The event was dead when its bit was read; that its letter is gone by then is no loss."""
    stream.write(PRODUCER, [*predictions(1, 1), Record(2, b"poison")])
    run_once(settings)
    letters = DeadLetters(stream.client)
    (letter,) = letters.newest(1)

    def replay() -> None:
        meanwhile(DeadLetters, "count", lambda: letters.decide([Decision(letter.id, "filtered")]))

    meanwhile(LedgerState, "bits", replay)
    report = verify(settings)
    assert (report.problems, only(report).dead, only(report).filtered) == ((), 1, 0)
    assert letters.count() == 0
    report = verify(settings)
    assert (report.problems, only(report).dead, only(report).filtered) == ((), 0, 1)


def test_a_discarded_letter_leaves_its_event_dead(settings: Settings, stream: Stream) -> None:
    """The record of discarded letters stands for the letter."""
    stream.write(PRODUCER, [Record(1, b"poison"), Record(2, b"poison too"), *predictions(3, 3)])
    run_once(settings)
    letters = DeadLetters(stream.client)
    letters.decide([Decision(letters.newest(1)[0].id, "discarded")])
    report = verify(settings)
    assert (report.problems, only(report).dead) == ((), 2)


def test_time_that_is_up_is_told(settings: Settings, stream: Stream) -> None:
    """With a deadline that has passed the store is not asked, and nothing counts as proven."""
    stream.write(PRODUCER, predictions(1, 2))
    run_once(settings)
    found = compare(settings, stream, measure(stream, {}), 0, deadline=time.monotonic() - 1)
    assert (found.complete, found.events) == (False, {})
    assert found.problems[""][0].endswith("was too slow")
    assert verify(settings, seconds=60).balanced

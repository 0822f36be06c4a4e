"""Erasing on request: gone everywhere, recorded in the ledger, and repeated without harm."""

from __future__ import annotations

from typing import Any

import pytest
from elasticsearch import Elasticsearch
from tests.ledger.conftest import only
from tests.logs_pipeline.events import PRODUCER, prediction, predictions, record
from tests.servers import free_port
from typer.testing import CliRunner

from vigie.cli import app
from vigie.ledger import erasure as erasure_module
from vigie.ledger.erasure import Erasure, ErasureError, erase
from vigie.ledger.proof import verify
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import Settings
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.erased import Subject
from vigie.telemetry.stream.stream import Record, Stream


def transaction(number: int) -> str:
    """The transaction id of an event."""
    return f"01900000-0000-7000-8000-{number:012}"


def of(*numbers: int) -> Subject:
    """The events of these numbers."""
    return Subject(transactions=frozenset(transaction(number) for number in numbers))


def kept(store: Elasticsearch, settings: Settings) -> list[tuple[str, int]]:
    """Index (without prefix and date) and number of each document of an event."""
    prefix = settings.store.es_index_prefix
    names = ",".join(f"{prefix}{index}" for index in ("ml-api-logs", "ml-api-message", "ml-api-perfs"))
    store.indices.refresh(index=names)
    hits = store.search(index=names, size=1000, query={"term": {"producer": PRODUCER}})["hits"]["hits"]
    return sorted((hit["_index"].removeprefix(prefix)[:11], hit["_source"]["number"]) for hit in hits)


def test_what_is_erased_is_nowhere_and_accounted_for(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """Documents of all three indices and the stream's entry go; the ledger counts the event as erased."""
    stream.write(PRODUCER, predictions(1, 12))
    run_once(settings)
    assert erase(settings, of(10, 11)) == Erasure(events=2, documents=8, entries=2)
    assert {number for _, number in kept(store, settings)} == {*range(1, 10), 12}
    assert {entry.number for entry in stream.newest(100)} == {*range(1, 10), 12}
    report = verify(settings)
    assert (report.problems, report.notes) == ((), ())
    assert (only(report).indexed, only(report).erased, only(report).produced) == (10, 2, 12)
    perfs = report.documents[2]
    assert (perfs.index, perfs.expected, perfs.stored, perfs.erased) == ("ml-api-perfs", 10, 10, 4)
    assert str(perfs) == "ml-api-perfs: 10 documents stored, 10 expected, 4 erased"


def test_erasing_again_changes_nothing(settings: Settings, stream: Stream) -> None:
    """The second time there is nothing left, and the ledger is as before."""
    stream.write(PRODUCER, predictions(1, 3))
    run_once(settings)
    assert erase(settings, of(2)).events == 1
    again = erase(settings, of(2))
    assert (again.found, list(again.lines())) == (False, ["nothing found"])
    assert stream.ledger.totals().erased == 1
    assert verify(settings).balanced


def test_a_subject_is_erased_with_all_requests(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """Everything that carries the subject's id, and nothing else."""
    events = [record(prediction(n, subject_id="p-7" if n % 2 else "p-70"), n) for n in range(1, 9)]
    stream.write(PRODUCER, events)
    run_once(settings)
    assert erase(settings, Subject(subjects=frozenset({"p-7"}))).events == 4
    assert {number for _, number in kept(store, settings)} == {2, 4, 6, 8}
    assert verify(settings).balanced


def test_a_crash_between_record_and_deletion_is_made_good(
    settings: Settings, stream: Stream, store: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded and still stored, the ledger balances and says so; the next run deletes the documents."""
    stream.write(PRODUCER, predictions(1, 5))
    run_once(settings)

    def crash(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(erasure_module._Eraser, "_delete", crash)
    with pytest.raises(KeyboardInterrupt):
        erase(settings, of(3))
    monkeypatch.undo()
    report = verify(settings)
    assert report.problems == ()
    assert (only(report).indexed, only(report).erased) == (4, 1)
    (note,) = report.notes
    assert "erased events still have documents, repeat the erasure: 1 (3)" in note
    again = erase(settings, of(3))
    assert (again.events, again.again, again.documents) == (0, 1, 3)
    assert 3 not in {number for _, number in kept(store, settings)}
    report = verify(settings)
    assert (report.problems, report.notes, only(report).erased) == ((), (), 1)


def test_what_is_on_its_way_is_left_and_said(settings: Settings, stream: Stream) -> None:
    """An event that waits in the stream would be stored after the erasure; it is erased once it is indexed."""
    stream.write(PRODUCER, predictions(1, 2))
    left = erase(settings, of(2))
    assert (left.events, left.entries, left.unsettled) == (0, 0, 1)
    assert "repeat this once they are" in list(left.lines())[-1]
    run_once(settings)
    assert erase(settings, of(2)).events == 1
    assert verify(settings).balanced


def test_dead_letters_are_erased_too(settings: Settings, stream: Stream) -> None:
    """A letter holds the whole event; without it the dead event counts as erased."""
    text = f"not an event of {transaction(2)}".encode()
    stream.write(PRODUCER, [*predictions(1, 1), Record(2, text), Record(3, b"another")])
    stream.client.xadd(keys.STREAM, {"event": text})
    run_once(settings)
    assert stream.client.xlen(keys.DEAD_LETTERS) == 3
    done = erase(settings, of(2))
    assert (done.events, done.letters, done.entries) == (1, 2, 2)
    assert stream.client.xlen(keys.DEAD_LETTERS) == 1
    report = verify(settings)
    assert report.problems == ()
    assert (only(report).indexed, only(report).dead, only(report).erased) == (1, 1, 1)


def test_folded_chunks_can_be_erased_from(
    settings: Settings, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marks of erased events are kept beside chunks of which only counts are left."""
    monkeypatch.setattr(keys, "CHUNK_BITS", 3)
    monkeypatch.setattr("vigie.telemetry.stream.ledger_state.CHUNK_SIZE", 8)
    poison = Record(3, f"poison {transaction(3)}".encode())
    stream.write(PRODUCER, [*predictions(1, 2), poison, *predictions(4, 20)])
    run_once(settings)
    assert stream.ledger.bits(PRODUCER, 20).folded.keys() == {0, 1}
    assert erase(settings, of(3, 5, 18)).events == 3
    report = verify(settings)
    assert report.problems == ()
    assert (only(report).indexed, only(report).dead, only(report).erased) == (17, 0, 3)


def test_a_document_of_no_producer_is_erased_too(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """What somebody copied by hand carries the subject as well; it is in no ledger."""
    stream.write(PRODUCER, predictions(1, 2))
    run_once(settings)
    alias = f"{settings.store.es_index_prefix}ml-api-logs"
    for name, document in (("one", {"producer": "x"}), ("two", {"number": 4}), ("three", {})):
        copied = {"@timestamp": "2026-11-20T10:00:00Z", "transaction_id": transaction(1), **document}
        store.index(index=f"{alias}-2026.11.20", id=name, document=copied, refresh=True)
    assert erase(settings, of(1)) == Erasure(events=1, documents=6, entries=1)
    assert store.count(index=alias, query={"term": {"transaction_id": transaction(1)}})["count"] == 0
    assert verify(settings).balanced


def test_a_filtered_event_keeps_its_state(settings: Settings, stream: Stream) -> None:
    """It has no document; only its entry in the stream goes."""
    excluded = prediction(1, kind="request", path="/metrics")
    stream.write(PRODUCER, [record(excluded, 1), *predictions(2, 3)])
    run_once(settings)
    assert erase(settings, of(1)) == Erasure(entries=1)
    report = verify(settings)
    assert (report.problems, only(report).filtered, only(report).erased) == ((), 1, 0)


def test_many_events_are_erased_page_by_page(
    settings: Settings, stream: Stream, store: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages end nowhere in the middle of an event."""
    monkeypatch.setattr(erasure_module, "PAGE", 7)
    monkeypatch.setattr(erasure_module, "HITS", 10)
    stream.write(PRODUCER, [record(prediction(n, profiled=True, subject_id="p"), n) for n in range(1, 31)])
    run_once(settings)
    assert erase(settings, Subject(subjects=frozenset({"p"}))).events == 30
    assert kept(store, settings) == []
    assert verify(settings).balanced


@pytest.mark.parametrize("away", ["ES_PORT", "REDIS_PORT"])
def test_a_store_or_redis_that_is_away_is_one_line(settings: Settings, stream: Stream, away: str) -> None:
    """Nothing is recorded, and the reason is said."""
    stream.write(PRODUCER, predictions(1, 2))
    run_once(settings)
    part = "store" if away == "ES_PORT" else "redis"
    changed = getattr(settings, part).model_copy(update={away.lower(): free_port()})
    with pytest.raises(ErasureError, match="start it, or check " + away.replace("PORT", "HOST")):
        erase(settings.model_copy(update={part: changed}), of(1))
    assert verify(settings).balanced
    off = settings.redis.model_copy(update={"log_to_redis": False})
    with pytest.raises(ErasureError, match="LOG_TO_REDIS=false"):
        erase(settings.model_copy(update={"redis": off}), of(1))


def test_the_command_says_what_it_did(settings: Settings, stream: Stream) -> None:
    """Status 0 when all is erased, 1 when nothing is found or something is left, 2 without a question."""
    environment = {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(settings.redis.redis_port),
        "ES_HOST": "127.0.0.1",
        "ES_PORT": str(settings.store.es_port),
        "ES_INDEX_PREFIX": settings.store.es_index_prefix,
    }
    stream.write(PRODUCER, predictions(1, 2))
    run_once(settings)
    for arguments, status, said in (
        ([transaction(1)], 0, "erased 1 events: 3 documents, 1 entries of the stream, 0 dead letters"),
        ([transaction(1)], 1, "nothing found"),
        ([], 2, "--subject"),
    ):
        ran = CliRunner().invoke(app, ["erase", *arguments], env=environment)
        assert (ran.exit_code, said in ran.output) == (status, True), ran.output

"""Whatever is lost or doubled, the ledger fails and names that very number."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
from elasticsearch import Elasticsearch
from tests.ledger.conftest import delete, only
from tests.logs_pipeline.events import PRODUCER, prediction, predictions, record
from typer.testing import CliRunner

from vigie.cli import app
from vigie.ledger.proof import verify
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import Settings
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.stream import Stream

Harm = Callable[[Settings, Stream, Elasticsearch], None]


def delete_one_document(settings: Settings, stream: Stream, store: Elasticsearch) -> None:
    """Somebody deletes the document of event 17."""
    delete(store, settings, "ml-api-logs", 17)


def delete_an_unread_entry(settings: Settings, stream: Stream, store: Elasticsearch) -> None:
    """Somebody deletes event 42 from the stream before any worker reads it."""
    stream.write(PRODUCER, predictions(41, 43))
    (entry,) = (entry for entry in stream.newest(3) if entry.number == 42)
    assert stream.client.xdel(keys.STREAM, entry.id) == 1


def delete_a_pending_entry(settings: Settings, stream: Stream, store: Elasticsearch) -> None:
    """Somebody deletes event 42 from the stream while a worker holds it."""
    stream.write(PRODUCER, predictions(41, 43))
    entries = stream.read("worker", 3, 0)
    assert [entry.number for entry in entries] == [41, 42, 43]
    assert stream.client.xdel(keys.STREAM, entries[1].id) == 1


def index_one_twice(settings: Settings, stream: Stream, store: Elasticsearch) -> None:
    """Somebody indexes event 23 a second time, under another id."""
    index = f"{settings.store.es_index_prefix}ml-api-logs-2026.11.20"
    (hit,) = store.search(index=index, query={"term": {"number": 23}})["hits"]["hits"]
    store.index(index=index, id="by-hand", document=hit["_source"], refresh=True)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (delete_one_document, "1 indexed events are not in the store, of number 17"),
        (delete_an_unread_entry, "missing 1 (42)"),
        (delete_a_pending_entry, "missing 1 (42)"),
        (index_one_twice, "1 events are stored more than once, of number 23"),
    ],
)
def test_one_lost_or_doubled_event_fails_the_command_and_is_named(
    settings: Settings, stream: Stream, store: Elasticsearch, harm: Harm, named: str
) -> None:
    """One stored document deleted, one entry deleted, one event indexed twice: status 1 and the number."""
    environment = {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(settings.redis.redis_port),
        "ES_HOST": "127.0.0.1",
        "ES_PORT": str(settings.store.es_port),
        "ES_INDEX_PREFIX": settings.store.es_index_prefix,
        "VIGIE_HOME": str(settings.api.vigie_home),
    }
    stream.write(PRODUCER, predictions(1, 40))
    run_once(settings)
    before = CliRunner().invoke(app, ["verify"], env=environment)
    assert (before.exit_code, before.output.splitlines()[-1]) == (0, "balanced")
    harm(settings, stream, store)
    ran = CliRunner().invoke(app, ["verify"], env=environment)
    assert ran.exit_code == 1
    assert f"producer {PRODUCER}: {named}" in ran.output.splitlines()
    assert ran.output.splitlines()[-1] == "NOT balanced"
    as_json = CliRunner().invoke(app, ["verify", "--json"], env=environment)
    content = orjson.loads(as_json.output)
    assert (as_json.exit_code, content["balanced"]) == (1, False)
    assert content["problems"] == [f"producer {PRODUCER}: {named}"]


def test_one_lost_and_one_doubled_do_not_make_up_for_each_other(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """As many documents as there should be are not enough: their numbers must be right."""
    stream.write(PRODUCER, predictions(1, 40))
    run_once(settings)
    delete_one_document(settings, stream, store)
    index_one_twice(settings, stream, store)
    report = verify(settings)
    assert report.problems == (
        f"producer {PRODUCER}: 1 indexed events are not in the store, of number 17",
        f"producer {PRODUCER}: 1 events are stored more than once, of number 23",
    )
    assert (only(report).missing, only(report).doubled, report.figures()["unaccounted"]) == (1, 1, 2)


def removed_and_left(settings: Settings, stream: Stream, store: Elasticsearch, gone: str) -> str:
    """Events 1–20 of a day of which somebody removes an index, 21–40 of the next; that day's ml-api-logs."""
    days = {n: "2026-11-19" if n <= 20 else "2026-11-20" for n in range(1, 41)}
    events = [{**prediction(n), "timestamp": f"{day}T08:00:00.000000Z"} for n, day in days.items()]
    stream.write(PRODUCER, [record(event, n) for n, event in enumerate(events, start=1)])
    run_once(settings)
    prefix = settings.store.es_index_prefix
    store.indices.delete(index=f"{prefix}{gone}-2026.11.19")
    report = verify(settings)
    removed = 20 if gone == "ml-api-logs" else 0
    assert (report.problems, only(report).removed, len(report.notes)) == ((), removed, 1)
    left = f"{prefix}ml-api-logs-2026.11.20"
    store.indices.refresh(index=left)
    return left


@pytest.mark.parametrize("gone", ["ml-api-logs", "ml-api-perfs"])
def test_a_removed_index_hides_no_loss(
    settings: Settings, stream: Stream, store: Elasticsearch, gone: str
) -> None:
    """What lacks in an index that is left is lost, not removed, and named."""
    left = removed_and_left(settings, stream, store, gone)
    delete(store, settings, "ml-api-logs", 33)
    report = verify(settings)
    said = f"producer {PRODUCER}: 1 indexed events are not in {left}, of number 33"
    assert report.problems == (said,)
    assert (only(report).missing, report.figures()["unaccounted"]) == (1, 1)


def test_a_removed_index_hides_neither_of_a_lost_and_a_doubled_event(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """In one index that is left, a lost event and a doubled one do not make up for each other."""
    left = removed_and_left(settings, stream, store, "ml-api-logs")
    delete(store, settings, "ml-api-logs", 33)
    (hit,) = store.search(index=left, query={"term": {"number": 27}})["hits"]["hits"]
    store.index(index=left, id="by-hand", document=hit["_source"], refresh=True)
    report = verify(settings)
    assert report.problems == (
        f"producer {PRODUCER}: 1 events are stored more than once in {left}, of number 27",
        f"producer {PRODUCER}: 1 indexed events are not in {left}, of number 33",
    )
    assert (only(report).missing, only(report).doubled, only(report).removed) == (1, 1, 20)


def test_a_removed_index_hides_no_document_put_elsewhere(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """A copy in an index that accepted nothing is told too, and so is a document of another index."""
    left = removed_and_left(settings, stream, store, "ml-api-logs")
    (hit,) = store.search(index=left, query={"term": {"number": 27}})["hits"]["hits"]
    other = left.replace("2026.11.20", "2026.11.21")
    store.index(index=other, id=hit["_id"], document=hit["_source"], refresh=True)
    delete(store, settings, "ml-api-message", 40)
    message = left.replace("ml-api-logs", "ml-api-message")
    assert verify(settings).problems == (
        f"producer {PRODUCER}: {message} lacks 1 documents, of number 40",
        f"producer {PRODUCER}: ml-api-logs holds 1 documents too many, in indices that accepted none of it",
    )


def test_a_loss_and_a_surplus_on_different_days_of_a_folded_chunk(
    settings: Settings, stream: Stream, store: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only counts are left, they are compared index by index."""
    monkeypatch.setattr(keys, "CHUNK_BITS", 3)
    monkeypatch.setattr("vigie.telemetry.stream.ledger_state.CHUNK_SIZE", 8)
    first = [{**prediction(n), "timestamp": "2026-11-19T08:00:00.000000Z"} for n in range(1, 5)]
    second = [prediction(5), prediction(6), prediction(7), prediction(8, kind="request", path="/metrics")]
    stream.write(PRODUCER, [record(event, n) for n, event in enumerate([*first, *second], start=1)])
    run_once(settings)
    assert stream.ledger.bits(PRODUCER, 8).folded[0]["filtered"] == 1
    assert verify(settings).balanced
    delete(store, settings, "ml-api-logs", 6)
    older = f"{settings.store.es_index_prefix}ml-api-logs-2026.11.19"
    store.indices.refresh(index=older)
    (hit,) = store.search(index=older, query={"term": {"number": 2}})["hits"]["hits"]
    store.index(index=older, id="by-hand", document=hit["_source"], refresh=True)
    assert set(verify(settings).problems) == {
        f"producer {PRODUCER}: 1 events are stored more than once in {older}, of number 2",
        f"producer {PRODUCER}: 1 indexed events are not in {older[:-2]}20, of number 6",
    }


def test_a_document_of_another_index_that_lacks_raises_the_alarm(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """No event is missing, yet the figure that panel and alert rule look at is not 0."""
    stream.write(PRODUCER, predictions(1, 9))
    run_once(settings)
    assert verify(settings).figures()["unaccounted"] == 0
    delete(store, settings, "ml-api-message", 5)
    report = verify(settings)
    assert (only(report).missing, report.figures()["unaccounted"]) == (0, 1)


def test_many_lost_events_are_counted_and_the_first_named(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """A problem stays one line, however much is lost."""
    stream.write(PRODUCER, predictions(1, 40))
    run_once(settings)
    for number in range(2, 32, 3):
        delete(store, settings, "ml-api-logs", number)
    (problem,) = verify(settings).problems
    assert problem.startswith(
        f"producer {PRODUCER}: 10 indexed events are not in the store, of number 2, 5, 8"
    )
    assert problem.endswith("…")


def test_a_document_of_nothing_is_named(settings: Settings, stream: Stream, store: Elasticsearch) -> None:
    """A document under a number that was dropped or filtered is not one of ours."""
    stream.write(PRODUCER, [record(prediction(1, kind="request", path="/metrics"), 1), *predictions(2, 3)])
    run_once(settings)
    index = f"{settings.store.es_index_prefix}ml-api-logs-2026.11.20"
    document = {"@timestamp": "2026-11-20T10:00:00Z", "producer": PRODUCER, "number": 1, "doc_type": "log"}
    store.index(index=index, id="by-hand", document=document, refresh=True)
    assert verify(settings).problems == (f"producer {PRODUCER}: stored and not indexed, of number 1",)


@pytest.mark.parametrize("index", ["ml-api-message", "ml-api-perfs"])
def test_a_doubled_document_of_another_index_is_named(
    settings: Settings, stream: Stream, store: Elasticsearch, index: str
) -> None:
    """The event is there once in ml-api-logs and twice elsewhere."""
    stream.write(PRODUCER, predictions(1, 9))
    run_once(settings)
    physical = f"{settings.store.es_index_prefix}{index}-2026.11.20"
    store.indices.refresh(index=physical)
    (hit,) = store.search(index=physical, query={"term": {"number": 5}})["hits"]["hits"]
    store.index(index=physical, id="by-hand", document=hit["_source"], refresh=True)
    assert verify(settings).problems == (
        f"producer {PRODUCER}: {index} holds 1 documents too many, of number 5",
    )


def test_a_lost_document_of_a_folded_chunk_is_named(
    settings: Settings, stream: Stream, store: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a folded chunk only counts are left, but where they say that all are indexed, each is known."""
    monkeypatch.setattr(keys, "CHUNK_BITS", 3)
    monkeypatch.setattr("vigie.telemetry.stream.ledger_state.CHUNK_SIZE", 8)
    stream.write(PRODUCER, [*predictions(1, 17), record({"no": "event"}, 18), *predictions(19, 24)])
    stream.write(
        PRODUCER, [record(prediction(25, kind="request", path="/metrics"), 25), *predictions(26, 40)]
    )
    run_once(settings)
    assert stream.ledger.bits(PRODUCER, 40).folded.keys() == {0, 1, 2, 3, 4}
    assert verify(settings).balanced
    for number in (3, 20):
        delete(store, settings, "ml-api-logs", number)
    said = f"producer {PRODUCER}: 2 indexed events are not in the store, of number 3, 20"
    assert verify(settings).problems == (said,)
    delete(store, settings, "ml-api-logs", 30)
    assert verify(settings).problems == (said.replace("2 indexed", "3 indexed") + ", …",)

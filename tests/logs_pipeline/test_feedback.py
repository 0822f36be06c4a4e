"""Outcomes and predictions meet in the store, in whatever order they come."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch
from tests.logs_pipeline.events import PRODUCER, entry, prediction, record
from tests.logs_pipeline.workers import end, place, start_worker
from tests.servers import wait_for
from tests.store_proxy import StoreProxy

from vigie.indices.mappings import MESSAGE
from vigie.indices.routing import Epoch
from vigie.ledger.erasure import erase
from vigie.ledger.proof import verify
from vigie.logs_pipeline import feedback_join, feedback_watch
from vigie.logs_pipeline.feedback_join import LENIENT, Known, OutcomeJoiner
from vigie.logs_pipeline.feedback_watch import FeedbackWatch, rewrites
from vigie.logs_pipeline.filter import Context, documents_of
from vigie.logs_pipeline.pipeline import run_continuously, run_once
from vigie.settings import Settings
from vigie.telemetry.event import Event
from vigie.telemetry.stream.erased import Subject
from vigie.telemetry.stream.keys import outcome_key, producer_key
from vigie.telemetry.stream.outcomes import NewOutcome, Outcomes
from vigie.telemetry.stream.stream import Stream

PATIENCE = 90
VERSIONS = ("1.0.0", "2.0.0")
ARE_OUTCOMES: list[dict[str, Any]] = [{"term": {"doc_type": "feedback"}}]
QUIET = {"query": {"bool": {"filter": ARE_OUTCOMES}}, "size": 10_000}


def transaction(number: int) -> str:
    """The id that `prediction(number)` has."""
    return f"01900000-0000-7000-8000-{number:012}"


def outcome(number: int, label: str, *, correct: bool = False, at: datetime | None = None) -> NewOutcome:
    """An outcome of the prediction of that number, as the API makes it; it arrives now."""
    when = (at or datetime.now(UTC)).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def event(correction: bool) -> Event:
        about = {"label": label, "position": int(label == "YES"), "at": when, "correction": correction}
        data: Any = {"kind": "feedback", "transaction_id": transaction(number), "outcome": about}
        return Event(timestamp=when, level="INFO", message=f"outcome {label}", data=data)

    return NewOutcome(transaction(number), label, "", event(False), event(True) if correct else None)


@pytest.fixture
def outcomes(stream: Stream) -> Outcomes:
    """The way to record outcomes."""
    stream.ensure_group()
    return Outcomes(stream.client, 1_000_000)


def write(stream: Stream, *numbers: int, **changes: Any) -> None:
    """Write predictions of those numbers, as further events of one producer; their versions alternate."""
    stream.register(PRODUCER, {})
    high = int(stream.client.hget(producer_key(PRODUCER), "high") or 0)  # type: ignore[arg-type]
    records = []
    for position, number in enumerate(numbers, start=high + 1):
        model = {"name": "lung_cancer", "version": VERSIONS[number % 2], "runtime": "onnx"}
        records.append(record(prediction(number, model=model, **changes), position))
    for start in range(0, len(records), 100):
        stream.write(PRODUCER, records[start : start + 100])


def stored(store: Elasticsearch, settings: Settings) -> list[dict[str, Any]]:
    """The documents of the outcomes, by number."""
    index = f"{settings.store.es_index_prefix}{MESSAGE}"
    store.indices.refresh(index=index, **LENIENT)
    hits = store.search(index=index, **QUIET, **LENIENT)["hits"]["hits"]
    return sorted((hit["_source"] for hit in hits), key=lambda one: one["number"])


def marks(store: Elasticsearch, settings: Settings) -> list[tuple[str, bool, bool]]:
    """Label, joined and superseded of each."""
    names = ("label", "joined", "superseded")
    return [tuple(one["outcome"][name] for name in names) for one in stored(store, settings)]  # type: ignore[misc]


def test_a_batch_with_both_is_joined_at_once(
    settings: Settings, stream: Stream, outcomes: Outcomes, store: Elasticsearch
) -> None:
    """The outcome has the version, the time and the answer of its prediction, and the ledger balances."""
    write(stream, 1, 2, subject_id="patient 7")
    outcomes.record([outcome(2, "NO"), outcome(1, "YES")])
    run_once(settings)
    first, second = stored(store, settings)
    assert (first["model"], second["model"]) == (
        {"name": "lung_cancer", "version": "1.0.0"}, {"name": "lung_cancer", "version": "2.0.0"},
    )  # fmt: skip
    assert (first["outcome"]["correct"], second["outcome"]["correct"]) == (False, True)
    assert first["result"] == {"prediction": 1, "label": "YES", "probability": 0.9}
    assert first["outcome"]["predicted_at"] == "2026-11-20T23:30:45.123456Z"
    assert (first["input_data"]["AGE"], first["subject_id"]) == (60, "patient 7")
    lag = datetime.fromisoformat(first["outcome"]["at"]) - datetime(2026, 11, 20, 23, 30, 45, 123456, UTC)
    assert first["outcome"]["lag_ms"] == pytest.approx(max(0.0, lag.total_seconds() * 1000))
    assert verify(settings).problems == ()


def test_one_recorded_twice_in_a_batch_counts_once(
    settings: Settings, stream: Stream, outcomes: Outcomes, store: Elasticsearch
) -> None:
    """Redis forgot the first before the pipeline, which was stopped for days, indexed any of them."""
    write(stream, 1)
    run_once(settings)
    assert marks(store, settings) == []  # and the store shows the prediction
    for label in ("NO", "YES"):
        assert outcomes.record([outcome(1, label)]) == [("recorded", "")]
        stream.client.delete(outcome_key(transaction(1)))
    run_once(settings)
    assert marks(store, settings) == [("NO", True, True), ("YES", True, False)]
    assert verify(settings).problems == ()


def test_an_outcome_that_came_first_is_joined_later(
    settings: Settings, stream: Stream, outcomes: Outcomes, store: Elasticsearch
) -> None:
    """It is stored as it is, and its document is rewritten once the prediction is there; nothing is added."""
    outcomes.record([outcome(1, "YES"), outcome(2, "YES")])
    run_once(settings)
    assert marks(store, settings) == [("YES", False, False)] * 2
    write(stream, 2)
    run_once(settings)
    assert marks(store, settings) == [("YES", False, False), ("YES", True, False)]
    assert FeedbackWatch(settings).look(whole=True) == 0
    assert verify(settings).problems == ()


def test_a_correction_retires_what_it_corrects(
    settings: Settings, stream: Stream, outcomes: Outcomes, store: Elasticsearch
) -> None:
    """Of three labels one counts, the one recorded last, whichever of them came before the prediction."""
    outcomes.record([outcome(1, "NO")])
    run_once(settings)
    write(stream, 1)
    outcomes.record([outcome(1, "YES", correct=True), outcome(1, "NO", correct=True)])
    run_once(settings)
    assert marks(store, settings) == [("NO", True, True), ("YES", True, True), ("NO", True, False)]
    assert FeedbackWatch(settings).look(whole=True) == 0
    assert verify(settings).problems == ()


def hit(
    number: int, *, correction: bool, joined: bool = False, age: timedelta = timedelta()
) -> dict[str, Any]:
    """An outcome as a search gives it."""
    at = (NOW - age).isoformat()
    about = {"label": "YES", "at": at, "correction": correction, "joined": joined, "superseded": False}
    source = {"@timestamp": at, "producer": "p", "number": number, "outcome": about}
    return {"_id": f"p-{number}", "_index": "i", "_seq_no": 1, "_primary_term": 1, "_source": source}


NOW = datetime(2026, 11, 21, tzinfo=UTC)
FOUND = {"@timestamp": "2026-11-20T00:00:00Z", "result": {"label": "YES"}, "model": {}}


def changes(*hits: dict[str, Any], prediction: dict[str, Any] | None = FOUND) -> list[tuple[str, bool, bool]]:
    """Id, joined and superseded of what is rewritten."""
    found = rewrites(Known(prediction, list(hits)), NOW)
    return [(one["_id"], new["outcome"]["joined"], new["outcome"]["superseded"]) for one, new in found]


def test_a_correction_waits_for_what_it_corrects() -> None:
    """Joined before, both would count for a while; after an hour there is nothing to wait for."""
    assert changes(hit(2, correction=True)) == []
    assert changes(hit(2, correction=True, age=timedelta(hours=2))) == [("p-2", True, False)]
    both = hit(1, correction=False, joined=True), hit(2, correction=True)
    assert changes(*both) == [("p-1", True, True), ("p-2", True, False)]
    assert changes(hit(1, correction=False), hit(2, correction=True), prediction=None) == [
        ("p-1", False, True)
    ]


def test_outcomes_whose_prediction_never_comes_keep_no_other_waiting(
    settings: Settings,
    stream: Stream,
    outcomes: Outcomes,
    store: Elasticsearch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many newer ones wait, each look goes on where the last one ended; a single run looks at all."""
    monkeypatch.setattr(feedback_watch, "PAGE", 2)
    monkeypatch.setattr(feedback_watch, "MOST_PAGES", 2)
    for numbers in ((1, 2), range(3, 13)):
        outcomes.record([outcome(number, "YES") for number in numbers])
    run_once(settings)
    with monkeypatch.context() as without_a_look:
        without_a_look.setattr(FeedbackWatch, "look", lambda *_, **__: 0)
        write(stream, 1)
        run_once(settings)
    store.indices.refresh(index=f"{settings.store.es_index_prefix}{MESSAGE}")
    watch = FeedbackWatch(settings)
    assert [watch.look() for _ in range(4)] == [0, 0, 1, 0]
    write(stream, 2)
    run_once(settings)
    assert [joined for _, joined, _ in marks(store, settings)] == [True] * 2 + [False] * 10


def test_a_document_that_changed_since_is_left(
    settings: Settings,
    stream: Stream,
    outcomes: Outcomes,
    store: Elasticsearch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An outcome erased between reading and rewriting stays erased."""
    outcomes.record([outcome(1, "YES")])
    run_once(settings)
    write(stream, 1)
    index = f"{settings.store.es_index_prefix}{MESSAGE}"

    def erased_meanwhile(found: Known, now: datetime) -> Iterator[Any]:
        yield from rewrites(found, now)
        erase(settings, Subject(transactions=frozenset({transaction(1)})))

    with monkeypatch.context() as patched:
        patched.setattr(feedback_watch, "rewrites", erased_meanwhile)
        run_once(settings)
    store.indices.refresh(index=index)
    assert store.count(index=index)["count"] == 0
    assert verify(settings).problems == ()


def test_what_no_prediction_fits_is_stored_as_it_is(settings: Settings, store: Elasticsearch) -> None:
    """A foreign program's outcome with a time that is none is the store's to refuse, not a fault of the batch."""
    context = Context(zone=UTC, excluded_paths=(), present_features=lambda _: None)  # type: ignore[arg-type]
    event: Any = outcome(1, "YES").event
    event["data"]["outcome"]["at"] = "soon"
    made = documents_of(entry(event), Epoch("", "p-", "day"), context)
    assert [document.prediction for document in made] == ["", transaction(1)]
    known = Known({**FOUND, "transaction_id": transaction(1)})
    assert feedback_join._at_once(made[1], known) is made[1]


def test_a_store_that_is_slow_to_search_delays_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The joiner gives up, passes the documents on as they are, and does not ask again for a while."""
    from elasticsearch import ConnectionTimeout

    asked: list[object] = []

    def known(*arguments: object) -> dict[str, Known]:
        asked.append(arguments)
        raise ConnectionTimeout("too late")

    monkeypatch.setattr(feedback_join, "known", known)
    context = Context(zone=UTC, excluded_paths=(), present_features=lambda _: None)  # type: ignore[arg-type]
    event: Any = outcome(1, "YES").event
    made = documents_of(entry(event), Epoch("", "p-", "day"), context)
    joiner = OutcomeJoiner(None, "")  # type: ignore[arg-type]
    assert joiner.join(made) == made
    assert joiner.join(made) == made
    assert len(asked) == 1


def test_batches_without_outcomes_ask_nothing(
    settings: Settings, stream: Stream, store_server: StoreProxy
) -> None:
    """Only the watch searches, once, when a run of predictions ends."""
    stream.ensure_group()
    write(stream, *range(1, 30))
    run_once(settings)
    joiner = OutcomeJoiner(None, "")  # type: ignore[arg-type]
    assert joiner.join([]) == []


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """A pipeline that runs, and takes over quickly what another left."""
    stop = threading.Event()
    options = {"min_idle_ms": 1500}
    thread = threading.Thread(target=run_continuously, args=(settings, stop), kwargs=options, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


def counted(store: Elasticsearch, settings: Settings) -> tuple[int, int, int]:
    """Outcomes in the store: all, those that count, those of them that are joined; none while shards begin."""
    index = f"{settings.store.es_index_prefix}{MESSAGE}"
    store.indices.refresh(index=index, **LENIENT)
    live: list[dict[str, Any]] = [{"term": {"outcome.superseded": False}}]
    joined: dict[str, Any] = {"term": {"outcome.joined": True}}
    try:
        found = [
            store.count(index=index, query={"bool": {"filter": [*ARE_OUTCOMES, *more]}}, **LENIENT)["count"]
            for more in ([], live, [*live, joined])
        ]
    except ApiError as error:
        if error.status_code != 503:
            raise
        return 0, 0, 0
    return found[0], found[1], found[2]


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=(pytest.mark.slow, pytest.mark.elastic))])
def test_every_outcome_counts_once_for_the_right_version(
    settings: Settings, stream: Stream, outcomes: Outcomes, store: Elasticsearch, tmp_path: Path, count: int
) -> None:
    """In random order, twice, by eight threads, half of them before their predictions are indexed.

    The first worker is killed on the way. Meanwhile nobody who counts the documents ever finds one missing or twice.
    """
    chance, numbers = random.Random(7), list(range(1, count + 1))
    write(stream, *numbers[::2])
    given = numbers * 2
    chance.shuffle(given)
    pages = [given[start : start + 25] for start in range(0, len(given), 25)]
    environment = place(
        tmp_path / "killed", settings.redis.redis_port, settings.store.es_port,
        ES_INDEX_PREFIX=settings.store.es_index_prefix,
    )  # fmt: skip
    killed = start_worker(environment, tmp_path / "killed.log", 1500)
    with ThreadPoolExecutor(8) as threads:
        record_page = lambda page: outcomes.record([outcome(n, "YES" if n % 3 else "NO") for n in page])  # noqa: E731
        answers = Counter(status for page in threads.map(record_page, pages) for status, _ in page)
        assert answers == {"recorded": count, "known": count}
    try:
        wait_for(lambda: counted(store, settings)[0] > 0, PATIENCE, "the first to be indexed")
    finally:
        end(killed)
    with running(settings):
        wait_for(
            lambda: counted(store, settings) == (count, count, count // 2), PATIENCE, "half to be joined"
        )
        write(stream, *numbers[1::2])
        seen: set[int] = set()

        def all_joined() -> bool:
            total, _, joined = counted(store, settings)
            seen.add(total)
            return joined == count

        wait_for(all_joined, PATIENCE, "all to be joined")
        assert seen == {count}
    found = {one["transaction_id"]: one for one in stored(store, settings)}
    assert len(found) == count
    for number in numbers:
        one = found[transaction(number)]
        assert one["model"]["version"] == VERSIONS[number % 2]
        assert (one["outcome"]["label"], one["outcome"]["correct"]) == (
            "YES" if number % 3 else "NO", bool(number % 3),
        )  # fmt: skip
    assert verify(settings).problems == ()

"""The pipeline end to end, on a real Redis and a real store: each event once, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from elasticsearch import Elasticsearch
from loguru import logger
from tests.logs_pipeline.events import PRODUCER, prediction, predictions, record
from tests.logs_pipeline.fault_store import fault_store
from tests.servers import ROOT, RedisServer, free_port, wait_for
from tests.store_proxy import StoreProxy

from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.pipeline import run_continuously, run_once
from vigie.logs_pipeline.preparation import PipelineError
from vigie.logs_pipeline.report import lag_ms
from vigie.settings import RedisSettings, Settings, load_settings
from vigie.telemetry.destination import RedisDestination
from vigie.telemetry.journal.journal import Journal
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.stream import Record, Stream, Verdict

RUN_ONCE = """
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import load_settings
print(run_once(load_settings(dotenv=None), min_idle_ms=500))
"""


@pytest.fixture
def environment(
    redis_settings: RedisSettings, store_server: StoreProxy, settings_for: Callable[..., Settings]
) -> dict[str, str]:
    """Variables of an installation with an empty Redis and a prefix of its own in the store."""
    own = settings_for()
    return {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis_settings.redis_port),
        "ES_HOST": "127.0.0.1",
        "ES_PORT": str(store_server.port),
        "ES_INDEX_PREFIX": own.store.es_index_prefix,
        "VIGIE_HOME": str(own.api.vigie_home),
        "MODEL_PATH": str(ROOT / "model" / "lung_cancer"),
    }


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """The same as settings."""
    return load_settings(environment, None)


@pytest.fixture
def stream(settings: Settings) -> Stream:
    """The stream of the installation."""
    return Stream.open(settings.redis)


@pytest.fixture
def store(settings: Settings) -> Iterator[Elasticsearch]:
    """A client of the store."""
    with connect_store(settings.store) as client:
        yield client


def stored(store: Elasticsearch, settings: Settings) -> Counter[tuple[str, int, str]]:
    """Count the documents of the installation by index, number and kind."""
    found: Counter[tuple[str, int, str]] = Counter()
    for index in ("ml-api-logs", "ml-api-message", "ml-api-perfs"):
        alias = f"{settings.store.es_index_prefix}{index}"
        store.indices.refresh(index=alias)
        after: list[Any] | None = None
        while True:
            sort = [{"number": "asc"}, {"doc_type": "asc"}]
            answer = store.search(index=alias, size=1000, sort=sort, search_after=after)
            hits = answer["hits"]["hits"]
            if not hits:
                break
            found.update((index, hit["_source"]["number"], hit["_source"]["doc_type"]) for hit in hits)
            after = hits[-1]["sort"]
    return found


def expected(first: int, last: int) -> Counter[tuple[str, int, str]]:
    """What `predictions(first, last)` must leave in the store."""
    found: Counter[tuple[str, int, str]] = Counter()
    for number in range(first, last + 1):
        found["ml-api-logs", number, "prediction"] = 1
        found["ml-api-message", number, "prediction"] = 1
        found["ml-api-perfs", number, "request"] = 1
        if number % 10 == 0:
            found["ml-api-perfs", number, "function"] = 2
    return found


def test_running_twice_stores_each_document_once(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """One run indexes everything, the next finds nothing to do."""
    stream.write(PRODUCER, predictions(1, 300))
    first = run_once(settings)
    assert (first.counts.read, first.counts.indexed, first.counts.documents) == (300, 300, 960)
    assert (first.complete, first.backlog) == (True, 0)
    second = run_once(settings)
    assert (second.counts.read, second.counts.indexed, second.backlog) == (0, 0, 0)
    assert "300 events indexed (960 documents)" in str(first)
    assert stored(store, settings) == expected(1, 300)
    assert stream.workers() == []
    assert statuses(stream.client) == []


def test_a_killed_run_is_finished_by_the_next(
    settings: Settings, environment: dict[str, str], stream: Stream, store: Elasticsearch
) -> None:
    """SIGKILL in the middle, then another run: exactly one document per event, index and kind."""
    for first in range(1, 1501, 500):
        stream.write(PRODUCER, predictions(first, first + 499))
    command = [sys.executable, "-c", RUN_ONCE]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: stream.ledger.totals().settled > 0, 60, "the run to be in the middle of it")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert stream.oldest_pending() is not None
    assert stream.backlog() > 0
    summary = run_once(settings, min_idle_ms=500)
    assert (summary.complete, summary.backlog) == (True, 0)
    assert summary.counts.taken_over > 0
    assert stored(store, settings) == expected(1, 1500)


def test_poison_goes_to_the_dead_letters_and_blocks_nobody(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """What is not JSON, what is refused by the filter and what the store refuses are set aside with reasons."""
    wrong_type = record(prediction(3, latency_ms="very long"), 3)
    items = [*predictions(1, 1), Record(2, b"{not json"), wrong_type, *predictions(4, 4)]
    stream.write(PRODUCER, [*items, record(prediction(5, kind="request", path="/health"), 5)])
    stream.client.xadd("api_logs", {"by": "hand"})
    summary = run_once(settings)
    assert (summary.counts.indexed, summary.counts.dead, summary.counts.filtered) == (2, 3, 1)
    assert (summary.backlog, summary.complete) == (0, True)
    reasons = {letter.number: letter.reason for letter in stream.dead_letters(10)}
    assert set(reasons) == {0, 2, 3}
    assert "not JSON" in reasons[2]
    assert "latency_ms" in reasons[3] or "very long" in reasons[3]
    assert {number for _, number, _ in stored(store, settings)} >= {1, 4}


def test_journals_of_dead_processes_are_shipped_first(settings: Settings, stream: Stream) -> None:
    """What a killed process of this host had not shipped is indexed too, and its producer closed."""
    journal = Journal.create(settings.api.vigie_home, "api", settings.journal)
    journal.append([prediction(number) for number in range(1, 6)])  # type: ignore[arg-type]  # plain dicts
    journal.close(delete=False)
    assert run_once(settings).counts.indexed == 5
    (state,) = stream.producers()
    assert (state.producer, state.high, state.closed) == (journal.producer, 5, 5)


def test_a_dead_journal_larger_than_the_streams_bound_is_shipped_in_turns(
    settings: Settings, environment: dict[str, str], stream: Stream
) -> None:
    """With the stream full, a single run makes room and goes on until the journal is empty."""
    bounded = load_settings({**environment, "REDIS_STREAM_MAX_ENTRIES": "1000"}, None)
    journal = Journal.create(settings.api.vigie_home, "api", settings.journal)
    events = [prediction(number, kind="request", path="/logs") for number in range(1, 1202)]
    journal.append(events)  # type: ignore[arg-type]  # plain dicts
    journal.close(delete=False)
    summary = run_once(bounded)
    assert (summary.counts.indexed, summary.complete) == (1201, True)


def test_a_changed_prefix_indexes_no_entry_twice(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """Entries delivered before the change go where they would have gone, later ones to the new indices."""
    stream.write(PRODUCER, predictions(1, 2))
    run_once(settings)
    stream.write(PRODUCER, predictions(3, 4))
    stream.read("dead", 1, 0)
    changed = settings.model_copy(
        update={
            "store": settings.store.model_copy(
                update={"es_index_prefix": f"{settings.store.es_index_prefix}b-"}
            )
        }
    )
    assert run_once(changed, min_idle_ms=200).complete
    assert {number for _, number, _ in stored(store, settings)} == {1, 2, 3}
    assert {number for _, number, _ in stored(store, changed)} == {4}


def test_entries_of_a_living_worker_are_not_waited_for_forever(settings: Settings, stream: Stream) -> None:
    """A single run says who holds what it could not finish."""
    run_once(settings)
    stream.write(PRODUCER, predictions(1, 2))
    (entry,) = stream.read("alive", 1, 0)
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(0.02):
            stream.renew("alive", [entry.id])

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        summary = run_once(settings, min_idle_ms=1000, patience_seconds=0.5)
    finally:
        stop.set()
        thread.join()
    assert not summary.complete
    assert "is held by worker alive" in summary.problems[0]
    assert (summary.counts.indexed, summary.backlog) == (1, 1)


def test_a_single_run_without_a_store_says_so(settings: Settings, stream: Stream) -> None:
    """It gives up after its patience, names the address, and nothing is lost."""
    away = settings.model_copy(update={"store": settings.store.model_copy(update={"es_port": free_port()})})
    stream.write(PRODUCER, predictions(1, 2))
    with pytest.raises(PipelineError, match="does not answer"):
        run_once(away, min_idle_ms=100, patience_seconds=0.2)
    assert run_once(settings).counts.indexed == 2


def test_a_single_run_whose_index_is_blocked_names_the_remedy(settings: Settings, stream: Stream) -> None:
    """The events stay in the stream, and the summary says what to do."""
    stream.write(PRODUCER, predictions(1, 2))
    with fault_store() as store:
        port = int(store.url.rpartition(":")[2])
        blocked = settings.model_copy(update={"store": settings.store.model_copy(update={"es_port": port})})
        store.refuse = lambda line: (403, {"type": "cluster_block_exception", "reason": "index write (api)"})
        summary = run_once(blocked, min_idle_ms=100, patience_seconds=0.5)
        assert "index.blocks" in summary.problems[0]
        assert "index.blocks" in str(summary)
        assert (summary.complete, summary.backlog, stream.dead_count()) == (False, 2, 0)
        store.refuse = lambda line: None
        assert run_once(blocked, min_idle_ms=100).backlog == 0
        assert len(store.documents) == 6


def test_without_redis_there_is_one_line(settings_for: Callable[..., Settings]) -> None:
    """A single run does not wait for Redis; without the stream there is nothing to index."""
    model = str(ROOT / "model" / "lung_cancer")
    with pytest.raises(PipelineError, match="Redis at 127"):
        run_once(settings_for(REDIS_PORT=free_port(), MODEL_PATH=model))
    with pytest.raises(PipelineError, match="LOG_TO_REDIS"):
        run_once(settings_for(LOG_TO_REDIS="false", MODEL_PATH=model))


class Running:
    """A worker running continuously in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.stop = threading.Event()
        self.thread = threading.Thread(
            target=run_continuously, args=(settings, self.stop), kwargs={"min_idle_ms": 500}
        )
        self.thread.start()

    def end(self) -> float:
        """Stop it; return the seconds it took."""
        started = time.monotonic()
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        return time.monotonic() - started


def test_continuous_work_indexes_as_events_come_and_stops_cleanly(
    settings: Settings, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are indexed as they come; a heartbeat says so; the stop leaves no consumer behind."""
    # No report of its own: one that is read as the stop comes is handed over, and keeps the consumer.
    monkeypatch.setattr("vigie.logs_pipeline.pipeline.FIRST_SECONDS", 30.0)
    running = Running(settings)
    try:
        for number in (1, 2):
            stream.write(PRODUCER, predictions(number, number))
            wait_for(lambda number=number: stream.ledger.totals().indexed == number)
        (status,) = wait_for(
            lambda: [found for found in statuses(stream.client) if found.counts.indexed == 2]
        )
        assert (status.problem, status.counts.read) == ("", 2)
    finally:
        assert running.end() < 10
    assert stream.workers() == []
    assert statuses(stream.client) == []


def test_a_running_pipeline_reports_on_itself(
    settings: Settings, stream: Stream, store: Elasticsearch
) -> None:
    """Its figures reach the store through its own journal, and its producer is closed at the clean stop."""
    stream.write(PRODUCER, predictions(1, 3))
    stop = threading.Event()
    thread = threading.Thread(
        target=run_continuously, args=(settings, stop), kwargs={"min_idle_ms": 500, "report_seconds": 0.2}
    )
    thread.start()
    alias = f"{settings.store.es_index_prefix}ml-api-perfs"

    def reports() -> list[dict[str, Any]]:
        store.indices.refresh(index=alias)
        query = {"bool": {"filter": [{"term": {"service": "pipeline"}}, {"range": {"indexed": {"gte": 3}}}]}}
        return [hit["_source"] for hit in store.search(index=alias, query=query)["hits"]["hits"]]

    try:
        wait_for(lambda: stream.ledger.totals().indexed >= 3)
        found = wait_for(reports)[0]
    finally:
        stop.set()
        thread.join(20)
    assert (found["doc_type"], found["dead"], found["dropped"]) == ("service", 0, 0)
    assert found["read"] >= 3
    assert found["lag_ms"] >= 0
    assert {"backlog", "retried", "uptime_seconds"} <= set(found)
    own = next(state for state in stream.producers() if state.attributes.get("role") == "pipeline")
    assert own.closed == own.high
    run_once(settings, min_idle_ms=200)
    store.indices.refresh(index=alias)
    query = {"term": {"producer": own.producer}}
    assert store.count(index=alias, query=query)["count"] == own.high
    assert store.count(index=alias.replace("perfs", "logs"), query=query)["count"] == 0


def test_the_lag_is_the_age_of_the_oldest_entry_not_settled(stream: Stream) -> None:
    """Read or not, an entry that is not settled ages; with none there is no lag."""
    stream.ensure_group()
    assert lag_ms(stream) == 0
    stream.write(PRODUCER, predictions(1, 1))
    (entry,) = stream.newest(1)
    wait_for(lambda: lag_ms(stream) > 20)
    (read,) = stream.read("worker", 1, 0)
    assert read.id == entry.id
    stream.write(PRODUCER, predictions(2, 2))
    assert lag_ms(stream) > 20
    stream.settle([Verdict(read, "indexed")])
    before = lag_ms(stream)
    assert before >= 0
    stream.settle([Verdict(one, "indexed") for one in stream.read("worker", 1, 0)])
    assert lag_ms(stream) == 0


def test_expired_indices_are_dropped_while_the_pipeline_runs(
    settings: Settings, store: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to remember the command; a store that is away is told and tried again."""
    from vigie.logs_pipeline import housekeeping

    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(str(message)), level="INFO")
    monkeypatch.setattr(housekeeping, "FIRST_RETENTION_SECONDS", 0.0)
    monkeypatch.setattr(housekeeping, "RETENTION_SECONDS", 0.05)
    monkeypatch.setattr(housekeeping, "RETENTION_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(housekeeping, "HOUSEKEEPING_SECONDS", 0.05)
    real, failures = housekeeping.apply_retention, iter([True])

    def failing(settings: Settings) -> Any:
        if next(failures, False):
            raise housekeeping.RetentionError("the store is away")
        return real(settings)

    monkeypatch.setattr(housekeeping, "apply_retention", failing)
    expired = f"{settings.store.es_index_prefix}ml-api-logs-2020.01.01"
    store.indices.create(index=expired)
    running = Running(settings)
    try:
        wait_for(lambda: not store.indices.exists(index=expired))
        wait_for(lambda: any(f"dropped {expired}" in message for message in messages))
    finally:
        running.end()
        logger.remove(sink)
    assert any("RETENTION_DAYS failed: the store is away" in message for message in messages)


def test_continuous_work_outlives_redis_and_store(
    own_redis: RedisServer, settings: Settings, environment: dict[str, str]
) -> None:
    """With Redis away, then back, and the store away at first, the worker waits and goes on."""
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(str(message)), level="WARNING")
    changed = load_settings({**environment, "REDIS_PORT": str(own_redis.port)}, None)
    stream = Stream.open(changed.redis)
    stream.write(PRODUCER, predictions(1, 2))
    port = own_redis.port
    own_redis.stop()
    running = Running(changed)
    again = None
    try:
        wait_for(lambda: any("waiting for Redis" in message for message in messages), 90)
        again = RedisServer.start(own_redis.directory, port)
        wait_for(lambda: stream.ledger.totals().indexed == 2, 90)
        again.stop()
        wait_for(lambda: any("Redis does not answer" in message for message in messages), 90)
        again = RedisServer.start(own_redis.directory, port)
        stream.write(PRODUCER, predictions(3, 4))
        wait_for(lambda: stream.ledger.totals().indexed == 4)
    finally:
        running.end()
        logger.remove(sink)
        if again is not None:
            again.stop()


def test_continuous_work_waits_for_the_store(
    settings: Settings, environment: dict[str, str], stream: Stream
) -> None:
    """A worker that starts before the store says what it waits for, and can be stopped meanwhile."""
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(str(message)), level="WARNING")
    away = load_settings({**environment, "ES_PORT": str(free_port())}, None)
    running = Running(away)
    try:
        wait_for(lambda: any("waiting for the store" in message for message in messages), 90)
    finally:
        assert running.end() < 10
        logger.remove(sink)


def test_a_fault_of_ours_buries_only_what_fails_alone(
    settings: Settings, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event on which the code itself fails comes alone in the end; the others are indexed."""
    from vigie.logs_pipeline import worker

    real = worker.documents_of

    def failing(entry: Any, *rest: Any) -> Any:
        if entry.number == 2:
            raise RuntimeError("a defect")
        return real(entry, *rest)

    monkeypatch.setattr(worker, "documents_of", failing)
    monkeypatch.setattr(worker, "backoff", lambda *_, **__: 0.01)
    stream.write(PRODUCER, predictions(1, 3))
    summary = run_once(settings)
    assert (summary.counts.indexed, summary.counts.dead, summary.backlog) == (2, 1, 0)
    (letter,) = stream.dead_letters(10)
    assert (letter.number, "a defect" in letter.reason) == (2, True)


def test_a_redis_that_fails_while_settling_costs_nothing(
    settings: Settings, stream: Stream, store: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents that are stored and whose settling failed are settled by the next attempt, once."""
    real, failures = RedisDestination.settle, iter([True, True])

    def failing(self: RedisDestination, verdicts: Any) -> int:
        settled = real(self, verdicts)
        if next(failures, False):
            raise redis.TimeoutError("the answer was lost")
        return settled

    monkeypatch.setattr(RedisDestination, "settle", failing)
    stream.write(PRODUCER, predictions(1, 30))
    summary = run_once(settings)
    assert (summary.counts.indexed, summary.backlog) == (30, 0)
    prefix = settings.store.es_index_prefix
    assert stream.producers()[0].documents == {
        f"{prefix}ml-api-logs-2026.11.20": 30,
        f"{prefix}ml-api-message-2026.11.20": 30,
        f"{prefix}ml-api-perfs-2026.11.20": 36,
    }
    assert stored(store, settings) == expected(1, 30)

"""Flow control: a store that refuses, a stream and journals at their bounds, a Redis without memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import redis
from tests.logs_pipeline.events import PRODUCER, prediction, record
from tests.logs_pipeline.fault_store import Answer, FaultStore, Line, fault_store
from tests.logs_pipeline.workers import place, settings_of
from tests.servers import RedisServer, StoreServer, wait_for
from tests.stack import Stack

from vigie.api.delivery import PipelineCheck
from vigie.logs_pipeline.collector import BATCH
from vigie.logs_pipeline.pipeline import run_continuously, run_once
from vigie.logs_pipeline.worker import MOST_IN_FLIGHT
from vigie.model.cohort import draw
from vigie.schema import FeatureSchema
from vigie.settings import Settings
from vigie.telemetry.stream.stream import Record, Stream

PATIENCE = 90
"""Seconds a test waits for a state; a defect is waited for, a good run never."""
BATCH_ROWS = 200


def requests(first: int, last: int) -> list[Record]:
    """Events of one document each."""
    return [
        record(prediction(number, kind="request", path="/logs"), number) for number in range(first, last + 1)
    ]


def whole(status: int, kind: str) -> Callable[[list[Line]], Answer]:
    """A refusal of a bulk as a whole."""
    return lambda _: (status, {"error": {"type": kind, "reason": "because"}, "status": status})


def each(status: int, kind: str) -> Callable[[Line], Answer]:
    """A refusal of each document within an answer 200."""
    return lambda _: (status, {"type": kind, "reason": "because"})


class Refusals:
    """Switches a fault store from one way to refuse to the next, and back to taking everything."""

    def __init__(self, store: FaultStore) -> None:
        self._store = store
        self._fault: Callable[[list[Line]], Answer] | None = None

    def begin(
        self, fault: Callable[[list[Line]], Answer] | None, item: Callable[[Line], Answer] | None
    ) -> None:
        """Refuse by `fault`, or each document by `item`."""
        self._fault = fault
        self._store.refuse = item or (lambda _: None)
        self._store.faults = [self._refuse]

    def end(self) -> None:
        """Take everything again."""
        self.begin(None, None)

    def _refuse(self, lines: list[Line]) -> Answer | None:
        self._store.faults.append(self._refuse)
        return self._fault(lines) if self._fault else None


@pytest.fixture
def store() -> Iterator[FaultStore]:
    """A store that does what it is told."""
    with fault_store() as found:
        yield found


@pytest.fixture
def settings(own_redis: RedisServer, store: FaultStore, tmp_path: Path) -> Settings:
    """An installation on a Redis of its own and the fault store."""
    return settings_of(place(tmp_path / "home", own_redis.port, int(store.url.rpartition(":")[2])))


@pytest.fixture
def running(settings: Settings) -> Iterator[None]:
    """A pipeline that runs."""
    stop = threading.Event()
    options = {"min_idle_ms": 600}
    thread = threading.Thread(target=run_continuously, args=(settings, stop), kwargs=options, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(PATIENCE)


@pytest.mark.usefixtures("running")
def test_whatever_the_store_refuses_with_the_reader_waits_and_health_names_the_remedy(
    settings: Settings, store: FaultStore
) -> None:
    """Too busy, as a whole or by document, failing, closed, blocked, without rights: nothing is dead or lost.

    While the store refuses, no more than the bound is in flight; when it is mended, everything follows.
    """
    stream = Stream.open(settings.redis)
    health = PipelineCheck(stream.client, settings)
    refusals = Refusals(store)
    high = 0
    for fault, item, remedy in (
        (whole(429, "es_rejected_execution_exception"), None, "give the store more memory or nodes"),
        (None, each(429, "es_rejected_execution_exception"), "give the store more memory or nodes"),
        (whole(500, "panic"), None, "see the store's own log"),
        (None, each(400, "index_closed_exception"), "open the index again"),
        (None, each(403, "cluster_block_exception"), "free disk space"),
        (whole(401, "security_exception"), None, "ES_API_KEY"),
    ):
        refusals.begin(fault, item)
        for _ in range(4):
            stream.write(PRODUCER, requests(high + 1, high + 500))
            high += 500
        wait_for(
            lambda remedy=remedy: remedy in (health.problem() or ""), PATIENCE, f"health to say {remedy}"
        )
        (worker,) = stream.workers()
        assert 0 < worker.pending <= MOST_IN_FLIGHT + BATCH
        assert stream.backlog() >= 2000, "none of them is done"
        refusals.end()
        wait_for(lambda: stream.backlog() == 0, PATIENCE, "the backlog to be indexed")
        wait_for(lambda: health.problem() is None, PATIENCE, "health to be content")
    assert stream.ledger.producer(PRODUCER).counts == {
        "indexed": high,
        "filtered": 0,
        "dead": 0,
        "cleared": 0,
    }
    numbers = sorted(
        fields["number"]
        for (index, _), fields in store.documents.items()
        if index.startswith("ml-api-logs") and fields["producer"] == PRODUCER
    )
    assert numbers == list(range(1, high + 1))


def test_a_redis_without_memory_still_lets_the_pipeline_drain_it(
    settings: Settings, store: FaultStore, own_redis: RedisServer
) -> None:
    """At its maxmemory Redis takes no event, and a pipeline that starts then indexes what is there."""
    stream = Stream.open(settings.redis)
    stream.write(PRODUCER, requests(1, 1))
    assert run_once(settings).counts.indexed == 1
    stream.write(PRODUCER, requests(2, 500))
    stream.client.config_set("maxmemory", 1)
    with pytest.raises(redis.RedisError, match="maxmemory"):
        stream.write(PRODUCER, requests(501, 501))
    summary = run_once(settings)
    assert (summary.counts.indexed, summary.backlog, summary.complete) == (499, 0, True)
    stream.client.config_set("maxmemory", 0)
    stream.write(PRODUCER, requests(501, 600))
    assert run_once(settings).counts.indexed == 100
    assert len(store.documents) == 600


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, package_path: Path) -> Iterator[Stack]:
    """The platform with the smallest bounds there are."""
    bounds = {"REDIS_STREAM_MAX_ENTRIES": 1000, "JOURNAL_MAX_BYTES": 1024**2}
    one = Stack(tmp_path_factory.mktemp("bounds"), package_path, bounds)
    try:
        one.start("redis", "store", "api", "pipeline")
        yield one
    finally:
        one.stop()


class Caller:
    """Sends batches of predictions, each of which must be answered, and remembers the rows' ids."""

    def __init__(self, stack: Stack, schema: FeatureSchema) -> None:
        self._url = stack.url("api")
        rows, _ = draw(schema, BATCH_ROWS, seed=3)
        self._rows = [dict(row) for row in rows]
        self.answered: set[str] = set()

    def send(self) -> None:
        """Send one batch."""
        answer = httpx.post(f"{self._url}/predict/batch", json=self._rows, timeout=60)
        assert answer.status_code == 200, answer.text
        self.answered |= {row["transaction_id"] for row in answer.json()["results"]}

    def health(self) -> dict[str, object]:
        """Return what GET /health says."""
        found: dict[str, object] = httpx.get(f"{self._url}/health", timeout=60).json()
        return found

    def says(self, *words: str) -> bool:
        """Whether one of health's reasons holds all of `words`."""
        reasons = self.health()["reasons"]
        assert isinstance(reasons, list)
        return any(all(word in reason for word in words) for reason in reasons)

    def content(self) -> bool:
        """Whether all is well and nothing waits in the journal."""
        found = self.health()
        return found["status"] == "ok" and found["backlog"] == 0


def stored_ids(stack: Stack) -> list[str]:
    """Transaction ids of the stored predictions."""
    found = stack.documents("ml-api-message", {"term": {"doc_type": "prediction"}})
    return [document["transaction_id"] for document in found]


def test_a_redis_without_memory_is_named_and_costs_nothing(stack: Stack, schema: FeatureSchema) -> None:
    """Events wait in the journal while predictions are answered; with memory again all of them are stored."""
    caller = Caller(stack, schema)
    stream = Stream.open(stack.settings.redis)
    caller.send()
    wait_for(caller.content, PATIENCE, "everything to be shipped")
    stream.client.config_set("maxmemory", 1)
    caller.send()
    wait_for(lambda: caller.says("maxmemory", "wait in the journal"), PATIENCE, "health to name maxmemory")
    caller.send()
    assert caller.health()["status"] == "degraded"
    stream.client.config_set("maxmemory", 0)
    wait_for(caller.content, PATIENCE, "the journal to be shipped")
    wait_for(lambda: stream.backlog() == 0, PATIENCE, "everything to be settled")
    assert caller.answered <= set(stored_ids(stack))
    assert stack.finish("verify") == 0, stack.output("verify")


def test_stream_then_journals_then_declared_drops_and_back_again(stack: Stack, schema: FeatureSchema) -> None:
    """Without a store: the stream fills up, then the journals, then events are dropped by declared ranges.

    All the while every prediction is answered and health names the stage; afterwards everything but the
    declared numbers is stored, once, without anybody's help.
    """
    if "store" not in stack.processes:
        pytest.skip("the store of this run must not be killed")
    caller = Caller(stack, schema)
    stream = Stream.open(stack.settings.redis)
    before = set(stored_ids(stack))
    port = int(stack.door.upstream.port) if stack.door is not None and stack.door.upstream.port else 0
    stack.kill("store")
    wait_for(lambda: caller.says("the store at", "check ES_HOST"), PATIENCE, "health to miss the store")

    def filled(*words: str) -> bool:
        caller.send()
        return caller.says(*words)

    wait_for(lambda: filled("REDIS_STREAM_MAX_ENTRIES", "journals"), PATIENCE, "the stream to be full")
    wait_for(lambda: filled("the journal takes no events", "JOURNAL_MAX_BYTES"), PATIENCE, "drops")
    assert stream.backlog() <= 1000
    for _ in range(3):
        caller.send()
    assert httpx.get(f"{stack.url('api')}/livez", timeout=60).status_code == 200
    producer, dropped = str(caller.health()["producer"]), caller.health()["dropped"]
    stack.processes["store"] = StoreServer.start(stack.home / "store", port).process
    wait_for(caller.content, PATIENCE, "the journal to be shipped")
    caller.send()
    wait_for(caller.content, PATIENCE, "the journal to be shipped")
    wait_for(lambda: stream.backlog() == 0, PATIENCE, "everything to be settled")
    gaps = stream.declared()[producer]
    lost = {number for gap in gaps for number in range(gap.first, gap.last + 1)}
    events = stack.documents("ml-api-logs", {"term": {"producer": producer}})
    reports = stack.documents("ml-api-perfs", {"term": {"producer": producer}})
    services = [document for document in reports if document["doc_type"] == "service"]
    numbers = [document["number"] for document in [*events, *services]]
    assert len(lost) == dropped == caller.health()["dropped"]
    assert sorted([*numbers, *lost]) == list(range(1, stream.ledger.highs()[producer] + 1))
    stored = stored_ids(stack)
    assert len(stored) == len(set(stored))
    assert set(stored) - before <= caller.answered
    assert 0 < len(caller.answered - set(stored)) <= len(lost)
    assert stack.finish("verify") == 0, stack.output("verify")

"""Several workers of one group: they share the load, and each event is stored once whoever dies or hangs."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.logs_pipeline.events import PRODUCER, predictions
from tests.logs_pipeline.fault_store import FaultStore, Line, fault_store
from tests.logs_pipeline.workers import consumer_of, end, place, settings_of, start_worker
from tests.real_store import index_prefix
from tests.servers import RedisServer, wait_for
from tests.store_proxy import StoreProxy

from vigie.ledger.proof import verify
from vigie.logs_pipeline.collector import BATCH
from vigie.logs_pipeline.pipeline import run_once
from vigie.logs_pipeline.worker import MOST_IN_FLIGHT
from vigie.telemetry.stream.stream import Stream

PATIENCE = 90
"""Seconds a test waits for a state; a defect is waited for, a good run never."""
IDLE_MS = 1500
NEVER_MS = 600_000

Spawn = Callable[[dict[str, str], int], subprocess.Popen[bytes]]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start workers that end with the test at the latest."""
    processes: list[subprocess.Popen[bytes]] = []

    def one(environment: dict[str, str], min_idle_ms: int) -> subprocess.Popen[bytes]:
        processes.append(start_worker(environment, tmp_path / "workers.log", min_idle_ms))
        return processes[-1]

    yield one
    for process in processes:
        end(process)


class Gate:
    """Lets a fault store hold its next bulks, and tells when one has come."""

    def __init__(self, store: FaultStore, bulks: int = 1) -> None:
        self.arrived = threading.Event()
        self._open = threading.Event()
        store.faults = [self._hold] * bulks

    def _hold(self, _: list[Line]) -> None:
        self.arrived.set()
        self._open.wait(PATIENCE)

    def open(self) -> None:
        """Let the bulks go on."""
        self._open.set()


@pytest.fixture
def store() -> Iterator[FaultStore]:
    """A store that does what it is told."""
    with fault_store() as found:
        yield found


@pytest.fixture
def environment(own_redis: RedisServer, store: FaultStore, tmp_path: Path) -> dict[str, str]:
    """An installation on a Redis of its own and the fault store."""
    return place(tmp_path / "home", own_redis.port, int(store.url.rpartition(":")[2]))


def stored(store: FaultStore) -> list[int]:
    """Numbers of the events whose document in ml-api-logs was taken, in their order."""
    return sorted(
        fields["number"]
        for (index, _), fields in store.documents.items()
        if index.startswith("ml-api-logs") and fields["producer"] == PRODUCER
    )


def test_workers_share_what_waits(environment: dict[str, str], store: FaultStore, spawn: Spawn) -> None:
    """No worker takes more than it may hold, so that the others get the rest; all of it is stored once."""
    stream = Stream.open(settings_of(environment).redis)
    gate = Gate(store, bulks=4)
    for first in range(1, 3001, 500):
        stream.write(PRODUCER, predictions(first, first + 499))
    workers = [spawn(environment, NEVER_MS), spawn(environment, NEVER_MS)]

    def both_hold() -> bool:
        held = {worker.name: worker.pending for worker in stream.workers()}
        return len(held) == 2 and all(0 < pending <= MOST_IN_FLIGHT + BATCH for pending in held.values())

    stream.ensure_group()
    wait_for(both_hold, PATIENCE, "both workers to hold entries")
    gate.open()
    wait_for(lambda: stream.backlog() == 0, PATIENCE, "everything to be settled")
    for worker in workers:
        worker.terminate()
    assert [worker.wait(PATIENCE) for worker in workers] == [0, 0]
    assert stored(store) == list(range(1, 3001))


def test_a_worker_that_is_stopped_for_less_than_the_idle_time_is_not_robbed(
    environment: dict[str, str], store: FaultStore, spawn: Spawn
) -> None:
    """It goes on where it was, with what it held; nobody else touched that."""
    stream = Stream.open(settings_of(environment).redis)
    gate = Gate(store)
    stream.write(PRODUCER, predictions(1, 20))
    slow = spawn(environment, NEVER_MS)
    assert gate.arrived.wait(PATIENCE), "a bulk is in flight"
    slow.send_signal(signal.SIGSTOP)
    summary = run_once(settings_of(environment), min_idle_ms=NEVER_MS, patience_seconds=0.5 - NEVER_MS / 1000)
    assert (summary.counts.taken_over, summary.complete) == (0, False)
    assert f"-{slow.pid}-" in summary.problems[0]
    gate.open()
    slow.send_signal(signal.SIGCONT)
    wait_for(lambda: stream.oldest_pending() is None, PATIENCE, "the slow worker to finish")
    assert stored(store) == list(range(1, 21))
    assert stream.ledger.producer(PRODUCER).counts["indexed"] == 20


def test_a_worker_that_was_robbed_while_it_was_stopped_doubles_nothing(
    environment: dict[str, str], store: FaultStore, spawn: Spawn
) -> None:
    """Stopped for longer than the idle time it loses what it held, goes on with it, and counts nothing twice."""
    stream = Stream.open(settings_of(environment).redis)
    gate = Gate(store)
    stream.write(PRODUCER, predictions(1, 20))
    slow = spawn(environment, IDLE_MS)
    assert gate.arrived.wait(PATIENCE), "a bulk is in flight"
    slow.send_signal(signal.SIGSTOP)
    summary = run_once(settings_of(environment), min_idle_ms=IDLE_MS)
    assert (summary.complete, summary.backlog) == (True, 0)
    assert summary.counts.taken_over >= 20
    gate.open()
    slow.send_signal(signal.SIGCONT)
    stream.write(PRODUCER, predictions(21, 30))
    wait_for(lambda: stream.backlog() == 0, PATIENCE, "the slow worker to go on")
    slow.terminate()
    assert slow.wait(PATIENCE) == 0
    assert run_once(settings_of(environment), min_idle_ms=IDLE_MS).backlog == 0
    assert stored(store) == list(range(1, 31))
    state = stream.ledger.producer(PRODUCER)
    assert state.counts["indexed"] == 30
    assert sum(state.documents.values()) == 30 * 3 + 3 * 2


def test_what_was_taken_over_is_not_claimed_back(own_redis: RedisServer) -> None:
    """The renewal of a worker that was silent too long leaves the entries with their new worker."""
    stream = Stream.open(own_redis.settings())
    stream.ensure_group()
    stream.write(PRODUCER, predictions(1, 3))
    ids = [entry.id for entry in stream.read("slow", 3, 0)]
    stream.client.xclaim("api_logs", "pipeline", "quick", 0, ids[:2])
    assert stream.renew("slow", ids) == ids[:2]
    assert {worker.name: worker.pending for worker in stream.workers()} == {"slow": 1, "quick": 2}
    assert stream.hand_over("slow") == 1
    assert [entry.id for entry in stream.take_over("third", 60_000).entries] == ids[2:]


class Crowd:
    """Workers that come and go at random; a seed makes the same story again."""

    def __init__(self, environment: dict[str, str], spawn: Spawn, stream: Stream, seed: int) -> None:
        self._environment = environment
        self._spawn = spawn
        self._stream = stream
        self._random = random.Random(seed)
        self.living: list[subprocess.Popen[bytes]] = []
        self.story: list[str] = []

    def come(self) -> None:
        """One more worker starts, and is waited for."""
        worker = self._spawn(self._environment, IDLE_MS)
        wait_for(lambda: consumer_of(self._stream, worker), PATIENCE, "the worker to live")
        self.living.append(worker)
        self.story.append("come")

    def go(self) -> None:
        """One of them is told to stop, killed, or hung for good and then killed, while it may hold entries."""
        worker = self.living.pop(self._random.randrange(len(self.living)))
        how = self._random.choice([signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP])
        worker.send_signal(how)
        self.story.append(how.name)

    @contextmanager
    def all_hung(self) -> Iterator[None]:
        """For a while nobody does anything, with whatever they have in their hands."""
        for worker in self.living:
            worker.send_signal(signal.SIGSTOP)
        yield
        for worker in self.living:
            worker.send_signal(signal.SIGCONT)

    def turn(self) -> None:
        """Come or go, with one to three living."""
        if len(self.living) < 2 or (len(self.living) < 3 and self._random.random() < 0.5):
            self.come()
        else:
            self.go()


@pytest.mark.slow
@pytest.mark.every_store
def test_workers_come_and_go_at_random_and_each_event_is_stored_once(
    own_redis: RedisServer, store_server: StoreProxy, spawn: Spawn, tmp_path: Path
) -> None:
    """Started, stopped, killed and hung in the middle of the load: the ledger balances, nothing is doubled."""
    prefix = f"{index_prefix()}crowd{own_redis.port}-"
    environment = place(tmp_path / "home", own_redis.port, store_server.port, ES_INDEX_PREFIX=prefix)
    settings = settings_of(environment)
    stream = Stream.open(settings.redis)
    crowd = Crowd(environment, spawn, stream, seed=5)
    numbers = iter(range(1, 10**6, 500))
    high = 0
    crowd.come()
    for _ in range(6):
        for _ in range(3):
            high = next(numbers) + 499
            stream.write(PRODUCER, predictions(high - 499, high))
        assert stream.backlog() > 0, "there is a load when somebody comes or goes"
        crowd.turn()
        done = stream.ledger.totals().settled

        def goes_on(done: int = done) -> bool:
            return stream.ledger.totals().settled > done or stream.backlog() == 0

        wait_for(goes_on, PATIENCE, "the others to go on")
    assert {"come", "SIGKILL"} < set(crowd.story)
    with crowd.all_hung():
        high = next(numbers) + 499
        stream.write(PRODUCER, predictions(high - 499, high))
        report = verify(settings)
        assert report.balanced, (crowd.story, report.problems)
        assert stream.backlog() >= 500
    wait_for(lambda: stream.backlog() == 0, PATIENCE, "everything to be settled")
    for worker in crowd.living:
        worker.terminate()
    assert [worker.wait(PATIENCE) for worker in crowd.living] == [0] * len(crowd.living)
    assert run_once(settings, min_idle_ms=IDLE_MS).complete
    assert stream.ledger.producer(PRODUCER).counts["indexed"] == high
    report = verify(settings)
    assert report.balanced, (crowd.story, report.problems)

"""A clean stop: within its grace time whatever hangs, and what is not finished is free for others at once."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.logs_pipeline.events import PRODUCER, predictions
from tests.logs_pipeline.fault_store import FaultStore, Line, fault_store
from tests.logs_pipeline.workers import consumer_of, end, place, settings_of, start_command
from tests.servers import RedisServer, free_port, wait_for

from vigie.logs_pipeline import worker as worker_module
from vigie.logs_pipeline.pipeline import run_once
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.stream import Stream

PATIENCE = 60
"""Seconds a test waits for a state; a defect is waited for, a good run never."""


@pytest.fixture
def store() -> Iterator[FaultStore]:
    """A store that does what it is told."""
    with fault_store() as found:
        yield found


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Closed until it is set, at the latest at the end of the test."""
    found = threading.Event()
    yield found
    found.set()


@pytest.fixture
def environment(own_redis: RedisServer, store: FaultStore, tmp_path: Path) -> dict[str, str]:
    """An installation on a Redis of its own and the fault store."""
    return place(tmp_path / "home", own_redis.port, int(store.url.rpartition(":")[2]))


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with the test at the latest."""
    found: list[subprocess.Popen[bytes]] = []
    yield found
    for process in found:
        end(process)


def hang(store: FaultStore, gate: threading.Event) -> threading.Event:
    """Let the store hold every bulk until the gate opens; return an event that says when it has one."""
    arrived = threading.Event()

    def hold(_: list[Line]) -> None:
        store.faults.append(hold)
        arrived.set()
        gate.wait(PATIENCE)

    store.faults = [hold]
    return arrived


def test_what_is_unfinished_at_the_stop_is_free_at_once(
    environment: dict[str, str],
    store: FaultStore,
    gate: threading.Event,
    processes: list[subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """With a bulk in flight that the store never answers the worker ends, and others need not wait for it.

    Telling it twice to stop, and in two ways, changes nothing.
    """
    settings = settings_of(environment)
    stream = Stream.open(settings.redis)
    arrived = hang(store, gate)
    stream.write(PRODUCER, predictions(1, 500))
    worker = start_command(environment, tmp_path / "run.log", "pipeline", "run")
    processes.append(worker)
    assert arrived.wait(PATIENCE), "a bulk is in flight"
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        worker.send_signal(number)
    assert worker.wait(PATIENCE) == 0, (tmp_path / "run.log").read_text()
    assert statuses(stream.client) == []
    (left,) = stream.workers()
    assert left.pending >= 500, "the worker may have read its own report too"
    store.faults = []
    gate.set()
    summary = run_once(settings, min_idle_ms=PATIENCE * 1000, patience_seconds=0)
    assert (summary.complete, summary.backlog, summary.counts.taken_over) == (True, 0, left.pending)
    assert sum(fields["producer"] == PRODUCER for fields in store.documents.values()) == 1600


def test_what_the_store_takes_during_the_stop_is_settled(
    environment: dict[str, str],
    store: FaultStore,
    gate: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bulk that is answered within the grace time leaves nothing to hand over."""
    monkeypatch.setattr(worker_module, "STOP_SECONDS", PATIENCE)
    settings = settings_of(environment)
    stream = Stream.open(settings.redis)
    arrived = hang(store, gate)
    stream.write(PRODUCER, predictions(1, 20))
    stop = threading.Event()
    with ThreadPoolExecutor(1) as runner:
        run = runner.submit(run_once, settings, stop)
        assert arrived.wait(PATIENCE), "a bulk is in flight"
        stop.set()
        gate.set()
        run.result(PATIENCE)
    assert (stream.ledger.totals().indexed, stream.oldest_pending()) == (20, None)
    assert stream.workers() == []


def test_a_redis_that_hangs_does_not_keep_a_worker_from_ending(
    environment: dict[str, str],
    own_redis: RedisServer,
    processes: list[subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    """Stopped in the middle of its life, with a Redis that answers nobody any more, it ends by itself."""
    stream = Stream.open(settings_of(environment).redis)
    worker = start_command(environment, tmp_path / "run.log", "pipeline", "run")
    processes.append(worker)
    wait_for(lambda: consumer_of(stream, worker), PATIENCE, "the worker to live")
    own_redis.process.send_signal(signal.SIGSTOP)
    try:
        worker.terminate()
        assert worker.wait(PATIENCE) == 0
    finally:
        own_redis.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(("command", "status"), [("run", 0), ("once", 2)])
def test_a_store_that_hangs_at_the_start_does_not_keep_a_worker_from_ending(
    own_redis: RedisServer,
    processes: list[subprocess.Popen[bytes]],
    tmp_path: Path,
    command: str,
    status: int,
) -> None:
    """While it waits for the templates of a store that accepts and never answers, the stop is obeyed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = place(tmp_path / "home", own_redis.port, silent.getsockname()[1])
        worker = start_command(environment, tmp_path / "run.log", "pipeline", command)
        processes.append(worker)
        silent.settimeout(PATIENCE)
        connection, _ = silent.accept()
        with connection:
            worker.terminate()
            assert worker.wait(PATIENCE) == status, (tmp_path / "run.log").read_text()


def test_a_single_run_that_is_stopped_says_so(
    environment: dict[str, str],
    store: FaultStore,
    gate: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its summary names the stop as the reason, and what it has not finished is handed over."""
    monkeypatch.setattr(worker_module, "STOP_SECONDS", 0.1)
    settings = settings_of(environment)
    stream = Stream.open(settings.redis)
    arrived = hang(store, gate)
    stream.write(PRODUCER, predictions(1, 3))
    stop = threading.Event()
    with ThreadPoolExecutor(1) as runner:
        run = runner.submit(run_once, settings, stop)
        assert arrived.wait(PATIENCE), "a bulk is in flight"
        stop.set()
        summary = run.result(PATIENCE)
    assert summary.problems == ("stopped before everything was indexed",)
    assert [entry.number for entry in stream.take_over("another", PATIENCE * 1000).entries] == [1, 2, 3]


def test_a_worker_that_waits_for_the_store_says_so_in_its_heartbeat(
    own_redis: RedisServer, processes: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Nobody is told to start a pipeline that is there and waits."""
    environment = place(tmp_path / "home", own_redis.port, free_port())
    stream = Stream.open(settings_of(environment).redis)
    worker = start_command(environment, tmp_path / "run.log", "pipeline", "run")
    processes.append(worker)
    (status,) = wait_for(lambda: statuses(stream.client), PATIENCE, "a heartbeat")
    assert "does not answer" in status.problem
    assert "check ES_HOST and ES_PORT" in status.problem
    worker.terminate()
    assert worker.wait(PATIENCE) == 0
    assert statuses(stream.client) == []

"""What a running worker does beside indexing survives whatever goes wrong in it, and says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from loguru import logger
from tests.logs_pipeline.events import PRODUCER, predictions
from tests.logs_pipeline.fault_store import FaultStore, fault_store
from tests.servers import ROOT, wait_for

from vigie.logs_pipeline import housekeeping
from vigie.logs_pipeline.bridges import Bridges
from vigie.logs_pipeline.collector import Collector
from vigie.logs_pipeline.dead_mirror import LetterMirror
from vigie.logs_pipeline.pipeline import run_continuously, run_once
from vigie.logs_pipeline.retention import RetentionError
from vigie.logs_pipeline.worker import Worker
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.destination import RedisDestination
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.stream import Record, Stream

PATIENCE = 90
"""Seconds a test waits for a state; a defect is waited for, a good run never."""
IDLE_MS = 1500
"""The heart beats three times in it."""


@pytest.fixture
def store() -> Iterator[FaultStore]:
    """A store that does what it is told."""
    with fault_store() as found:
        yield found


@pytest.fixture
def settings(
    redis_settings: RedisSettings, store: FaultStore, settings_for: Callable[..., Settings]
) -> Settings:
    """An installation with an empty Redis, on the store."""
    return settings_for(
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=redis_settings.redis_port,
        ES_HOST="127.0.0.1",
        ES_PORT=store.url.rpartition(":")[2],
        MODEL_PATH=ROOT / "model" / "lung_cancer",
    )


@pytest.fixture
def stream(settings: Settings) -> Stream:
    """The installation's stream."""
    return Stream.open(settings.redis)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is logged meanwhile, with stack traces."""
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="INFO")
    yield lines
    logger.remove(sink)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "HOUSEKEEPING_SECONDS", 0.05)
    for name in ("RETENTION_SECONDS", "FIRST_RETENTION_SECONDS", "RETENTION_AGAIN_SECONDS"):
        monkeypatch.setattr(housekeeping, name, 0.0)


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """A worker that runs meanwhile."""
    stop = threading.Event()
    thread = threading.Thread(
        target=run_continuously, args=(settings, stop), kwargs={"min_idle_ms": IDLE_MS}, daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


class Broken:
    """A function that fails until it is mended, and counts how often it succeeded."""

    def __init__(self, real: Callable[..., Any], error: Exception) -> None:
        self._real = real
        self.error: Exception | None = error
        self.succeeded = 0

    def replacement(self) -> Callable[..., Any]:
        """Return what to put in the function's place."""

        def called(*arguments: Any, **named: Any) -> Any:
            if self.error is not None:
                raise self.error
            answer = self._real(*arguments, **named)
            self.succeeded += 1
            return answer

        return called


def told(stream: Stream) -> str | None:
    """What the worker's heartbeat says is wrong; None before there is one."""
    found = statuses(stream.client)
    return found[0].problem if found else None


JOBS = {
    "removing silent consumers": (RedisDestination, "release"),
    "shipping the journals of dead processes": (housekeeping, "adopt"),
    "bringing ml-api-dead up to date": (LetterMirror, "run"),
    "dropping indices older than RETENTION_DAYS": (housekeeping, "apply_retention"),
    "renewing the entries in flight": (Collector, "renew"),
}


@pytest.mark.parametrize("job", JOBS)
def test_a_job_that_fails_is_told_and_stops_no_other(
    settings: Settings, stream: Stream, logged: list[str], monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    """Whatever it raises, the heartbeat names it until it succeeds again, and all other jobs go on."""
    monkeypatch.setattr(housekeeping, "apply_retention", lambda _: [])  # this store knows no indices to drop
    jobs = {name: Broken(getattr(*place), ValueError("a fault of ours")) for name, place in JOBS.items()}
    for name, place in JOBS.items():
        monkeypatch.setattr(*place, jobs[name].replacement())
        if name != job:
            jobs[name].error = None
    with running(settings):
        wait_for(lambda: (told(stream) or "").startswith(f"{job} failed"), PATIENCE, "the failure to be told")
        done = {name: one.succeeded for name, one in jobs.items() if name != job}
        wait_for(
            lambda: all(jobs[name].succeeded > before for name, before in done.items()),
            PATIENCE,
            "the other jobs to go on",
        )
        stream.write(PRODUCER, predictions(1, 3))
        wait_for(lambda: stream.ledger.totals().indexed >= 3, PATIENCE, "events to be indexed")
        jobs[job].error = None
        wait_for(lambda: told(stream) == "", PATIENCE, "the worker to have no problem")
    assert jobs[job].succeeded > 0
    traces = [line for line in logged if f"{job} failed" in line]
    assert len(traces) == 1, "told once, however often it failed"
    assert "Traceback" in traces[0]


def test_a_retention_that_is_refused_is_told_in_its_own_words(
    settings: Settings, stream: Stream, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known reason needs no stack trace."""
    broken = Broken(housekeeping.apply_retention, RetentionError("the store refuses"))
    monkeypatch.setattr(housekeeping, "apply_retention", broken.replacement())
    said = "dropping indices older than RETENTION_DAYS failed: the store refuses"
    with running(settings):
        wait_for(lambda: told(stream) == said, PATIENCE, "the failure to be told")
    assert [("Traceback" in line) for line in logged if said in line] == [False]


def test_bridges_that_cannot_be_asked_do_not_silence_the_heartbeat(
    settings: Settings, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker lives as long as it works; what keeps it from asking is told."""

    def broken(_: Bridges) -> str:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(Bridges, "problem", property(broken))
    with running(settings):
        wait_for(
            lambda: "asking how the bridges do failed" in (told(stream) or ""),
            PATIENCE,
            "the failure to be told",
        )


def test_a_failure_that_cannot_be_dealt_with_loses_no_batch(
    settings: Settings, stream: Stream, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threads that work off batches outlive it, and the entries come again."""
    stream.write(PRODUCER, [*predictions(1, 20), Record(21, b"no")])
    process, failures = Worker.process, iter(range(4))

    def failing(self: Worker, delivery: Any) -> None:
        if next(failures, None) is not None:
            raise ValueError("a fault of ours")
        process(self, delivery)

    def not_dealt_with(self: Worker, delivery: Any, error: Exception) -> None:
        raise ValueError("another one") from error

    monkeypatch.setattr(Worker, "process", failing)
    monkeypatch.setattr(Worker, "_failed", not_dealt_with)
    summary = run_once(settings, min_idle_ms=60_000)
    assert (summary.complete, summary.counts.indexed, summary.counts.dead) == (True, 20, 1)
    assert any("working off a batch failed" in line and "Traceback" in line for line in logged)

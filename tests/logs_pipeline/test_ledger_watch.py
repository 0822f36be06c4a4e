"""The ledger as the pipeline measures it for its reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from loguru import logger
from tests.logs_pipeline.events import PRODUCER, predictions
from tests.servers import RedisServer, wait_for

from vigie.ledger.proof import LedgerError
from vigie.ledger.report import Report
from vigie.logs_pipeline.guard import Guard
from vigie.logs_pipeline.ledger_watch import LedgerWatch
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import Settings
from vigie.telemetry.stream.stream import Stream


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What is logged meanwhile."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}")
    yield lines
    logger.remove(sink)


def test_figures_are_taken_once(settings: Settings) -> None:
    """A report carries what was measured since the last one, never the same figures again."""
    stream = Stream.open(settings.redis)
    stream.ensure_group()
    stream.write(PRODUCER, predictions(1, 5))
    run_once(settings)
    watch = LedgerWatch(settings)
    assert watch.take() is None
    watch.look()
    assert watch.take() == {
        "produced": 5, "indexed": 5, "filtered": 0, "dead": 0, "cleared": 0, "expired": 0, "erased": 0,
        "removed": 0, "pending": 0, "dropped": 0, "unaccounted": 0,
    }  # fmt: skip
    assert watch.take() is None


def test_one_worker_measures_in_a_period(settings: Settings) -> None:
    """However many workers there are, the store is asked once."""
    measured: list[Settings] = []

    def measure(given: Settings) -> Report:
        measured.append(given)
        return Report((), (), (), ())

    for _ in range(3):
        LedgerWatch(settings, measure=measure).look()
    assert len(measured) == 1


def test_an_imbalance_is_told_once(settings: Settings, told: list[str]) -> None:
    """The log names the numbers when it begins."""
    stream = Stream.open(settings.redis)
    stream.ensure_group()
    stream.write(PRODUCER, predictions(1, 3))
    (newest,) = stream.newest(1)
    watch = LedgerWatch(settings)
    stream.client.xdel("api_logs", newest.id)
    run_once(settings)
    watch.look()
    figures = watch.take()
    assert figures is not None
    assert figures["unaccounted"] == 1
    (line,) = [line for line in told if line.startswith("ERROR")]
    assert PRODUCER in line
    assert "missing 1 (3)" in line


def test_what_cannot_be_measured_is_not_reported(
    own_redis: RedisServer, settings_for: Callable[..., Settings], told: list[str]
) -> None:
    """Without the store or without Redis there are no figures, and no alarm."""
    settings = settings_for(REDIS_HOST="127.0.0.1", REDIS_PORT=own_redis.port)
    calls: list[str] = []

    def store_away(_: Settings) -> Report:
        calls.append("store")
        return Report((), (), ("not counted",), (), complete=False)

    def redis_away(_: Settings) -> Report:
        calls.append("Redis")
        raise LedgerError("away")

    for measure in (store_away, redis_away):
        Stream.open(settings.redis).client.flushdb()  # it is this worker's turn again
        watch = LedgerWatch(settings, measure=measure)
        watch.look()
        assert watch.take() is None
    assert calls == ["store", "Redis"]
    own_redis.stop()
    watch = LedgerWatch(settings)
    watch.look()
    assert watch.take() is None
    assert told == []


def test_an_error_nobody_expected_does_not_end_it(settings: Settings) -> None:
    """It is told until a measurement succeeds again."""
    stream = Stream.open(settings.redis)
    guard = Guard()
    failures = iter([True])

    def measure(_: Settings) -> Report:
        if next(failures, False):
            raise RuntimeError("a fault of ours")
        return Report((), (), (), ())

    def measured() -> bool:
        stream.client.flushdb()  # it is this worker's turn again
        return watch.take() is not None

    watch = LedgerWatch(settings, guard, period_seconds=0.05, measure=measure)
    watch.start()
    try:
        wait_for(measured, 90, "the ledger to be measured after the failure")
        wait_for(lambda: guard.problem == "", 90, "the problem to be over")
    finally:
        watch.stop()
        watch.join(60)

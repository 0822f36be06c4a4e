"""The worker: what it holds in its hands is never forgotten."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from tests.logs_pipeline.events import PRODUCER, predictions
from tests.servers import ROOT, StoreServer

from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.stream import Stream


def test_entries_survive_a_redis_fault_between_reading_and_handing_over(
    redis_settings: RedisSettings,
    store_server: StoreServer,
    settings_for: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis failing right after a read, while trimming, leaves no entry behind in flight for good."""
    settings = settings_for(
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=redis_settings.redis_port,
        ES_HOST="127.0.0.1",
        ES_PORT=store_server.port,
        MODEL_PATH=ROOT / "model" / "lung_cancer",
    )
    stream = Stream.open(settings.redis)
    stream.write(PRODUCER, predictions(1, 20))
    trim, failures = Stream.trim, []

    def failing_trim(self: Stream) -> int:
        if not failures:
            failures.append(1)
            raise redis.ConnectionError("cut")
        return trim(self)

    monkeypatch.setattr(Stream, "trim", failing_trim)
    summary = run_once(settings, min_idle_ms=500, patience_seconds=5)
    assert failures
    assert summary.complete
    assert (summary.counts.indexed, stream.backlog()) == (20, 0)

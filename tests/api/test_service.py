"""The service's own life: what it says of itself from start to stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
from tests.api.conftest import started
from tests.servers import wait_for

from vigie.api.main import build
from vigie.api.service import Service
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.stream import Stream


async def test_a_report_is_left_at_the_stop(
    settings_for: Callable[..., Settings], package_path: Path, redis_settings: RedisSettings
) -> None:
    """The API's own figures are in the stream when it has stopped, from the process that served."""
    service = Service(
        settings_for(
            MODEL_PATH=package_path,
            REDIS_HOST=redis_settings.redis_host,
            REDIS_PORT=redis_settings.redis_port,
            LOG_LEVEL="CRITICAL",
        )
    )
    async with started(build(service)):
        producer = service.emitter.status().producer
    entries = wait_for(lambda: Stream.open(redis_settings).after("", 100))
    events = [orjson.loads(entry.event) for entry in entries if entry.producer == producer]
    data = events[-1]["data"]
    assert (data["kind"], data["service"], data["backlog"], data["dropped"]) == ("service", "api", 0, 0)
    assert 0 <= data["uptime_seconds"] < 60

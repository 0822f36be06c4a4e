"""What a running pipeline does beside indexing: journals of the dead, silent consumers, dead letters to show,
expired indices."""

from __future__ import annotations

import threading
import time
from typing import Final

from loguru import logger

from vigie.logs_pipeline.dead_mirror import LetterMirror
from vigie.logs_pipeline.guard import Guard
from vigie.logs_pipeline.retention import RetentionError, apply_retention
from vigie.settings import Settings
from vigie.telemetry.destination import RedisDestination
from vigie.telemetry.flusher import adopt_all

HOUSEKEEPING_SECONDS: Final = 10.0
RETENTION_SECONDS: Final = 3600.0
"""How often expired indices are looked for; the first time a minute after the start."""
FIRST_RETENTION_SECONDS: Final = 60.0
RETENTION_AGAIN_SECONDS: Final = 60.0
"""After a failure: once its cause is gone, nobody is told of it for long."""
IDLE_CONSUMER_MS: Final = 600_000
"""A consumer that holds nothing and has been silent for this long is removed."""


def keep_house(settings: Settings, stop: threading.Event, guard: Guard) -> None:
    """Ship the journals of dead processes, remove silent consumers and show dead letters every now and then,
    drop expired indices every hour, until `stop`. A job that fails holds up no other one."""
    stream = RedisDestination.open(settings.redis)
    mirror = LetterMirror(stream.client, settings.store)
    retention_at = time.monotonic() + FIRST_RETENTION_SECONDS
    while not stop.is_set():
        with guard.job("removing silent consumers"):
            stream.release(min_idle_ms=IDLE_CONSUMER_MS)
        with guard.job("shipping the journals of dead processes"):
            adopt(settings, stream)
        with guard.job("bringing ml-api-dead up to date"):
            mirror.run(stop)
        if time.monotonic() >= retention_at:
            retention_at = time.monotonic() + RETENTION_AGAIN_SECONDS
            with guard.job("dropping indices older than RETENTION_DAYS", expected=(RetentionError,)):
                _drop_expired(settings)
                retention_at = time.monotonic() + RETENTION_SECONDS
        stop.wait(HOUSEKEEPING_SECONDS)


def adopt(settings: Settings, stream: RedisDestination) -> bool:
    """Ship what dead processes of this host left in their journals; False when the stream is full of it.

    Raises redis.RedisError.
    """
    try:
        adopt_all(settings.api.vigie_home, stream)
    except OSError as error:
        logger.warning("a journal of a dead process cannot be read: {}", error)
    totals = stream.ledger.totals()
    return totals.written - totals.settled < settings.redis.redis_stream_max_entries


def _drop_expired(settings: Settings) -> None:
    for drop in apply_retention(settings):
        logger.info("{}", drop)

"""Which workers live: heartbeats, this machine's alone, and Redis away."""

from __future__ import annotations

import socket

import pytest
import redis
from tests.servers import free_port

from vigie.logs_pipeline.living import HeartbeatsUnknownError, described, living_workers
from vigie.settings import RedisSettings
from vigie.telemetry.stream.pipeline_status import Counts, beat, silence


def test_workers_of_this_machine_are_told_from_others(redis_settings: RedisSettings) -> None:
    """A worker counts from its heartbeat to its stop; `here` leaves out those of other machines."""
    own, other = f"{socket.gethostname()}-1-a", "elsewhere-1-b"
    assert living_workers(redis_settings) == []
    with redis.Redis(port=redis_settings.redis_port) as client:
        beat(client, own, Counts(read=3, indexed=2), "")
        beat(client, other, Counts(), "")
        assert {one.consumer for one in living_workers(redis_settings)} == {own, other}
        assert [one.consumer for one in living_workers(redis_settings, here=True)] == [own]
        silence(client, own)
    assert living_workers(redis_settings, here=True) == []


def test_a_worker_that_cannot_get_on_lives_and_says_why(redis_settings: RedisSettings) -> None:
    """Its line has its counts and its problem: a restart would not help it."""
    with redis.Redis(port=redis_settings.redis_port) as client:
        beat(client, "one", Counts(read=3, indexed=2, dead=1, retried=4), "the store is away")
    (worker,) = living_workers(redis_settings)
    assert described(worker) == (
        "one: 3 read, 2 indexed, 0 filtered, 1 dead, 4 documents retried; the store is away"
    )


def test_redis_away_is_one_line() -> None:
    """Nobody can say which workers live, and the error names the address."""
    settings = RedisSettings(redis_host="127.0.0.1", redis_port=free_port())
    with pytest.raises(HeartbeatsUnknownError, match=f"127.0.0.1:{settings.redis_port} does not answer"):
        living_workers(settings)

"""The heartbeats of the pipeline's workers."""

from __future__ import annotations

from vigie.settings import RedisSettings
from vigie.telemetry.stream.pipeline_status import (
    LIFETIME_SECONDS,
    PIPELINES,
    Counts,
    beat,
    silence,
    statuses,
)
from vigie.telemetry.stream.stream import connect


def test_a_heartbeat_is_read_back_and_expires(redis_settings: RedisSettings) -> None:
    """Health sees what each worker did and what stands in its way; a dead one's word runs out."""
    client = connect(redis_settings)
    assert statuses(client) == []
    beat(client, "b", Counts(), "")
    beat(client, "a", Counts(read=3, indexed=2, dead=1), "the store is away")
    first, second = statuses(client)
    assert (first.consumer, first.problem, second.consumer, second.problem) == (
        "a",
        "the store is away",
        "b",
        "",
    )
    assert (first.counts.read, first.counts.indexed, first.counts.dead, second.counts.read) == (3, 2, 1, 0)
    lifetime = client.ttl(f"{PIPELINES}a")
    assert 0 < lifetime <= LIFETIME_SECONDS
    silence(client, "a")
    assert [status.consumer for status in statuses(client)] == ["b"]

"""Which workers of the pipeline live, as their heartbeats say; health checks of containers ask it."""

from __future__ import annotations

import socket

import redis

from vigie.errors import VigieError
from vigie.settings import RedisSettings
from vigie.telemetry.stream.pipeline_status import Status, statuses
from vigie.telemetry.stream.stream import connect


class HeartbeatsUnknownError(VigieError):
    """Redis, which holds the heartbeats, does not answer."""


def living_workers(settings: RedisSettings, *, here: bool = False) -> list[Status]:
    """Return the heartbeats of the workers that live, of this machine (or container) alone when `here`.

    A worker that cannot get on lives all the same: its status names the problem. Raises
    HeartbeatsUnknownError when Redis is away.
    """
    client = connect(settings)
    try:
        found = statuses(client)
    except redis.RedisError as error:
        host, port = settings.address
        raise HeartbeatsUnknownError(f"Redis at {host}:{port} does not answer ({error})") from error
    finally:
        client.close()
    return [one for one in found if not here or one.consumer.startswith(f"{socket.gethostname()}-")]


def described(worker: Status) -> str:
    """Return one line on `worker`: what it did since it started, and what is in its way."""
    counts = worker.counts
    said = (
        f"{worker.consumer}: {counts.read} read, {counts.indexed} indexed, {counts.filtered} filtered, "
        f"{counts.dead} dead, {counts.retried} documents retried"
    )
    return f"{said}; {worker.problem}" if worker.problem else said

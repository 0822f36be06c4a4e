"""What Redis knows of the events on their way: how many, how old, and what became of the others."""

from __future__ import annotations

import time
from typing import Any

import redis

from vigie.telemetry.metrics import catalogue
from vigie.telemetry.metrics.samples import Samples
from vigie.telemetry.stream.dead_letters import DeadLetters
from vigie.telemetry.stream.keys import LEDGER_FOUND
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.reader import position
from vigie.telemetry.stream.stream import Stream


def delivery_samples(client: redis.Redis) -> Samples:
    """Return the figures of stream, dead letters and pipeline. Raises redis.RedisError."""
    stream = Stream(client)
    totals = stream.ledger.totals()
    states = {
        "written": totals.written,
        "indexed": totals.indexed,
        "filtered": totals.filtered,
        "cleared": totals.cleared,
        "declared": totals.declared,
    }
    found: Any = client.hgetall(LEDGER_FOUND)
    ledger: Samples = {}
    if found:
        ledger = {
            (catalogue.LEDGER_UNACCOUNTED.name, ()): [float(found[b"unaccounted"])],
            (catalogue.LEDGER_MEASURED.name, ()): [float(found[b"at"])],
        }
    return {
        **{(catalogue.PIPELINE_EVENTS.name, (state,)): [count] for state, count in states.items()},
        (catalogue.PIPELINE_BACKLOG.name, ()): [totals.backlog],
        (catalogue.PIPELINE_LAG.name, ()): [lag_ms(stream) / 1e3],
        (catalogue.PIPELINE_LETTERS.name, ()): [DeadLetters(client).count()],
        (catalogue.PIPELINE_WORKERS.name, ()): [len(statuses(client))],
        **ledger,
    }


def lag_ms(stream: Stream) -> float:
    """Return the age of the oldest entry that is not settled, by Redis's own clock; 0 when there is none.

    Raises redis.RedisError.
    """
    try:
        pending, delivered = stream.oldest_pending(), stream.last_delivered()
    except redis.ResponseError as error:
        if "NOGROUP" not in str(error):
            raise
        pending, delivered = None, "0-0"  # no pipeline ran yet: the whole stream waits
    unread = stream.after(delivered, 1)
    waiting = [position(entry.id)[0] for entry in (pending, *unread) if entry is not None]
    if not waiting:
        return 0.0
    answer: Any = stream.client.time()
    seconds, microseconds = int(answer[0]), int(answer[1])
    return max(0.0, seconds * 1000 + microseconds / 1000 - min(waiting))


def remember_ledger(client: redis.Redis, unaccounted: int) -> None:
    """Keep what was found when the ledger was measured just now. Raises redis.RedisError."""
    client.hset(LEDGER_FOUND, mapping={"at": time.time(), "unaccounted": unaccounted})

"""What the pipeline says of itself in its `service` events."""

from __future__ import annotations

from typing import Any

import redis

from vigie.logs_pipeline.ledger_watch import LedgerWatch
from vigie.logs_pipeline.worker import Worker
from vigie.telemetry.event import EventData
from vigie.telemetry.stream import Stream
from vigie.telemetry.stream_reader import position


def measure(worker: Worker, watch: LedgerWatch) -> EventData:
    """Return what the worker has done, with the ledger when it was measured since the last report.

    The stream's backlog and lag are left out while Redis is away.
    """
    counts = worker.counts
    data: EventData = {
        "read": counts.read,
        "indexed": counts.indexed,
        "retried": counts.retried,
        "dead": counts.dead,
    }
    ledger = watch.take()
    if ledger is not None:
        data["ledger"] = ledger
    if worker.redis_away:  # a Redis that hangs would hold up the end
        return data
    try:
        data["backlog"] = worker.stream.backlog()
        data["lag_ms"] = lag_ms(worker.stream)
    except redis.RedisError:  # the report itself waits in the journal; the worker says that Redis is away
        pass
    return data


def lag_ms(stream: Stream) -> float:
    """Return the age of the oldest entry that is not settled, by Redis's own clock; 0 when there is none.

    Raises redis.RedisError.
    """
    pending = stream.oldest_pending()
    unread = stream.after(stream.last_delivered(), 1)
    waiting = [position(entry.id)[0] for entry in (pending, *unread) if entry is not None]
    if not waiting:
        return 0.0
    answer: Any = stream.client.time()
    seconds, microseconds = int(answer[0]), int(answer[1])
    return max(0.0, seconds * 1000 + microseconds / 1000 - min(waiting))

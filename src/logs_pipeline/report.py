"""What the pipeline says of itself in its `service` events."""

from __future__ import annotations

import redis

from vigie.logs_pipeline.ledger_watch import LedgerWatch
from vigie.logs_pipeline.worker import Worker
from vigie.telemetry.event import EventData
from vigie.telemetry.metrics.delivery import lag_ms, remember_ledger


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
        if ledger is not None:
            remember_ledger(worker.stream.client, ledger["unaccounted"])
        data["backlog"] = worker.stream.backlog()
        data["lag_ms"] = lag_ms(worker.stream)
    except redis.RedisError:  # the report itself waits in the journal; the worker says that Redis is away
        pass
    return data

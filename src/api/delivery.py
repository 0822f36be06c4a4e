"""What health says of events on their way: the journal, the stream, the pipeline; always with the remedy."""

from __future__ import annotations

import redis

from vigie.settings import Settings
from vigie.telemetry.emitter import EmitterStatus
from vigie.telemetry.stream.holders import HoldUps, holders
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.stream import Stream

NEARLY_FULL = 0.8
"""Part of a bound from which on health names it, while there is still time."""


def journal_broken(telemetry: EmitterStatus, settings: Settings) -> str | None:
    """Return why the journal takes no events; None when it does."""
    if telemetry.accepting:
        return None
    return (
        f"the journal takes no events, {telemetry.dropped} were dropped so far and are declared: mend what "
        "keeps them from Redis, give VIGIE_HOME more disk, or raise JOURNAL_MAX_BYTES "
        f"({settings.journal.journal_max_bytes})"
    )


def journal_growing(telemetry: EmitterStatus, settings: Settings) -> list[str]:
    """Return what makes events stay in the journal though Redis answers, and how near its end it is."""
    found = []
    used, most = telemetry.journal_bytes, settings.journal.journal_max_bytes
    if telemetry.stream_full:
        found.append(
            f"the stream is full: {settings.redis.redis_stream_max_entries} events wait in it to be indexed "
            f"(REDIS_STREAM_MAX_ENTRIES), newer ones in the journals ({used} bytes here): they follow by "
            "themselves once the pipeline gets on"
        )
    if telemetry.accepting and used >= NEARLY_FULL * most:
        found.append(
            f"the journal is nearly full, {used} of {most} bytes; beyond them events are dropped and "
            "declared: mend what keeps them from Redis, or raise JOURNAL_MAX_BYTES"
        )
    return found


class PipelineCheck:
    """What keeps events in the stream, as the workers say it themselves."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._client = client
        self._stream = Stream(client)
        self._most = settings.redis.redis_stream_max_entries
        self._hold_ups = HoldUps(settings.redis.redis_logs_max_size, self._most)

    def problem(self) -> str | None:
        """Return what is wrong; None when nothing is, or when Redis is away, which others say."""
        try:
            workers = statuses(self._client)
            totals = self._stream.ledger.totals()
            kept_by = self._hold_ups.named(holders(self._client), self._stream.length(), totals.backlog)
        except redis.RedisError:
            return None
        waiting = totals.backlog
        found = sorted({worker.problem for worker in workers if worker.problem})
        if not workers and waiting:
            found.append(
                f"no pipeline runs: {waiting} events wait in the stream; `make pipeline-continuous` runs one"
            )
        elif not found and waiting >= NEARLY_FULL * self._most:
            found.append(
                f"the pipeline does not keep up, {waiting} events wait in the stream, which takes "
                f"{self._most} (REDIS_STREAM_MAX_ENTRIES): run another worker (`make pipeline-continuous`), "
                "or give the store more memory or nodes"
            )
        return "; ".join([*found, *kept_by]) or None

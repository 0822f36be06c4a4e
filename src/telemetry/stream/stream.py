"""The event stream in Redis and its ledger: written once per event, settled once per event.

Two scripts are the only writers of stream and ledger (`write.lua`, `settle.lua`); both may be sent
again after a lost answer, a takeover or a replay without counting anything twice. Every method
raises redis.RedisError when Redis does not answer in time; nothing is retried here.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from vigie.settings import RedisSettings
from vigie.telemetry.ids import iso_timestamp
from vigie.telemetry.journal.framing import Record, Run
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.dead_letters import DeadLetter
from vigie.telemetry.stream.group import PAGE, ConsumerGroup
from vigie.telemetry.stream.items import (
    Claimed,
    Cleared,
    Gap,
    Pending,
    StreamEntry,
    Verdict,
    Worker,
    Written,
)
from vigie.telemetry.stream.keys import GROUP, STREAM, State
from vigie.telemetry.stream.ledger_state import LedgerState, ProducerState, Totals
from vigie.telemetry.stream.reader import position, text
from vigie.telemetry.stream.scripts import script

__all__ = [
    "Claimed",
    "Cleared",
    "DeadLetter",
    "Gap",
    "LedgerState",
    "Pending",
    "ProducerState",
    "Record",
    "Run",
    "State",
    "Stream",
    "StreamEntry",
    "Totals",
    "Verdict",
    "Worker",
    "Written",
    "connect",
]

_Outcome = tuple[str, State, tuple[tuple[str, int], ...]]


def connect(settings: RedisSettings, *, timeout: float = 2.0) -> redis.Redis:
    """Return a client for `settings`; it gives up after `timeout` seconds and never retries by itself."""
    host, port = settings.address
    password = settings.redis_password
    return redis.Redis(
        host=host,
        port=port,
        db=settings.redis_db,
        username=settings.redis_username,
        password=password.get_secret_value() if password else None,
        ssl=settings.redis_tls,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


class Stream(ConsumerGroup):
    """The stream `api_logs`, its consumer group and its ledger; safe to share between threads."""

    def __init__(
        self, client: redis.Redis, *, max_entries: int = 1_000_000, logs_max_size: int = 1000
    ) -> None:
        super().__init__(client)
        self._max_entries = max_entries
        self._logs_max_size = logs_max_size
        self._write, self._settle = script(client, "write"), script(client, "settle")
        self._trim, self._sweep = script(client, "trim"), script(client, "sweep")

    @classmethod
    def open(cls, settings: RedisSettings, *, timeout: float = 2.0) -> Self:
        """Return the stream of `settings`, with its bounds."""
        return cls(
            connect(settings, timeout=timeout),
            max_entries=settings.redis_stream_max_entries,
            logs_max_size=settings.redis_logs_max_size,
        )

    # Producers

    def register(self, producer: str, attributes: Mapping[str, str]) -> None:
        """Make a producer known, with its host, pid, started and role."""
        with self.client.pipeline() as pipe:
            pipe.sadd(keys.PRODUCERS, producer)
            for name, value in attributes.items():
                pipe.hset(keys.producer_key(producer), name, value)
            pipe.execute()

    def write(self, producer: str, items: Sequence[Run | Record | Gap], known: int = 0) -> Written:
        """Add a producer's next events, in order, and record what it dropped (some 500 events a call).

        Numbers up to the producer's `high` are skipped, so that sending again after a lost answer
        writes nothing twice. With a `high` below `known` Redis has lost what it had: then nothing is
        written, and the answer's `high` says so. Raises ValueError for a number outside 1 … 2^31 - 1.
        """
        arguments: list[str | bytes | int] = [producer, self._max_entries, known]
        for item in items:
            first, last = (item.number,) * 2 if isinstance(item, Record) else (item.first, item.last)
            _check_number(first)
            _check_number(last)
            arguments += ("g", first, last, item.reason) if isinstance(item, Gap) else ("r", item.framed)
        own = [keys.producer_key(producer), keys.gaps_key(producer)]
        high, written, full = self._write(keys=[STREAM, *own, keys.PRODUCERS, keys.TOTALS], args=arguments)
        return Written(high=int(high), written=int(written), full=bool(full))

    def close_producer(self, producer: str, last: int) -> None:
        """Declare a producer's last number: none will come after it."""
        self.client.hset(keys.producer_key(producer), "closed", str(last))

    # Settling

    def settle(self, verdicts: Sequence[Verdict]) -> int:
        """Acknowledge entries and count each event in its state; return how many were new (≤ 500 a call).

        What was settled before counts nothing. A dead one leaves its letter in `api_dead`.
        """
        now = iso_timestamp(time.time_ns())
        arguments: list[str | bytes | int] = [GROUP, keys.PREFIX, keys.CHUNK_BITS, now]
        for (producer, state, documents), same in _by_outcome(verdicts).items():
            arguments += (producer, state, len(documents))
            for index, count in documents:
                arguments += (index, count)
            arguments.append(len(same))
            for verdict in same:
                arguments += (verdict.entry.id, verdict.entry.number)
                if state == "dead":
                    arguments += verdict.letter_fields()
        return int(self._settle(keys=[STREAM, keys.DEAD_LETTERS, keys.TOTALS], args=arguments))

    # Keeping

    def trim(self) -> int:
        """Remove up to 1,000 of the oldest settled entries beyond REDIS_LOGS_MAX_SIZE; return how many."""
        limits = [self._logs_max_size, 2 * PAGE, self._max_entries]
        return int(self._trim(keys=[STREAM, keys.CURSORS], args=limits))

    def clear(self, *, force: bool, consumer: str = "clear") -> Cleared:
        """Delete the stored entries; with any not yet indexed only by `force`, counted as cleared.

        Entries in flight stay with their worker, and entries that arrive meanwhile stay.
        """
        self.ensure_group()
        newest = self.newest(1)
        if not newest:
            return Cleared(done=True, cleared=0, pending=0, stored=0)
        end = newest[0].id
        unread = bool(self.after(self.last_delivered(), 1))
        if (unread or self.oldest_pending()) and not force:
            return Cleared(False, 0, max(1, self.ledger.totals().backlog), self.length())
        while unread:
            entries = self.read(consumer, PAGE, 0)
            self.settle([Verdict(entry, "cleared") for entry in entries])
            unread = bool(entries) and position(entries[-1].id) < position(end)
        cleared = self._delete_settled(end)
        self.release(consumer)
        in_flight: Any = self.client.xpending(STREAM, GROUP)
        return Cleared(True, cleared, int(in_flight["pending"]), self.length())

    def _delete_settled(self, end: str) -> int:
        start, cleared = "-", 0
        while True:
            gone, _, last = self._sweep(keys=[STREAM], args=[start, end, PAGE])
            cleared += int(gone)
            if not last:
                return cleared
            start = f"({text(last)}"


def _check_number(number: int) -> None:
    if not 1 <= number < keys.NUMBER_LIMIT:
        raise ValueError(f"event number {number} is outside 1 … {keys.NUMBER_LIMIT - 1}")


def _by_outcome(verdicts: Sequence[Verdict]) -> dict[_Outcome, list[Verdict]]:
    """Group verdicts that differ in their number only, which shortens the script's arguments."""
    found: defaultdict[_Outcome, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        found[verdict.entry.producer, verdict.state, tuple(verdict.documents.items())].append(verdict)
    return found

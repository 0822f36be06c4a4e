"""The event stream in Redis and its ledger: written once per event, settled once per event.

Two scripts are the only writers of stream and ledger (`write.lua`, `settle.lua`); both may be sent
again after a lost answer, a takeover or a replay without counting anything twice. Every method
raises redis.RedisError when Redis does not answer in time; nothing is retried here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from vigie.settings import RedisSettings
from vigie.telemetry import stream_keys as keys
from vigie.telemetry.ledger_state import LedgerState, ProducerState, Totals
from vigie.telemetry.stream_keys import GROUP, STREAM, State
from vigie.telemetry.stream_reader import StreamReader, claimed, position, text
from vigie.telemetry.stream_types import (
    Claimed,
    Cleared,
    DeadLetter,
    Gap,
    Pending,
    Record,
    StreamEntry,
    Verdict,
    Worker,
    Written,
)

__all__ = [
    "Claimed",
    "Cleared",
    "DeadLetter",
    "Gap",
    "LedgerState",
    "Pending",
    "ProducerState",
    "Record",
    "State",
    "Stream",
    "StreamEntry",
    "Totals",
    "Verdict",
    "Worker",
    "Written",
    "connect",
]

LONGEST_BLOCK_MS: Final = 1000
"""A blocking read stays well below the client's time-out, so that a time-out means Redis is away."""
PAGE: Final = 500
"""Entries per script call, which keeps each well below the time Redis may stop for others."""
_Outcome = tuple[str, State, tuple[tuple[str, int], ...]]
_HERE = Path(__file__).parent


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


class Stream(StreamReader):
    """The stream `api_logs`, its consumer group and its ledger; safe to share between threads."""

    def __init__(
        self, client: redis.Redis, *, max_entries: int = 1_000_000, logs_max_size: int = 1000
    ) -> None:
        super().__init__(client)
        self._max_entries = max_entries
        self._logs_max_size = logs_max_size

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

    def write(self, producer: str, items: Sequence[Record | Gap]) -> Written:
        """Add a producer's next events, in order, and record what it dropped (at most 500 a call).

        Numbers up to the producer's `high` are skipped, so that sending again after a lost answer
        writes nothing twice. Raises ValueError for a number outside 1 … 2^31 - 1.
        """
        arguments: list[str | bytes | int] = [producer, self._max_entries]
        for item in items:
            if isinstance(item, Record):
                _check_number(item.number)
                arguments += ("r", item.number, item.event)
            else:
                _check_number(item.first)
                _check_number(item.last)
                arguments += ("g", item.first, item.last, item.reason)
        own = [keys.producer_key(producer), keys.gaps_key(producer)]
        high, written, full = self._write(keys=[STREAM, *own, keys.PRODUCERS, keys.TOTALS], args=arguments)
        return Written(high=int(high), written=int(written), full=bool(full))

    def close_producer(self, producer: str, last: int) -> None:
        """Declare a producer's last number: none will come after it."""
        self.client.hset(keys.producer_key(producer), "closed", str(last))

    # Consumers

    def ensure_group(self) -> None:
        """Create the consumer group, reading from the oldest entry, unless it is there."""
        try:
            self.client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def read(self, consumer: str, count: int, block_ms: int) -> list[StreamEntry]:
        """Return up to `count` entries nobody has read, waiting up to `block_ms` (at most 1 s) for one."""
        block = min(block_ms, LONGEST_BLOCK_MS)
        answer = self.client.xreadgroup(GROUP, consumer, {STREAM: ">"}, count=count, block=block or None)
        return claimed(answer).entries

    def own_pending(self, consumer: str, count: int = PAGE, after: str = "0") -> list[StreamEntry]:
        """Return entries delivered to `consumer` and not settled, from the oldest beyond `after` on.

        One whose content was deleted from the stream is acknowledged and counted as vanished.
        """
        found = claimed(self.client.xreadgroup(GROUP, consumer, {STREAM: after}, count=count))
        self._forget(found.gone)
        return found.entries

    def take_over(self, consumer: str, min_idle_ms: int, count: int = PAGE) -> Claimed:
        """Hand `consumer` the entries that their worker has not renewed for `min_idle_ms`."""
        entries: list[StreamEntry] = []
        vanished, cursor, nameless = 0, "0-0", False
        while True:
            answer: Any = self.client.xautoclaim(STREAM, GROUP, consumer, min_idle_ms, cursor, count=count)
            entries += claimed([(STREAM, answer[1])]).entries
            nameless = nameless or any(entry_id is None for entry_id, _ in answer[1])
            if len(answer) > 2:  # from Redis 7 on: the ids, already acknowledged by the server
                vanished += len(answer[2])
            cursor = text(answer[0])
            if cursor == "0-0" or len(entries) >= count:
                break
        if vanished:
            self._count_vanished(vanished)
        if nameless:  # Redis 6.2 says nil for them
            vanished += self._forget_deleted(consumer)
        return Claimed(entries, vanished)

    def renew(self, consumer: str, ids: Sequence[str]) -> None:
        """Say that `consumer` is alive and still works on `ids`, so that nobody takes them over."""
        if ids:
            self.client.xclaim(STREAM, GROUP, consumer, 0, list(ids), justid=True)

    def deliveries(self, ids: Sequence[str]) -> dict[str, int]:
        """Return how often each of the pending `ids` was delivered."""
        with self.client.pipeline(transaction=False) as pipe:
            for entry_id in ids:
                pipe.xpending_range(STREAM, GROUP, entry_id, entry_id, 1)
            answers = pipe.execute()
        return {text(found[0]["message_id"]): found[0]["times_delivered"] for found in answers if found}

    def workers(self) -> list[Worker]:
        """Return the consumers of the group."""
        answer: Any = self.client.xinfo_consumers(STREAM, GROUP)
        return [Worker(text(about["name"]), about["pending"], about["idle"]) for about in answer]

    def last_delivered(self) -> str:
        """Return the id of the newest entry any worker was given ("0-0": none)."""
        groups: Any = self.client.xinfo_groups(STREAM)
        return next(text(group["last-delivered-id"]) for group in groups if text(group["name"]) == GROUP)

    def oldest_pending(self, upto: str = "+") -> Pending | None:
        """Return the oldest entry, up to the id `upto`, that is delivered and not settled."""
        found: Any = self.client.xpending_range(STREAM, GROUP, "-", upto, 1)
        if not found:
            return None
        about = found[0]
        return Pending(text(about["message_id"]), text(about["consumer"]), about["time_since_delivered"])

    def release(self, consumer: str = "", min_idle_ms: int = 0) -> int:
        """Remove `consumer` (default: every one idle for `min_idle_ms`) where it holds no entries."""
        return int(self._release(keys=[STREAM], args=[GROUP, consumer, min_idle_ms]))

    def settle(self, verdicts: Sequence[Verdict]) -> int:
        """Acknowledge entries and count each event in its state; return how many were new (≤ 500 a call).

        What was settled before counts nothing. A dead one leaves its letter in `api_dead`.
        """
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        arguments: list[str | bytes | int] = [GROUP, keys.PREFIX, keys.CHUNK_BITS, now]
        for (producer, state, documents), same in _by_outcome(verdicts).items():
            arguments += (producer, state, len(documents))
            for index, count in documents:
                arguments += (index, count)
            arguments.append(len(same))
            for verdict in same:
                arguments += (verdict.entry.id, verdict.entry.number)
                if state == "dead":
                    arguments += (verdict.entry.event, verdict.reason)
        return int(self._settle(keys=[STREAM, keys.DEAD_LETTERS, keys.TOTALS], args=arguments))

    # Keeping

    def trim(self) -> int:
        """Remove up to 500 of the oldest settled entries beyond REDIS_LOGS_MAX_SIZE; return how many."""
        limits = [self._logs_max_size, PAGE, self._max_entries]
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

    def _forget_deleted(self, consumer: str) -> int:
        """Acknowledge what `consumer` holds of entries that are no longer in the stream."""
        gone: list[str] = []
        after = "-"
        while True:
            page: Any = self.client.xpending_range(STREAM, GROUP, after, "+", PAGE, consumername=consumer)
            if not page:
                break
            ids = [text(found["message_id"]) for found in page]
            with self.client.pipeline(transaction=False) as pipe:
                for entry_id in ids:
                    pipe.xrange(STREAM, entry_id, entry_id)
                gone += [entry_id for entry_id, found in zip(ids, pipe.execute(), strict=True) if not found]
            after = f"({ids[-1]}"
        self._forget(gone)
        return len(gone)

    def _forget(self, ids: Sequence[str]) -> None:
        if ids:
            self._count_vanished(int(self.client.xack(STREAM, GROUP, *ids)))

    def _count_vanished(self, count: int) -> None:
        self.client.hincrby(keys.TOTALS, "vanished", count)

    @cached_property
    def _write(self) -> Any:
        return self._script("write")

    @cached_property
    def _settle(self) -> Any:
        return self._script("settle")

    @cached_property
    def _trim(self) -> Any:
        return self._script("trim")

    @cached_property
    def _sweep(self) -> Any:
        return self._script("sweep")

    @cached_property
    def _release(self) -> Any:
        return self._script("release")

    def _script(self, name: str) -> Any:
        return self.client.register_script((_HERE / f"{name}.lua").read_text(encoding="utf-8"))


def _check_number(number: int) -> None:
    if not 1 <= number < keys.NUMBER_LIMIT:
        raise ValueError(f"event number {number} is outside 1 … {keys.NUMBER_LIMIT - 1}")


def _by_outcome(verdicts: Sequence[Verdict]) -> dict[_Outcome, list[Verdict]]:
    """Group verdicts that differ in their number only, which shortens the script's arguments."""
    found: defaultdict[_Outcome, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        found[verdict.entry.producer, verdict.state, tuple(verdict.documents.items())].append(verdict)
    return found

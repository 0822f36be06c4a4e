"""The consumer group of the stream: reading, taking over from the dead, saying that one lives, leaving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import redis

from vigie.telemetry.stream import keys
from vigie.telemetry.stream.items import Claimed, Pending, StreamEntry, Worker
from vigie.telemetry.stream.keys import GROUP, STREAM
from vigie.telemetry.stream.reader import StreamReader, claimed, text
from vigie.telemetry.stream.scripts import script

LONGEST_BLOCK_MS: Final = 1000
"""A blocking read stays well below the client's time-out, so that a time-out means Redis is away."""
HANDED_OVER_MS: Final = 3_600_000
"""Idle time given to entries that are handed over: more than any worker waits for before it takes over."""
PAGE: Final = 500
"""Entries per script call, which keeps each well below the time Redis may stop for others."""


class ConsumerGroup(StreamReader):
    """What the workers of the group `pipeline` do with the stream, but for settling."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self._claim, self._release = script(client, "claim"), script(client, "release")

    def ensure_group(self) -> None:
        """Create the consumer group, reading from the oldest entry, unless it is there."""
        if GROUP in self.group_names():  # a Redis without memory refuses the creation before it looks
            return
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
        while True:
            found = claimed(self.client.xreadgroup(GROUP, consumer, {STREAM: after}, count=count))
            self._forget(found.gone)
            if found.entries or not found.gone:
                return found.entries
            after = found.gone[-1]  # a whole page of them says nothing of what comes after it

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

    def renew(self, consumer: str, ids: Sequence[str]) -> list[str]:
        """Say that `consumer` is alive and still works on `ids` (≤ 500), so that nobody takes them over.

        Returns those that it does not hold any more: settled, or taken over while it was silent.
        """
        lost = self._claim(keys=[STREAM], args=[GROUP, consumer, 0, *ids])
        return [text(entry_id) for entry_id in lost]

    def hand_over(self, consumer: str) -> int:
        """Let the next worker that looks take what `consumer` holds, at once; return how many entries."""
        after, count = "-", 0
        while True:
            page: Any = self.client.xpending_range(STREAM, GROUP, after, "+", PAGE, consumername=consumer)
            if not page:
                return count
            ids = [text(found["message_id"]) for found in page]
            self._claim(keys=[STREAM], args=[GROUP, consumer, HANDED_OVER_MS, *ids])
            after, count = f"({ids[-1]}", count + len(ids)

    def deliveries(self, ids: Sequence[str]) -> dict[str, int]:
        """Return how often each of the pending `ids` was delivered."""
        with self.client.pipeline(transaction=False) as pipe:
            for entry_id in ids:
                pipe.xpending_range(STREAM, GROUP, entry_id, entry_id, 1)
            answers = pipe.execute()
        return {text(found[0]["message_id"]): found[0]["times_delivered"] for found in answers if found}

    def workers(self, group: str = GROUP) -> list[Worker]:
        """Return the consumers of a group, by default of the pipeline's."""
        answer: Any = self.client.xinfo_consumers(STREAM, group)
        return [Worker(text(about["name"]), about["pending"], about["idle"]) for about in answer]

    def group_names(self) -> list[str]:
        """Return the names of the stream's consumer groups; none when there is no stream yet."""
        try:
            groups: Any = self.client.xinfo_groups(STREAM)
        except redis.ResponseError as error:
            if "no such key" not in str(error):
                raise
            return []
        return [text(group["name"]) for group in groups]

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

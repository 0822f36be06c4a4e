"""Who keeps entries in the stream: consumer groups that have not finished them, consumers of /logs_api."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import redis

from vigie.telemetry.stream.keys import CURSORS, GROUP, STREAM
from vigie.telemetry.stream.reader import position, text
from vigie.telemetry.stream.scripts import script

STUCK_SECONDS: Final = 600.0
"""A holder that has not moved for this long while it keeps trimming from going on is named."""
NEARLY_FULL: Final = 0.9
"""Part of REDIS_STREAM_MAX_ENTRIES from which on whoever keeps entries is named at once."""
WORTH_NAMING: Final = 1000
"""Finished entries beyond REDIS_LOGS_MAX_SIZE that nobody needs to hear of."""
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Holder:
    """A consumer group, or a consumer of /logs_api."""

    kind: Literal["group", "cursor"]
    name: str
    read: str
    """Id of the last entry it was given, or has confirmed."""
    pending: int = 0
    """Entries a group was given and has not finished."""
    oldest_pending: str | None = None

    @property
    def needs(self) -> tuple[int, int]:
        """Position from which on it needs every entry."""
        if self.oldest_pending is not None:
            return position(self.oldest_pending)
        milliseconds, sequence = position(self.read)
        return milliseconds, sequence + 1

    @property
    def ours(self) -> bool:
        """Whether it is the pipeline's own group."""
        return self.kind == "group" and self.name == GROUP


def holders(client: redis.Redis) -> list[Holder]:
    """Return all of them, groups first. Raises redis.RedisError."""
    return [*_groups(client), *_cursors(client)]


def entries_after(client: redis.Redis, entry_id: str) -> int:
    """Return how many entries come after `entry_id`, by looking at each. Raises redis.RedisError."""
    page = script(client, "count")
    found, count = 1, 0
    while found:
        found, last = page(keys=[STREAM], args=[entry_id, _PAGE])
        entry_id, count = text(last), count + int(found)
    return count


def _groups(client: redis.Redis) -> list[Holder]:
    try:
        groups: Any = client.xinfo_groups(STREAM)
    except redis.ResponseError as error:
        if "no such key" not in str(error):
            raise
        return []
    found = []
    for group in groups:
        name, oldest = text(group["name"]), None
        if group["pending"]:
            summary: Any = client.xpending(STREAM, name)
            oldest = text(summary["min"]) if summary["min"] else None
        found.append(Holder("group", name, text(group["last-delivered-id"]), group["pending"], oldest))
    return found


def _cursors(client: redis.Redis) -> list[Holder]:
    stored: Any = client.hgetall(CURSORS)
    return [Holder("cursor", text(name), text(entry_id)) for name, entry_id in sorted(stored.items())]


class HoldUps:
    """Tells who keeps the stream from being trimmed; remembers since when each has not moved."""

    def __init__(
        self, logs_max_size: int, max_entries: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logs_max_size = logs_max_size
        self._max_entries = max_entries
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[tuple[int, int], float]] = {}

    def named(self, found: Sequence[Holder], length: int, backlog: int) -> list[str]:
        """Return a line with the remedy for each that holds up the stream of `length` entries.

        `backlog` of them are not settled; what is settled and wanted by nobody but a holder is its doing.
        """
        now = self._clock()
        self._seen = {(one.kind, one.name): self._since(one, now) for one in found}
        kept = length - backlog - self._logs_max_size
        own = min((one.needs for one in found if one.ours), default=None)
        if kept <= WORTH_NAMING or own is None:
            return []
        behind = [one for one in found if not one.ours and one.needs < own]
        nearly_full = length >= NEARLY_FULL * self._max_entries
        return [
            _line(one, kept, self._max_entries)
            for one in behind
            if nearly_full or now - self._seen[one.kind, one.name][1] >= STUCK_SECONDS
        ]

    def _since(self, one: Holder, now: float) -> tuple[tuple[int, int], float]:
        known = self._seen.get((one.kind, one.name))
        return known if known is not None and known[0] == one.needs else (one.needs, now)


def _line(holder: Holder, kept: int, max_entries: int) -> str:
    if holder.kind == "group":
        return (
            f"consumer group {holder.name} keeps up to {kept} finished entries in the stream, without bound: "
            f"let it go on, or drop it with `vigie pipeline group drop {holder.name}`"
        )
    return (
        f"{holder.name}, a consumer of /logs_api, keeps up to {kept} finished entries in the stream; beyond "
        f"{max_entries} entries (REDIS_STREAM_MAX_ENTRIES) it loses them: let it go on, or drop it with "
        f"`vigie pipeline cursor drop {holder.name}`"
    )

"""What an operator can do about those who keep entries in the stream: look at them, and drop one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import redis

from vigie.errors import VigieError
from vigie.settings import RedisSettings
from vigie.telemetry.stream.holders import Holder, entries_after, holders
from vigie.telemetry.stream.keys import STREAM
from vigie.telemetry.stream.reader import position
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import Stream, Worker

IN_USE_MS: Final = 60_000
"""A group one of whose consumers has asked within this time is taken for being in use."""


class GroupError(VigieError):
    """A group or cursor is not there, or must not be dropped; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Held:
    """A holder, and what it has not finished."""

    holder: Holder
    unread: int
    """Entries it was not given yet, or has not confirmed."""
    consumers: tuple[Worker, ...] = ()

    def __str__(self) -> str:
        name = self.holder.name
        if self.holder.kind == "cursor":
            return f"{name}: {self.unread} entries not confirmed, the last one {self.holder.read}"
        own = " (the pipeline's own)" if self.holder.ours else ""
        return (
            f"{name}{own}: {len(self.consumers)} consumers, {self.holder.pending} entries in flight, "
            f"{self.unread} unread"
        )


def groups(settings: RedisSettings) -> list[Held]:
    """Return the consumer groups of the stream. Raises GroupError when Redis is away."""
    with _stream(settings) as stream:
        return [
            Held(one, entries_after(stream.client, one.read), tuple(stream.workers(one.name)))
            for one in holders(stream.client)
            if one.kind == "group"
        ]


def cursors(settings: RedisSettings) -> list[Held]:
    """Return the consumers of /logs_api for which entries are kept. Raises GroupError when Redis is away."""
    with _stream(settings) as stream:
        return [
            Held(one, entries_after(stream.client, one.read))
            for one in holders(stream.client)
            if one.kind == "cursor"
        ]


def drop_group(settings: RedisSettings, name: str, *, force: bool = False) -> Held:
    """Drop a consumer group; return what it had not finished.

    One that is in use is dropped by `force` only, the pipeline's own never: its position is what tells the
    entries that are indexed from those that wait. Raises GroupError when it may not be dropped, is not
    there, or Redis is away.
    """
    with _stream(settings) as stream:
        found = {one.name: one for one in holders(stream.client) if one.kind == "group"}
        holder = _known(found, name, "consumer group")
        consumers = tuple(stream.workers(name))
        _demand_free(holder, consumers, force)
        held = Held(holder, entries_after(stream.client, holder.read), consumers)
        stream.client.xgroup_destroy(STREAM, name)
        return held


def drop_cursor(settings: RedisSettings, name: str) -> Held:
    """Stop keeping entries for a consumer of /logs_api; return what it had not confirmed.

    Should it ask again, it is known again from then on. Raises GroupError when it is not known or Redis is
    away.
    """
    with _stream(settings) as stream:
        found = {one.name: one for one in holders(stream.client) if one.kind == "cursor"}
        holder = _known(found, name, "consumer of /logs_api")
        held = Held(holder, entries_after(stream.client, holder.read))
        stream.forget_cursor(name)
        return held


def age_seconds(holder: Holder) -> float:
    """Return how long ago the last entry it was given, or confirmed, was written; 0 for none at all."""
    milliseconds, _ = position(holder.read)
    return max(0.0, time.time() - milliseconds / 1000) if milliseconds else 0.0


def _demand_free(holder: Holder, consumers: Sequence[Worker], force: bool) -> None:
    if holder.ours:
        raise GroupError(
            f"{holder.name} is the pipeline's own group: without it nothing is indexed. `make pipeline-once` "
            "indexes what waits in it, `vigie clear-logs --force` clears it"
        )
    busy = [one for one in consumers if one.idle_ms < IN_USE_MS]
    if busy and not force:
        raise GroupError(
            f"{holder.name} is in use: its consumer {busy[0].name} asked {busy[0].idle_ms / 1000:.0f} s ago; "
            "--force drops it all the same"
        )


def _known(found: dict[str, Holder], name: str, what: str) -> Holder:
    if name not in found:
        there = f"there are: {', '.join(sorted(found))}" if found else "there is none"
        raise GroupError(f"no {what} is called {name}; {there}")
    return found[name]


@contextmanager
def _stream(settings: RedisSettings) -> Iterator[Stream]:
    stream = Stream.open(settings)
    try:
        yield stream
    except redis.RedisError as error:
        host, port = settings.address
        raise GroupError(redis_fault(error).told(f"Redis at {host}:{port}")) from error
    finally:
        stream.client.close()

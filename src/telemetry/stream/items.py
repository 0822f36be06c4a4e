"""What goes into the stream and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import NamedTuple

import orjson

from vigie.telemetry.stream.dead_letters import Failure
from vigie.telemetry.stream.keys import State


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers `first` to `last` (both included) that the producer dropped, and why."""

    first: int
    last: int
    reason: str

    @property
    def size(self) -> int:
        """How many numbers it covers."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Written:
    """Answer of the write script."""

    high: int
    """Highest number of this producer that Redis has, or that is declared dropped."""
    written: int
    """Entries added by this call."""
    full: bool
    """The bound for entries not yet settled is reached: nothing beyond `high` was written."""


class StreamEntry(NamedTuple):
    """An entry as read. One that nobody numbered (written by hand) has producer "" and number 0."""

    id: str
    producer: str
    number: int
    event: bytes


@dataclass(frozen=True, slots=True)
class Claimed:
    """Entries taken over from workers that stopped renewing them."""

    entries: list[StreamEntry]
    vanished: int
    """Pending entries whose content was gone from the stream."""


class Verdict(NamedTuple):
    """The one state an entry ends in."""

    entry: StreamEntry
    state: State
    documents: Mapping[str, int] = MappingProxyType({})
    """Physical index → documents this event has there."""
    reason: str = ""
    """For a dead one, why, in words."""
    failures: Sequence[Failure] = ()
    """For a dead one, every document that was refused."""
    attempts: int = 1
    """For a dead one, how often this worker sent what failed in the end; 1 when it never got that far."""
    first_at: str = ""
    """For a dead one, when this worker had read it; empty: now."""

    def letter_fields(self) -> tuple[bytes | str | int, ...]:
        """Return what a dead event's letter says, as the settle script takes it."""
        failures = orjson.dumps([asdict(failure) for failure in self.failures])
        stored = orjson.dumps(dict(self.documents))
        return self.entry.event, self.reason, failures, stored, self.attempts, self.first_at


@dataclass(frozen=True, slots=True)
class Cleared:
    """What `clear` did."""

    done: bool
    cleared: int
    """Entries deleted."""
    pending: int
    """Entries not yet indexed: they forbade it (not done), or are in flight and were left (done)."""
    stored: int
    """Entries in the stream afterwards."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A consumer of the group."""

    name: str
    pending: int
    idle_ms: int


@dataclass(frozen=True, slots=True)
class Pending:
    """An entry that is delivered and not settled."""

    id: str
    consumer: str
    idle_ms: int

"""Admission of foreign events into the stream: each once, by whatever way and however often it comes.

One script (`admit.lua`) numbers an event, writes it, and takes it from where it came from, so that a kill
at any moment loses nothing and doubles nothing. A *foreign* producer is one that does not write here
itself: its numbers may have holes that are nobody's loss, so a bitmap says which were admitted, and the
ledger measures such a producer by it. Every method raises redis.RedisError when Redis is away.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import redis

from vigie.telemetry.stream import keys
from vigie.telemetry.stream.keys import FOREIGN_LIST
from vigie.telemetry.stream.reader import text
from vigie.telemetry.stream.scripts import script

MOST_FINGERPRINTS: Final = 100_000
"""Newest events without a number of their own among which a repetition is recognised (about 12 MB)."""
LONGEST_STEP: Final = 1 << 24
"""How far a foreign number may lie beyond the producer's highest: a bit at 4e9 would cost 512 MB."""
LARGEST_EVENT_BYTES: Final = 1024 * 1024
"""A larger event of the list is cut one byte beyond it, and so becomes a dead letter."""
PAGE: Final = 500
"""Events per call of the script."""
PAGE_BYTES: Final = 4 * 1024 * 1024
"""Bytes per call of the script, which stops Redis for everybody else."""

Via = Literal["list", "http"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A foreign event as it asks to be admitted."""

    token: str
    """Of the list: the SHA-1 of what is there. Of a page: its entry id at the remote."""
    producer: str
    number: int
    """Its own producer and number; "" and 0: the bridge numbers it."""
    fingerprint: str
    """Equal for the same event, whichever way it comes."""
    event: bytes
    """What to write; empty: as it is in the list."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Answer of the script, in events."""

    taken: int
    """Gone from where they came from: admitted or known."""
    admitted: int
    known: int
    """Here already, by another way or an earlier delivery."""
    numbered: int
    """Admitted under the bridge's own producer."""
    renamed: int
    """Of these, with a producer and number that they could not keep."""
    declared: int
    """Numbers declared lost."""
    stopped: Literal["", "full", "moved"]
    """Why it did not take all: no room in the stream, or somebody else moved the list or the cursor."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An event of the list that was looked at."""

    size: int
    sha1: str
    event: bytes | None
    """None when it is larger than LARGEST_EVENT_BYTES."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a front end no longer had when it was polled: entries between `cursor` and `oldest`.

    The numbers that could be told are declared gaps of their producers; others are not known.
    """

    url: str
    cursor: str
    """Last entry that was admitted before."""
    oldest: str
    """First entry that was left."""
    at: str

    def __str__(self) -> str:
        return (
            f"{self.url} no longer had its entries between {self.cursor} and {self.oldest} when it was "
            f"polled at {self.at}: numbers that could be told are declared lost, others are not known"
        )


class Admission:
    """Writes foreign events into the stream; safe to share between threads."""

    def __init__(self, client: redis.Redis, max_entries: int) -> None:
        self.client = client
        self._max_entries = max_entries
        self._admit, self._peek = script(client, "admit"), script(client, "peek")

    def installation(self) -> str:
        """Return the random id of this installation, made at the first call."""
        self.client.setnx(keys.INSTALLATION, uuid.uuid4().hex)
        return text(_bytes(self.client.get(keys.INSTALLATION)))

    def cursor(self, url: str) -> str:
        """Return the last entry of the front end at `url` that was admitted; "" when there is none."""
        return text(_bytes(self.client.hget(keys.remote_key(url), "cursor") or b""))

    def waiting(self) -> int:
        """Return how many events wait in the list."""
        answer: Any = self.client.llen(FOREIGN_LIST)
        return int(answer)

    def peek(self) -> list[Listed]:
        """Return the oldest events of the list, as many as go into one call."""
        arguments = [PAGE, PAGE_BYTES, LARGEST_EVENT_BYTES]
        flat: list[Any] = self._peek(keys=[FOREIGN_LIST], args=arguments)
        return [
            Listed(int(size), text(sha1), event if int(size) <= LARGEST_EVENT_BYTES else None)
            for size, sha1, event in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        ]

    def admit_list(self, candidates: Sequence[Candidate]) -> Admitted:
        """Move events from the end of the list into the stream, in the order in which they were peeked."""
        return self._run("list", FOREIGN_LIST, FOREIGN_LIST, ("list", "", "", ""), candidates)

    def admit_page(
        self, url: str, cursor: str, oldest: str, candidates: Sequence[Candidate], *, complete: bool
    ) -> Admitted:
        """Admit what follows `cursor` at the front end `url` and move the cursor, in one step.

        `oldest` is the first entry it has left where that says that some are lost, else ""; `complete`
        that it had no more.
        """
        about = ("page", cursor, oldest, "1" if complete else "")
        return self._run("http", keys.remote_key(url), url, about, candidates)

    def _run(
        self, via: Via, source: str, host: str, about: tuple[str, ...], candidates: Sequence[Candidate]
    ) -> Admitted:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        limits = (self._max_entries, MOST_FINGERPRINTS, LONGEST_STEP, LARGEST_EVENT_BYTES)
        arguments: list[str | bytes | int] = [keys.PREFIX, keys.CHUNK_BITS, *limits]
        arguments += [str(uuid.uuid4()), via, host, now, *about]
        for one in candidates:
            arguments += (one.token, one.producer, one.number, one.fingerprint, one.event)
        shared = [keys.STREAM, keys.PRODUCERS, keys.TOTALS, keys.FINGERPRINTS, keys.LOSSES]
        answer: list[Any] = self._admit(keys=[*shared, keys.bridge_key(via), source], args=arguments)
        taken, admitted, known, numbered, renamed, declared = map(int, answer[:-1])
        stopped: Any = text(answer[-1])
        return Admitted(taken, admitted, known, numbered, renamed, declared, stopped)


def losses(client: redis.Redis) -> list[Loss]:
    """Return what front ends no longer had when they were polled, oldest first."""
    stored: Any = client.hgetall(keys.LOSSES)
    found = []
    for field, value in stored.items():
        url, _, cursor = text(field).rpartition(" ")
        oldest, _, at = text(value).partition(" ")
        found.append(Loss(url, cursor, oldest, at))
    return sorted(found, key=lambda loss: loss.at)


def bridges(client: redis.Redis) -> dict[str, dict[str, str]]:
    """Return what each bridge did: its producer, and the events it took, admitted, knew and numbered."""
    found: dict[str, dict[str, str]] = {}
    for via in ("list", "http"):
        stored: Any = client.hgetall(keys.bridge_key(via))
        if stored:
            found[via] = {text(name): text(value) for name, value in stored.items()}
    return found


def _bytes(value: Any) -> bytes:
    return bytes(value)

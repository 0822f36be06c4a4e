"""Ids and timestamps, both from one reading of the clock.

UUID version 7 (RFC 9562) is not in the standard library before Python 3.14; uuid_utils makes one in 0.3 µs.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import NamedTuple

import uuid_utils

# A forked child would otherwise continue its parent's random sequence and repeat its ids.
os.register_at_fork(after_in_child=uuid_utils.reseed_rng)


class Instant(NamedTuple):
    """One reading of the clock: the UUIDv7 text, epoch nanoseconds, and RFC 3339 text in UTC."""

    id: str
    ns: int
    timestamp: str


def new_instant(ns: int | None = None) -> Instant:
    """Return an id and a timestamp of the same instant: `ns` since the epoch, or now.

    Ids of different milliseconds sort by time; within one they are told apart by 74 random bits.
    """
    now = time.time_ns() if ns is None else ns
    return Instant(str(uuid_utils.uuid7(nanoseconds=now)), now, iso_timestamp(now))


def ids_at(ns: int, count: int) -> list[str]:
    """Return `count` UUIDv7 of the instant `ns` since the epoch, as text."""
    uuid7 = uuid_utils.uuid7
    return [str(uuid7(nanoseconds=ns)) for _ in range(count)]


def new_id() -> str:
    """Return a UUIDv7 of now, as text."""
    return str(uuid_utils.uuid7())


def new_producer_id() -> str:
    """Return a random UUID (version 4) for a process that numbers its events."""
    return str(uuid_utils.uuid4())


_second: tuple[int, str] = (-1, "")


def iso_timestamp(ns: int) -> str:
    """Return epoch nanoseconds as ``2026-11-20T10:30:45.123456Z``: UTC, cut to microseconds."""
    global _second  # noqa: PLW0603 - the text of the current second; replaced whole, so safe among threads
    seconds, microseconds = divmod(ns // 1000, 1_000_000)
    known, text = _second
    if known != seconds:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        _second = (seconds, text)
    return f"{text}.{microseconds:06d}Z"

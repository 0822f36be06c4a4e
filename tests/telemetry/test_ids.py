"""Ids and timestamps come from one reading of the clock and are unique."""

from __future__ import annotations

import os
import threading
import time
import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from vigie.telemetry.ids import iso_timestamp, new_id, new_instant, new_producer_id

INSTANT_NS = 1_795_170_645_123_456_789


def test_instant_is_one_reading_of_the_clock() -> None:
    """The id's milliseconds and the timestamp are those of the same instant."""
    instant = new_instant(INSTANT_NS)
    parsed = uuid.UUID(instant.id)
    assert parsed.version == 7
    assert parsed.int >> 80 == INSTANT_NS // 1_000_000
    assert instant.timestamp == "2026-11-20T10:30:45.123456Z"
    assert instant.ns == INSTANT_NS


def test_instant_is_now_by_default() -> None:
    """Without an argument the clock is read, once."""
    before = time.time_ns()
    instant = new_instant()
    assert before <= instant.ns <= time.time_ns()
    assert instant.timestamp == iso_timestamp(instant.ns)
    assert uuid.UUID(instant.id).int >> 80 == instant.ns // 1_000_000


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000_000))
def test_timestamp_loses_nothing_above_a_microsecond(ns: int) -> None:
    """Read back, the timestamp is the instant cut to microseconds, also across the kept second."""
    read = datetime.fromisoformat(iso_timestamp(ns))
    since = read - datetime(1970, 1, 1, tzinfo=UTC)
    assert (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds == ns // 1000


def test_ids_sort_by_millisecond() -> None:
    """An id of a later millisecond is greater, as text too."""
    ids = [new_instant(INSTANT_NS + step * 1_000_000).id for step in range(100)]
    assert ids == sorted(ids)


def test_ids_are_unique_among_threads() -> None:
    """Threads that draw at the same instant never draw the same id."""
    drawn: list[list[str]] = [[] for _ in range(4)]

    def draw(into: list[str]) -> None:
        into.extend(new_instant(INSTANT_NS).id for _ in range(5000))

    threads = [threading.Thread(target=draw, args=(into,)) for into in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for into in drawn for one in into}) == 20_000


def test_plain_ids_have_their_versions() -> None:
    """`new_id` is a version 7, a producer's id a random version 4."""
    assert uuid.UUID(new_id()).version == 7
    assert uuid.UUID(new_producer_id()).version == 4


def test_a_forked_child_draws_other_ids() -> None:
    """After a fork parent and child do not continue the same random sequence."""
    new_instant(INSTANT_NS)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(new_instant(INSTANT_NS).id for _ in range(20)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="ascii") as answer:
        theirs = answer.read()
    os.waitpid(child, 0)
    ours = {new_instant(INSTANT_NS).id for _ in range(20)}
    assert len(theirs) == 20 * 36
    assert not ours & {theirs[at : at + 36] for at in range(0, len(theirs), 36)}

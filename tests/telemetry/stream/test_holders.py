"""Who keeps entries in the stream is found, and named when it holds up the trimming."""

from __future__ import annotations

import pytest
from tests.logs_pipeline.events import PRODUCER, predictions

from vigie.settings import RedisSettings
from vigie.telemetry.stream.holders import (
    STUCK_SECONDS,
    WORTH_NAMING,
    Holder,
    HoldUps,
    entries_after,
    holders,
)
from vigie.telemetry.stream.stream import Stream

OURS = Holder("group", "pipeline", "5000-0")
KEPT = WORTH_NAMING + 100
"""Finished entries that somebody keeps, in a stream whose bound is far away."""


def test_groups_and_cursors_are_found_with_what_they_need(redis_settings: RedisSettings) -> None:
    """A group needs what it has not finished, a consumer of /logs_api what it has not confirmed."""
    stream = Stream.open(redis_settings)
    assert holders(stream.client) == []
    assert entries_after(stream.client, "0-0") == 0
    stream.ensure_group()
    for first in range(1, 2002, 500):
        stream.write(PRODUCER, predictions(first, min(first + 499, 2001)))
    read = stream.read("worker", 10, 0)
    stream.client.xgroup_create("api_logs", "other", id="$")
    stream.confirm("tail", read[4].id)
    other, own, tail = sorted(holders(stream.client), key=lambda one: one.name)
    assert (own.ours, own.read, own.pending, own.oldest_pending) == (True, read[9].id, 10, read[0].id)
    assert (other.kind, other.ours, other.pending) == ("group", False, 0)
    assert (tail.kind, tail.read) == ("cursor", read[4].id)
    assert own.needs < tail.needs < other.needs
    assert [entries_after(stream.client, one.read) for one in (own, tail, other)] == [1991, 1996, 0]


@pytest.mark.parametrize(
    ("holder", "command"),
    [
        (Holder("group", "theirs", "1000-0"), "vigie pipeline group drop theirs"),
        (Holder("cursor", "tail", "1000-0"), "vigie pipeline cursor drop tail"),
        (Holder("group", "slow", "9000-0", 1, "1000-0"), "vigie pipeline group drop slow"),
    ],
)
def test_who_does_not_move_for_long_is_named_with_the_command(holder: Holder, command: str) -> None:
    """Not at once: whoever reads a little behind the pipeline is no hold-up; moving starts the time anew."""
    now = 0.0
    hold_ups = HoldUps(logs_max_size=1000, max_entries=1_000_000, clock=lambda: now)
    length = 1000 + KEPT
    assert hold_ups.named([OURS, holder], length, 0) == []
    now = STUCK_SECONDS
    (line,) = hold_ups.named([OURS, holder], length, 0)
    assert command in line
    assert str(KEPT) in line
    moved = Holder(holder.kind, holder.name, "1500-0")
    assert hold_ups.named([OURS, moved], length, 0) == []
    assert hold_ups.named([OURS], length, 0) == []


def test_near_the_bound_a_holder_is_named_at_once() -> None:
    """There is no time left to wait whether it moves."""
    hold_ups = HoldUps(logs_max_size=10, max_entries=10_000)
    holder = Holder("cursor", "tail", "1000-0")
    assert hold_ups.named([OURS, holder], 8_900, 0) == []
    assert len(hold_ups.named([OURS, holder], 9_000, 0)) == 1


def test_entries_that_wait_for_the_pipeline_are_nobody_elses_doing() -> None:
    """A backlog, and those who are ahead of the pipeline, hold up nothing."""
    hold_ups = HoldUps(logs_max_size=10, max_entries=10_000)
    behind, ahead = Holder("cursor", "behind", "1000-0"), Holder("cursor", "ahead", "6000-0")
    assert hold_ups.named([OURS, behind], 9_500, 9_400) == []
    assert hold_ups.named([OURS, ahead], 9_500, 0) == []

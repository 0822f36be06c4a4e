"""Busy polling: when the event loop stays awake, for how long, and that it learns where that is in vain."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from vigie.api.busy_poll import MOST_PASSED, BusyPoll


class Clock:
    """A clock that only a test moves."""

    now_ns = 0

    def __call__(self) -> int:
        """Return its nanoseconds."""
        return self.now_ns

    async def passes(self, microseconds: int) -> None:
        """Let that time pass, then some turns of the loop."""
        self.now_ns += microseconds * 1000
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


async def test_it_looks_for_a_lone_client_for_so_long(clock: Clock) -> None:
    """Each request that comes meanwhile begins the time anew; then the loop may sleep."""
    poll = BusyPoll(100, clock)
    poll.answered("one")
    assert not poll.is_looking, "once is no pattern"
    poll.answered("one")
    await clock.passes(99)
    assert poll.is_looking
    poll.answered("one")
    await clock.passes(99)
    assert poll.is_looking
    await clock.passes(1)
    assert not poll.is_looking


@pytest.mark.parametrize("others", [None, "another"])
async def test_several_clients_end_it(clock: Clock, others: str | None) -> None:
    """Together or in turn: under load the loop is awake as it is. That is no look in vain."""
    poll = BusyPoll(100, clock)
    poll.answered("one")
    poll.answered("one")
    poll.answered(others)
    await clock.passes(0)
    assert not poll.is_looking
    poll.answered("one")
    poll.answered("one")
    assert poll.is_looking
    await clock.passes(100)


async def test_zero_is_never(clock: Clock) -> None:
    """The setting turns it off."""
    poll = BusyPoll(0, clock)
    poll.answered("one")
    poll.answered("one")
    assert not poll.is_looking


async def test_it_learns_where_it_is_in_vain(clock: Clock) -> None:
    """Of requests that come seldom ever fewer are followed by a look; one that was worth it begins anew."""
    poll = BusyPoll(100, clock)
    poll.answered("one")
    looks = []
    for number in range(6000):
        poll.answered("one")
        looks += [number] if poll.is_looking else []
        await clock.passes(1000)
    between = [later - earlier - 1 for earlier, later in pairwise(looks)]
    assert between[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert set(between[10:]) == {MOST_PASSED}
    while not poll.is_looking:
        poll.answered("one")
    poll.answered("one")
    await clock.passes(1000)
    poll.answered("one")
    assert not poll.is_looking
    poll.answered("one")
    assert poll.is_looking, "one was worth it: the next in vain counts as the first"
    await clock.passes(1000)

"""Busy polling: for whom the event loop stays awake, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from vigie.api.busy_poll import LONGEST, BusyPoll

BOUND_US = 100


class Clients:
    """Clients that pause as a test wants, on a clock that only they move."""

    def __init__(self, poll_us: int = BOUND_US) -> None:
        self.now_ns = 1_000_000
        self.poll = BusyPoll(poll_us, lambda: self.now_ns)

    async def ask(self, client: str | None, pause_us: int, times: int = 1) -> None:
        """Let `client` (None: several) be answered after that pause, 50 µs after its request came."""
        for _ in range(times):
            await self.passes(pause_us)
            arrived_ns = self.now_ns
            self.now_ns += 50_000
            self.poll.answered(client, arrived_ns)

    async def passes(self, microseconds: int) -> None:
        """Let that time pass, then some turns of the loop."""
        self.now_ns += microseconds * 1000
        for _ in range(3):
            await asyncio.sleep(0)


async def test_a_lone_client_that_pauses_shortly_is_waited_for() -> None:
    """Once it is known to; each request that comes meanwhile begins the time anew; then the loop may sleep."""
    clients = Clients()
    await clients.ask("one", 30, times=3)
    assert not clients.poll.is_looking, "three are no habit"
    await clients.ask("one", 30, times=30)
    await clients.passes(LONGEST * BOUND_US - 1)
    assert clients.poll.is_looking
    await clients.ask("one", 0)
    await clients.passes(LONGEST * BOUND_US - 1)
    assert clients.poll.is_looking
    await clients.passes(1)
    assert not clients.poll.is_looking


async def test_one_long_pause_is_forgiven_and_a_habit_of_them_is_not() -> None:
    """After a pause of any length it is waited for as before; who pauses too long is let go soon."""
    clients = Clients()
    await clients.ask("one", 30, times=40)
    await clients.ask("one", 10_000_000)
    assert clients.poll.is_looking
    await clients.ask("one", 10_000_000, times=2)
    assert not clients.poll.is_looking
    await clients.ask("one", 30, times=8)
    assert clients.poll.is_looking
    looks = 0
    for _ in range(100):
        await clients.ask("one", 3 * BOUND_US)
        looks += clients.poll.is_looking
    assert looks < 5


@pytest.mark.parametrize("others", [None, "another"])
async def test_where_clients_take_turns_none_is_waited_for(others: str | None) -> None:
    """Together or one by one: under load the loop is awake as it is."""
    clients = Clients()
    await clients.ask("one", 30, times=40)
    assert clients.poll.is_looking
    await clients.ask(others, 30)
    await clients.passes(0)
    assert not clients.poll.is_looking
    for client in ("one", others) * 50:
        await clients.ask(client, 10)
        assert not clients.poll.is_looking


async def test_zero_is_never() -> None:
    """The setting turns it off."""
    clients = Clients(poll_us=0)
    await clients.ask("one", 0, times=50)
    assert not clients.poll.is_looking


async def test_a_request_that_came_before_the_last_answer_is_no_pause() -> None:
    """As one does that was sent right behind another."""
    clients = Clients()
    await clients.ask("one", -40, times=40)
    assert clients.poll.is_looking
    await clients.passes(LONGEST * BOUND_US)

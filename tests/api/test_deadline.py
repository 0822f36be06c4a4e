"""One timer for the time limit of all requests."""

from __future__ import annotations

import asyncio

import pytest

from vigie.api.deadline import DeadlineError, Deadlines


async def test_what_is_in_time_is_left_alone() -> None:
    """Work that ends before its limit ends as if there were none, again and again."""
    deadlines = Deadlines(0.05)
    done = []
    for number in range(3):

        async def work(number: int = number) -> None:
            await asyncio.sleep(0.03)
            done.append(number)

        await deadlines.limit(work())
    assert done == [0, 1, 2]


async def test_what_is_late_is_cancelled_and_only_that() -> None:
    """Each request has its own deadline, whenever it came."""
    deadlines = Deadlines(0.1)
    cancelled = []

    async def work(seconds: float) -> float:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            cancelled.append(seconds)
            raise
        return seconds

    async def limited(seconds: float) -> str:
        try:
            await deadlines.limit(work(seconds))  # type: ignore[arg-type]  # the result is not used
        except DeadlineError:
            return "late"
        return "in time"

    first = asyncio.create_task(limited(5))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(limited(6))
    third = asyncio.create_task(limited(0.01))
    assert await asyncio.wait_for(asyncio.gather(first, second, third), 5) == ["late", "late", "in time"]
    assert cancelled == [5, 6]
    await asyncio.sleep(0)  # the task is usable afterwards
    assert first.cancelling() == 0


async def test_a_cancellation_from_outside_stays_one() -> None:
    """When the server stops, the request is cancelled, not late."""
    deadlines = Deadlines(5)
    task = asyncio.create_task(deadlines.limit(asyncio.sleep(5)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

"""The time limit of requests: one timer for all, since `asyncio.timeout` costs each of them several µs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


class DeadlineError(Exception):
    """The work did not end in time."""


class Deadlines:
    """Cancels what runs longer than `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # Every request has the same limit, so the order of arrival is the order of the deadlines.
        self._running: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def limit(self, work: Awaitable[None]) -> None:
        """Await `work` in the current task. Raises DeadlineError when it did not end in time."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine always runs in a task"
        loop = asyncio.get_running_loop()
        self._running[task] = deadline = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire, loop)
        try:
            await work
        except asyncio.CancelledError:
            if task not in self._late or task.uncancel() > 0:
                raise  # somebody else cancelled it: the server stops
            raise DeadlineError from None
        finally:
            self._running.pop(task, None)
            self._late.discard(task)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is over its deadline, and come back at that of the oldest left."""
        self._timer = None
        for task, deadline in list(self._running.items()):
            if deadline > loop.time():
                self._timer = loop.call_at(deadline, self._expire, loop)
                return
            del self._running[task]
            self._late.add(task)
            task.cancel()

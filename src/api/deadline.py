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

    def begin(self) -> asyncio.Task[object]:
        """Limit the time of the current task from now on, until `end`; return it."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine always runs in a task"
        loop = asyncio.get_running_loop()
        self._running[task] = deadline = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire, loop)
        return task

    def end(self, task: asyncio.Task[object]) -> None:
        """Limit the time of `task` no more."""
        self._running.pop(task, None)
        self._late.discard(task)

    def is_late(self, task: asyncio.Task[object]) -> bool:
        """Say whether the cancellation that `task` has just met is ours, and take it back if so.

        False when somebody else cancelled it too: the server stops.
        """
        return task in self._late and task.uncancel() == 0

    async def limit(self, work: Awaitable[None]) -> None:
        """Await `work` in the current task. Raises DeadlineError when it did not end in time."""
        task = self.begin()
        try:
            await work
        except asyncio.CancelledError:
            if not self.is_late(task):
                raise
            raise DeadlineError from None
        finally:
            self.end(task)

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

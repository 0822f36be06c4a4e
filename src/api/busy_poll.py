"""Busy polling: the event loop stays awake where the next request is about to come.

A lone client sends its next request some tens of microseconds after its last answer. A loop that has gone to
sleep meanwhile pays for waking up, and finds the processor's caches cold: both cost it more than to look
again and again for so long. How long a client usually pauses is learnt from its requests; for one that takes
its time, or is far away, the loop sleeps as any other does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

NEWEST_WEIGHT: Final = 1 / 8
"""Weight of the newest pause in the mean."""
LONGEST: Final = 4
"""How many times the bound a look lasts at most, and a pause counts.

So one that is longer than usual is waited for, and whatever its length does not make a habit. A client that
is not known yet is taken to pause so long.
"""


class BusyPoll:
    """Keeps the running event loop awake for a lone client; used on the loop's thread only."""

    def __init__(self, microseconds: int, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        """Look for requests of who usually pauses for at most `microseconds`; 0: never.

        `clock` tells nanoseconds.
        """
        self.is_looking = False
        self._bound_ns = microseconds * 1000
        self._clock = clock
        self._client: object = None
        self._pause_ns = 0.0
        self._answered_ns = 0
        self._until_ns = 0

    def answered(self, client: object, arrived_ns: int) -> None:
        """Take note of a turn of the loop that answered `client` alone; None: several.

        Its request had arrived at `arrived_ns`. Where clients take turns none is waited for: the loop is
        awake as it is, and the threads behind it want the processor whenever it sleeps.
        """
        if not self._bound_ns:
            return
        longest_ns = LONGEST * self._bound_ns
        if client is None or client != self._client:
            self._client, self._pause_ns = client, longest_ns
        else:
            pause_ns = min(max(0, arrived_ns - self._answered_ns), longest_ns)
            self._pause_ns += NEWEST_WEIGHT * (pause_ns - self._pause_ns)
        self._answered_ns = self._clock()
        if self._pause_ns > self._bound_ns:
            self._until_ns = 0
            return
        self._until_ns = self._answered_ns + longest_ns
        if not self.is_looking:
            self.is_looking = True
            self._again()

    def _look(self) -> None:
        if self._clock() < self._until_ns:
            self._again()
        else:
            self.is_looking = False

    def _again(self) -> None:
        # A loop with something to call asks for what came in and does not wait for it.
        asyncio.get_running_loop().call_soon(self._look)

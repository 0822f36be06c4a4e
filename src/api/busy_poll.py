"""Busy polling: the event loop stays awake for a moment where the next request is about to come.

A lone client sends its next request some tens of microseconds after its last answer. A loop that has gone to
sleep meanwhile pays for waking up, and finds the processor's caches cold: both cost it more than to look
again and again for so long. Whether it is worth it shows by itself: each look in vain lets twice as many
requests pass before the next, so that a server whose requests come seldom sleeps as any other does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

MOST_PASSED: Final = 1024
"""Lone requests that pass, at most, between two looks that are in vain."""


class BusyPoll:
    """Keeps the running event loop awake after a lone request; used on its thread only."""

    def __init__(self, microseconds: int, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        """Look for so many `microseconds` at a time; 0 is never. `clock` tells nanoseconds."""
        self.is_looking = False
        self._long_ns = microseconds * 1000
        self._clock = clock
        self._client: object = None
        self._until_ns = 0
        self._in_vain = 0
        self._passing = 0

    def answered(self, client: object) -> None:
        """Take note of a turn of the loop that answered `client` alone; None: several.

        Waited for is a client that was alone in the turn before, too. Several are a load under which the loop
        is awake as it is, and the threads behind it want the processor whenever it sleeps.
        """
        if self.is_looking:
            self._in_vain = 0
        alone, self._client = client is not None and client == self._client, client
        if not alone or not self._long_ns:
            self._until_ns = 0
        elif self._passing:
            self._passing -= 1
        else:
            self._until_ns = self._clock() + self._long_ns
            if not self.is_looking:
                self.is_looking = True
                self._again()

    def _look(self) -> None:
        if self._clock() < self._until_ns:
            self._again()
            return
        self.is_looking = False
        if self._until_ns:
            self._in_vain = min(MOST_PASSED, 2 * self._in_vain or 1)
            self._passing = self._in_vain

    def _again(self) -> None:
        # A loop with something to call asks for what came in and does not wait for it.
        asyncio.get_running_loop().call_soon(self._look)

"""Waiting for a store that cannot take documents: backoff, the circuit breaker, the size of a bulk."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 15.0
LARGEST_BULK_BYTES: Final = 9 * 1024 * 1024
"""Below the 10 MB of common proxies; Elasticsearch itself takes 100 MB."""
SMALLEST_BULK_BYTES: Final = 4 * 1024
"""About one event: a store that takes no more at once still gets everything."""
_FIRST_BULK_BYTES: Final = 4 * 1024 * 1024
_MOST_DOCUMENTS: Final = 5000
_GROWTH: Final = 1.25
_SLOW_SECONDS: Final = 2.0


def backoff(attempt: int, longest: float = LONGEST_PAUSE_SECONDS) -> float:
    """Return the seconds to wait before attempt `attempt` + 1: exponential with full jitter.

    Full jitter (uniform between 0 and the exponential bound) spreads competing clients best:
    Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return random.uniform(0, min(longest, FIRST_PAUSE_SECONDS * 2 ** min(attempt, 16)))


class CircuitBreaker:
    """Closed while the store takes documents; open, it lets one caller at a time try again after a pause."""

    def __init__(
        self, longest: float = LONGEST_PAUSE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._longest = longest
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at = 0.0
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why it is open, with the remedy; None when it is closed."""
        return self._reason

    def trip(self, reason: str) -> None:
        """Open it, for longer each time."""
        with self._lock:
            self._reason = reason
            self._retry_at = self._clock() + backoff(self._failures, self._longest)
            self._failures += 1

    def close(self) -> None:
        """The store takes documents again."""
        with self._lock:
            self._reason = None
            self._failures = 0
            self._retry_at = 0.0

    def wait(self, stop: threading.Event) -> bool:
        """Wait until a call may be made; False when `stop` was set instead."""
        while not stop.is_set():
            with self._lock:
                remaining = self._retry_at - self._clock()
                if remaining <= 0:
                    if self._reason is not None:  # others wait for the outcome of this caller's attempt
                        self._retry_at = self._clock() + self._longest
                    return True
            stop.wait(min(remaining, 0.1))
        return False


class Sized(Protocol):
    """Something with a size in bytes on the wire."""

    @property
    def size(self) -> int: ...


Item = TypeVar("Item", bound=Sized)


class BulkSize:
    """How many bytes to send at once: grows slowly while the store is quick, halves when it is not."""

    def __init__(self, limit_bytes: int = _FIRST_BULK_BYTES) -> None:
        self.limit_bytes = limit_bytes

    def succeeded(self, seconds: float) -> None:
        """Note a bulk that was answered in `seconds`."""
        if seconds > _SLOW_SECONDS:
            self.failed()
        else:
            self.limit_bytes = min(LARGEST_BULK_BYTES, int(self.limit_bytes * _GROWTH))

    def failed(self) -> None:
        """Note a bulk that was too large, refused as too much, or not answered in time."""
        self.limit_bytes = max(SMALLEST_BULK_BYTES, self.limit_bytes // 2)

    def cut(self, items: Sequence[Item]) -> list[list[Item]]:
        """Cut `items` into bulks within the limit; one that is larger alone goes alone."""
        bulks: list[list[Item]] = []
        room = 0
        for found in items:
            if not bulks or found.size > room or len(bulks[-1]) >= _MOST_DOCUMENTS:
                bulks.append([])
                room = self.limit_bytes
            bulks[-1].append(found)
            room -= found.size
        return bulks

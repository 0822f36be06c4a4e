"""Waiting for a store that cannot take documents: backoff, the circuit breaker, the size of a bulk."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, TypeVar

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 15.0
LONGEST_PROBE_PAUSE_SECONDS: Final = 5.0
"""Between two tries of an open breaker: however long the store was away, its return is soon noticed."""
LARGEST_BULK_BYTES: Final = 9 * 1024 * 1024
"""Below the 10 MB of common proxies; Elasticsearch itself takes 100 MB."""
SMALLEST_BULK_BYTES: Final = 4 * 1024
"""About one event: a store that takes no more at once still gets everything."""
_FIRST_BULK_BYTES: Final = 4 * 1024 * 1024
_MOST_DOCUMENTS: Final = 5000
_GROWTH: Final = 1.25
_RECOVERY: Final = 2
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
        self, longest: float = LONGEST_PROBE_PAUSE_SECONDS, clock: Callable[[], float] = time.monotonic
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
    """How many bytes to send at once: grows slowly while the store is quick, halves when it is not.

    After failures it doubles up to half of what the store took before them, as TCP's slow start does, so
    that a store that comes back after an hour does not get small bulks for long.
    """

    def __init__(self, limit_bytes: int = _FIRST_BULK_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._before_bytes = 0
        """The limit when the store failed for the first time in a row."""
        self._failing = False

    def succeeded(self, seconds: float) -> None:
        """Note a bulk that was answered in `seconds`."""
        if seconds > _SLOW_SECONDS:
            self.failed()
        else:
            growth = _RECOVERY if self.limit_bytes * _RECOVERY <= self._before_bytes // 2 else _GROWTH
            self.limit_bytes = min(LARGEST_BULK_BYTES, int(self.limit_bytes * growth))
            self._failing = False

    def failed(self) -> None:
        """Note a bulk that was too large, refused as too much, or not answered in time."""
        if not self._failing:
            self._before_bytes = self.limit_bytes
        self._failing = True
        self.limit_bytes = max(SMALLEST_BULK_BYTES, self.limit_bytes // 2)

    def cut(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Yield `items` in bulks within the limit of the moment; one that is larger alone goes alone."""
        bulk: list[Item] = []
        size = 0
        for found in items:
            if bulk and (size + found.size > self.limit_bytes or len(bulk) >= _MOST_DOCUMENTS):
                yield bulk
                bulk, size = [], 0
            bulk.append(found)
            size += found.size
        if bulk:
            yield bulk

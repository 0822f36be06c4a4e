"""What observing costs: time on the way of the requests, and CPU time of the threads behind them.

Four parts, each measured where it is spent:

- recording: making the events and copying them into the journal, before the answers leave;
- profiling: what the profiler added to the inferences it ran on;
- shipping: turns of the background threads that brought events to Redis or the journal to the disk;
- upkeep: their other turns. They poll, whether or not there are requests, so this is no request's cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class ObserverTime:
    """Seconds since the process started, by part; CPU time, but for profiling, which is wall time."""

    recording: float = 0.0
    profiling: float = 0.0
    shipping: float = 0.0
    upkeep: float = 0.0

    def __sub__(self, earlier: ObserverTime) -> ObserverTime:
        """Return what was added since `earlier`."""
        return ObserverTime(*(getattr(self, one.name) - getattr(earlier, one.name) for one in fields(self)))

    @property
    def for_requests(self) -> float:
        """What the requests caused."""
        return self.recording + self.profiling + self.shipping

    @property
    def total(self) -> float:
        """All parts."""
        return self.for_requests + self.upkeep


class ThreadMeter:
    """CPU time of the thread that calls `turned`, with work and without.

    A thread tells its own: its clock may be read from outside only while it surely lives.
    """

    __slots__ = ("_last_ns", "upkeep_ns", "working_ns")

    def __init__(self) -> None:
        self._last_ns = self.working_ns = self.upkeep_ns = 0

    def turned(self, *, worked: bool) -> None:
        """Take note of a turn that ends now."""
        now = time.thread_time_ns()
        if worked:
            self.working_ns += now - self._last_ns
        else:
            self.upkeep_ns += now - self._last_ns
        self._last_ns = now


@dataclass(frozen=True, slots=True)
class ObserverCost:
    """What observing cost over a period."""

    us_per_event: float | None
    """Microseconds per event, of what requests cause; None when there was no event."""
    share: float
    """Part of one CPU core that all of it took; 0.05 is 5 %."""


class CostMeter:
    """Compares two readings of the same clocks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._events = 0
        self._time = ObserverTime()

    def since_last(self, events: int, observer: ObserverTime) -> ObserverCost:
        """Return the cost since the last call, with both counted from the start of the process.

        The share is of one core, not of the process's CPU time: a process that only waits spends most of its
        little time on polling, and that is no news.
        """
        now = self._clock()
        added, spent, seconds = events - self._events, observer - self._time, now - self._at
        self._at, self._events, self._time = now, events, observer
        return ObserverCost(
            us_per_event=spent.for_requests * 1e6 / added if added > 0 else None,
            share=spent.total / seconds if seconds > 0 else 0.0,
        )

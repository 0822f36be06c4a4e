"""Serves the API and notes where its CPU time goes: `python benchmarks/sampled_api.py FILE`.

Every two milliseconds of CPU time of the process a signal comes; its handler adds the CPU time that the
*main thread* took since the last one to the call stack it finds. So what other threads use weighs nothing
here; their own clocks are read at the end. What the C code below a Python frame uses is that frame's.
SIGUSR1 starts the sampling anew, SIGUSR2 writes FILE.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

import orjson

from vigie.api.main import serve
from vigie.settings import load_settings, make_home

INTERVAL_SECONDS: Final = 0.002
DEEPEST: Final = 60

Stack = tuple[tuple[str, str], ...]


class Sampler:
    """CPU time of the main thread by call stack; a stack is (file, function) from the inside out."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._spent: Counter[Stack] = Counter()
        self._last_ns = 0
        self._own_ns = 0
        self._threads_before: dict[int, int] = {}

    def install(self) -> None:
        """Take the signals; to be called in the main thread."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._write)

    def _begin(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._spent.clear()
        self._own_ns = 0
        self._threads_before = _thread_times_ns()
        self._last_ns = time.thread_time_ns()
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)

    def _sample(self, number: int, frame: FrameType | None) -> None:
        del number
        now = time.thread_time_ns()
        self._spent[_stack(frame)] += now - self._last_ns
        self._last_ns = time.thread_time_ns()
        self._own_ns += self._last_ns - now

    def _write(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        signal.setitimer(signal.ITIMER_PROF, 0)
        names = {one.native_id: one.name for one in threading.enumerate()}
        others = {
            names.get(tid, "library threads"): spent - self._threads_before.get(tid, 0)
            for tid, spent in _thread_times_ns().items()
            if tid != threading.main_thread().native_id
        }
        found = {
            "stacks": [{"stack": stack, "ns": ns} for stack, ns in self._spent.items()],
            "threads_ns": others,
            "sampler_ns": self._own_ns,
        }
        passing = self._target.with_suffix(".part")
        passing.write_bytes(orjson.dumps(found))
        passing.replace(self._target)


def _stack(frame: FrameType | None) -> Stack:
    """Return the stack; a frame that has not begun yet does not count, since the time went before it."""
    if frame is not None and frame.f_lineno == frame.f_code.co_firstlineno:
        frame = frame.f_back
    found: list[tuple[str, str]] = []
    while frame is not None and len(found) < DEEPEST:
        found.append((frame.f_code.co_filename, frame.f_code.co_name))
        frame = frame.f_back
    return tuple(found)


def _thread_times_ns() -> dict[int, int]:
    """Return the CPU time of each thread of this process, by its number in the kernel."""
    times = {}
    for one in threading.enumerate():
        if one.ident is not None and one.native_id is not None:
            times[one.native_id] = time.clock_gettime_ns(time.pthread_getcpuclockid(one.ident))
    return times


def main() -> None:
    """Serve until SIGTERM."""
    Sampler(Path(sys.argv[1])).install()
    settings = load_settings()
    make_home(settings)
    serve(settings)


if __name__ == "__main__":
    main()

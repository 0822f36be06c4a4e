"""Profile one call, exactly: its own functions and nobody else's, on every Python from 3.11 on.

cProfile cannot do that: since Python 3.12 it is interpreter-wide, so only one can be active in a process
and it records every thread. `sys.setprofile` is per thread on every version. The observer below feeds a
small accumulator, takes its own time out of the figures, and puts back whatever profile function was
there before. Standard library only.
"""

from __future__ import annotations

import gc
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, TypeVar

T = TypeVar("T")

TOP_FUNCTIONS = 5
"""How many of the costliest functions a profile names."""


@dataclass(frozen=True, slots=True)
class FunctionCost:
    """What one function cost in a profiled call; times in milliseconds, without the observer's own.

    `file` is relative to the root given, to site-packages or to the standard library; a function written in C
    has its module in angle brackets and line 0. `cumulative_ms` includes callees and counts a recursion once.
    """

    rank: int
    function: str
    file: str
    line: int
    calls: int
    own_ms: float
    cumulative_ms: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Python and C calls made inside, and the functions with the most own time."""

    function_calls: int
    top_functions: tuple[FunctionCost, ...]


def profile(call: Callable[[], T], root: Path) -> tuple[T, Profile]:
    """Run ``call()`` in this thread under the profiler and return its result with its profile.

    Costliest means own time: by cumulative time the first five would be the chain of callers down to the
    one that does the work. `root` is the folder that file names are given relative to. Whatever the call
    raises is raised. Garbage collection is held off meanwhile, since the finalisers of others would be
    counted as ours.
    """
    accumulator = _Accumulator()
    previous = sys.getprofile()
    collecting = gc.isenabled()
    gc.disable()
    try:
        sys.setprofile(accumulator.observe)
        try:
            result = _root(call)
        finally:
            sys.setprofile(previous)
    finally:
        if collecting:
            gc.enable()
    return result, accumulator.profile(root)


def _root(call: Callable[[], T]) -> T:
    # What is counted is what happens inside this frame: never the switching on and off of the profiler, which
    # some versions report and others do not.
    return call()


_ROOT_CODE: Final = _root.__code__


class _Cost:
    __slots__ = ("active", "calls", "code", "cumulative_ns", "module", "name", "own_ns")

    def __init__(self, name: str, module: str | None, code: CodeType | None) -> None:
        self.name, self.module, self.code = name, module, code
        self.calls = self.active = self.own_ns = self.cumulative_ns = 0


class _Activation:
    __slots__ = ("callees_ns", "cost", "frame", "start_ns")

    def __init__(self, cost: _Cost, frame: int | None, start_ns: int) -> None:
        self.cost, self.frame, self.start_ns, self.callees_ns = cost, frame, start_ns, 0


class _Accumulator:
    """Costs by function, and the stack of what is running. Frames are kept by id only, not kept alive."""

    def __init__(self) -> None:
        self._costs: dict[object, _Cost] = {}
        self._stack: list[_Activation] = []
        self._root_frame: int | None = None  # while the call runs, the id of the frame it runs in
        self._finished = False
        self._observing_ns = 0

    def observe(self, frame: FrameType, event: str, argument: Any) -> None:
        """Take one event of `sys.setprofile`; an exception that unwinds a frame comes as its return."""
        began = time.perf_counter_ns()
        if self._root_frame is None:
            if event == "call" and frame.f_code is _ROOT_CODE and not self._finished:
                self._root_frame = id(frame)
            return
        now = began - self._observing_ns
        if event == "call":
            self._enter(self._python_cost(frame.f_code), id(frame), now)
        elif event == "return":
            self._leave_frame(id(frame), now)
        elif event == "c_call":
            self._enter(self._c_cost(argument), None, now)
        elif self._stack and self._stack[-1].frame is None:  # c_return, c_exception
            self._leave(now)
        self._observing_ns += time.perf_counter_ns() - began

    def _enter(self, cost: _Cost, frame: int | None, now: int) -> None:
        cost.calls += 1
        cost.active += 1
        self._stack.append(_Activation(cost, frame, now))

    def _leave_frame(self, frame: int, now: int) -> None:
        if frame == self._root_frame:
            while self._stack:
                self._leave(now)
            self._root_frame, self._finished = None, True
        elif any(each.frame == frame for each in reversed(self._stack)):
            while self._stack[-1].frame != frame:  # its end was not reported
                self._leave(now)
            self._leave(now)
        # else its beginning was not: some versions do not report a generator that is resumed to raise.

    def _leave(self, now: int) -> None:
        ended = self._stack.pop()
        elapsed, cost = now - ended.start_ns, ended.cost
        cost.own_ns += elapsed - ended.callees_ns
        cost.active -= 1
        if cost.active == 0:
            cost.cumulative_ns += elapsed
        if self._stack:
            self._stack[-1].callees_ns += elapsed

    def _python_cost(self, code: CodeType) -> _Cost:
        # By id: hashing a code object hashes its constants. The cost keeps it alive: no id is reused.
        cost = self._costs.get(id(code))
        if cost is None:
            cost = self._costs[id(code)] = _Cost(code.co_qualname, None, code)
        return cost

    def _c_cost(self, function: Any) -> _Cost:
        # By name: a bound method of a C type is a new object at each call.
        try:
            name, module = function.__qualname__, function.__module__
        except Exception:  # noqa: BLE001 - an observer must not break what it observes
            name, module = type(function).__qualname__, None
        cost = self._costs.get((module, name))
        if cost is None:
            cost = self._costs[module, name] = _Cost(name, module, None)
        return cost

    def profile(self, root: Path) -> Profile:
        costs = sorted(self._costs.values(), key=lambda cost: (-cost.own_ns, cost.name))
        return Profile(
            function_calls=sum(cost.calls for cost in costs),
            top_functions=tuple(
                FunctionCost(
                    rank=rank,
                    function=cost.name,
                    file=_relative(cost, root),
                    line=cost.code.co_firstlineno if cost.code else 0,
                    calls=cost.calls,
                    own_ms=cost.own_ns / 1e6,
                    cumulative_ms=cost.cumulative_ns / 1e6,
                )
                for rank, cost in enumerate(costs[:TOP_FUNCTIONS], start=1)
            ),
        )


def _relative(cost: _Cost, root: Path) -> str:
    if cost.code is None:
        return f"<{cost.module or 'built-in'}>"
    file = cost.code.co_filename
    if file.startswith("<"):
        return file
    for base in (str(root.absolute()), *_LIBRARIES):
        if file.startswith(base + "/"):
            return file[len(base) + 1 :]
    return file.rpartition("/")[2]


# The longest first: site-packages lies inside the standard library's folder.
_LIBRARIES = sorted(
    {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")},
    key=lambda path: -len(path),
)

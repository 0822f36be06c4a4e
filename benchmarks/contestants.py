"""Servers under test: started on one core, put under load in alternating rounds, compared by medians.

All servers of a benchmark run on the same core, load and Redis on another. A server's own CPU time per
answer, its child processes' included, says more than its answers per second on a machine that others use.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

import httpx
import psutil
from load import Load, Request, closed_load, on_core
from platform_parts import ROOT, Processes, free_port, until

HERE: Final = Path(__file__).parent
SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
WARM_UP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Round:
    """One server under load once."""

    load: Load
    cpu_us_per_request: float
    after_seconds: float
    """From the last answer until what belongs to the answers was done: their events in the stream."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server under test with the request it is sent; several contestants may share a server."""

    name: str
    pid: int
    request: Request
    after: Callable[[int], None] = lambda _: None
    """Called with the number of answers once a round is over; returns when what belongs to them is done."""

    def cpu_seconds(self) -> float:
        """Return the CPU time that the server and its children took since their start, user and system."""
        own = psutil.Process(self.pid)
        times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
        return sum(time.user + time.system for time in times)

    def under_load(self, clients: int, seconds: float, folder: Path) -> Round:
        """Put it under closed-loop load; its CPU time counts until `after` returns.

        Raises RuntimeError when an answer was not a 200.
        """
        before = self.cpu_seconds()
        load = closed_load(self.request, clients, seconds, LOAD_CORE, folder)
        if load.failed or not load.requests:
            raise RuntimeError(f"{self.name}: of {load.requests} answers {load.failed} were not 200")
        ended = time.perf_counter()
        self.after(load.requests)
        after_seconds = time.perf_counter() - ended
        return Round(load, (self.cpu_seconds() - before) * 1e6 / load.requests, after_seconds)


Rounds = Mapping[str, list[Round]]
"""The rounds of each contestant, by its name."""


def alternate(
    contestants: Sequence[Contestant], clients: int, seconds: float, rounds: int, folder: Path
) -> Rounds:
    """Return the rounds of each, in turn; a short first round warms up and is left out."""
    found: dict[str, list[Round]] = {one.name: [] for one in contestants}
    for number in range(rounds + 1):
        for one in contestants:
            done = one.under_load(clients, seconds if number else WARM_UP_SECONDS, folder)
            if number:
                found[one.name].append(done)
    return found


@dataclass(frozen=True, slots=True)
class Medians:
    """The medians of some rounds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """CPU time per answer."""

    @classmethod
    def of(cls, rounds: Iterable[Round]) -> Medians:
        """Return them."""
        found = [*rounds]
        loads = [one.load for one in found]
        return cls(
            median(load.per_second for load in loads),
            median(load.p50_ms for load in loads),
            median(load.p99_ms for load in loads),
            median(one.cpu_us_per_request for one in found),
        )

    def cells(self) -> str:
        """Return them as the cells of a table: answers/s, p50, p99, CPU per answer."""
        return f"{self.per_second:,.0f} | {self.p50_ms:.2f} ms | {self.p99_ms:.2f} ms | {self.cpu_us:.0f} µs"


def start_echo(parts: Processes, request: Request) -> Contestant:
    """Start the yardstick, FastAPI's echo, and return it once it answers."""
    port = free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "echo:app", "--app-dir", str(HERE), "--port", f"{port}"]
    return start(parts, "FastAPI's echo", [*uvicorn, "--no-access-log", "--log-level", "warning"],
                 replace(request, port=port))  # fmt: skip


def start(
    parts: Processes,
    name: str,
    command: list[str],
    request: Request,
    environment: Mapping[str, object] | None = None,
) -> Contestant:
    """Start a server on its core and return it once it answers `request` with 200."""
    process = parts.start(name, [*on_core(SERVER_CORE), *command], environment)

    def answers() -> bool:
        if process.poll() is not None:
            log = (parts.home / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{name} ended with status {process.returncode}:\n{log[-2000:]}")
        url = f"http://127.0.0.1:{request.port}{request.path}"
        headers = {"Content-Type": "application/json", **request.headers}
        try:
            return httpx.post(url, content=request.body, headers=headers, timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    until(answers, name)
    return Contestant(name, process.pid, request)


def vigie_command(*arguments: str) -> list[str]:
    """Return the command line that runs `vigie` in this interpreter."""
    return [sys.executable, "-m", "vigie.cli", *arguments]


def example_folder() -> Path:
    """Return the folder of the reference model's schema."""
    return ROOT / "model" / "lung_cancer"

"""Open-loop HTTP load: requests are due at times fixed beforehand, whether or not the last is answered.

A closed loop waits for a slow server and so leaves out the requests that would have suffered most
(coordinated omission). Here a request's latency is counted from the moment it was due, also when no
connection was free to send it. Arrivals are a Poisson process of a seeded generator. The generator tells of
itself: how much of the core it used, and which share of its sends were late by its own fault.
"""

from __future__ import annotations

import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Final

import orjson
from load import Request, answer_length, on_core, percentile

CONNECTIONS: Final = 256
LATE_SECONDS: Final = 0.001
"""A send later than that, while a connection was free, is the generator's own delay."""
PATIENCE_SECONDS: Final = 10.0
"""How long answers are waited for after the last request was due."""
SEED: Final = 6


@dataclass(frozen=True, slots=True)
class OpenLoad:
    """What came of it; latencies from the moment a request was due to its answer."""

    offered_per_second: float
    requests: int
    answered: int
    failed: int
    """Answers other than 200."""
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    late_share: float
    """Share of the sends that were late by the generator's own fault."""
    generator_share: float
    """Share of its core that the generator used; near 1 it measures itself."""

    @property
    def trustworthy(self) -> bool:
        """Whether the generator kept up: not more than one in a hundred sends was late by its own fault."""
        return self.late_share <= 0.01


def arrivals(per_second: float, seconds: float, seed: int = SEED) -> list[float]:
    """Return the times, in seconds from the start, at which a Poisson process of that rate has arrivals."""
    generator = random.Random(seed)
    times: list[float] = []
    now = generator.expovariate(per_second)
    while now < seconds:
        times.append(now)
        now += generator.expovariate(per_second)
    return times


@dataclass(slots=True)
class Timetable:
    """Which request is due when, and what became of each. Times are seconds from the start."""

    due: Sequence[float]
    sent: int = 0
    late: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    failed: int = 0
    _waited: bool = False
    """Whether the next one had to wait for a connection."""

    def next_due(self) -> float | None:
        """Return when the next request is due; None after the last one."""
        return self.due[self.sent] if self.sent < len(self.due) else None

    def blocked(self) -> None:
        """Take note that a request is due and no connection is free: the server's delay, not ours."""
        self._waited = True

    def send(self, now: float) -> float:
        """Take note that the next request is sent now; return when it was due."""
        due = self.due[self.sent]
        self.late += not self._waited and now - due > LATE_SECONDS
        self._waited = False
        self.sent += 1
        return due

    def answer(self, due: float, now: float, ok: bool) -> None:
        """Take note of the answer to the request that was due at `due`."""
        self.latencies_ms.append((now - due) * 1e3)
        self.failed += not ok

    @property
    def finished(self) -> bool:
        """Whether all are answered."""
        return len(self.latencies_ms) == len(self.due)

    def result(self, per_second: float, generator_share: float) -> OpenLoad:
        """Return the figures. A request that was never answered counts as `requests` without `answered`."""
        ordered = sorted(self.latencies_ms)
        p50, p99, p999 = (percentile(ordered, share) for share in (0.5, 0.99, 0.999))
        return OpenLoad(
            per_second, len(self.due), len(ordered), self.failed, p50, p99, p999,
            ordered[-1] if ordered else float("nan"), self.late / max(1, self.sent), generator_share,
        )  # fmt: skip


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    due: float = 0.0
    received: bytes = b""


def open_loop(
    request: Request,
    due: Sequence[float],
    connections: int = CONNECTIONS,
    clock: Callable[[], float] = time.perf_counter,
) -> Timetable:
    """Send `request` at each of the times `due`, over so many connections; return what became of them."""
    table, wire = Timetable(due), request.wire()
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        known: dict[int, _Connection] = {}
        for _ in range(connections):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", request.port)))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            known[one.fileno()] = _Connection(one)
            poll.register(one, select.EPOLLIN)
        free = [*known.values()]
        start = clock()
        end = (due[-1] if due else 0.0) + PATIENCE_SECONDS
        while not table.finished and (now := clock() - start) < end:
            while (at := table.next_due()) is not None and at <= now:
                if not free:
                    table.blocked()
                    break
                one_free = free.pop()
                one_free.due = table.send(clock() - start)
                one_free.socket.sendall(wire)
            # epoll counts in milliseconds; select on it counts in microseconds.
            wait = 0.1 if at is None or not free else max(0.0, at - (clock() - start))
            if select.select([poll], [], [], wait)[0]:
                for number, _ in poll.poll(0):
                    _receive(known[number], table, free, lambda: clock() - start)
    return table


def _receive(one: _Connection, table: Timetable, free: list[_Connection], now: Callable[[], float]) -> None:
    received = one.socket.recv(65536)
    if not received:
        raise ConnectionError("the server closed a connection")
    one.received += received
    length = answer_length(one.received)
    if length is not None and len(one.received) >= length:
        table.answer(one.due, now(), one.received.startswith(b"HTTP/1.1 200"))
        one.received = b""
        free.append(one)


def open_load(request: Request, per_second: float, seconds: float, core: int) -> OpenLoad:
    """Send `request` at that rate for `seconds`, from a process of its own on `core`."""
    command = [*on_core(core), sys.executable, __file__, str(per_second), str(seconds)]
    given = orjson.dumps({**asdict(request), "body": request.body.decode()})
    answer = subprocess.run(command, input=given, capture_output=True, check=True)
    return OpenLoad(**orjson.loads(answer.stdout))


def main() -> None:
    """Run what `open_load` asked for."""
    asked = orjson.loads(sys.stdin.buffer.read())
    asked["body"] = asked["body"].encode()
    per_second, seconds = float(sys.argv[1]), float(sys.argv[2])
    began, cpu = time.perf_counter(), time.process_time()
    table = open_loop(Request(**asked), arrivals(per_second, seconds))
    share = (time.process_time() - cpu) / (time.perf_counter() - began)
    sys.stdout.buffer.write(orjson.dumps(table.result(per_second, share)))


if __name__ == "__main__":
    main()

"""What it costs to write an event down: the emitter, its journal and its flusher alone.

`python benchmarks/emitter.py` [--events 100000]. An event of the API's own is emitted again and again, by one
thread, in batches of 1, 8 and 32, with the flusher shipping to a Redis on another core. First as fast as it
goes, then at a steady rate: before a burst, right after it, with Redis away, and after its return. In the end
Redis must have every event, none of them dropped.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass

import httpx
import orjson
from contestants import LOAD_CORE, SERVER_CORE
from installation import Installation, installation
from load import on_core, percentile
from platform_parts import until

from vigie.telemetry.emitter import Emitter
from vigie.telemetry.event import Event

STEADY_PER_SECOND = 15_000
STEADY_BATCH = 8


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of emitting. Wall times, which on a shared machine hold what others took."""

    name: str
    batch: int
    events: int
    emit_us_per_event: float
    emitted_per_second: float
    delivered_per_second: float | None
    """With the time until Redis had them all; None where it is not waited for."""
    append_p50_us: float
    append_p99_us: float
    append_max_us: float

    def line(self) -> str:
        """Return it as a line of the table."""
        delivered = "" if self.delivered_per_second is None else f"{self.delivered_per_second:,.0f}"
        rates = f"{self.emit_us_per_event:.2f} µs | {self.emitted_per_second:,.0f} | {delivered}"
        times = f"{self.append_p50_us:.1f} µs | {self.append_p99_us:.1f} µs | {self.append_max_us:,.0f} µs"
        return f"| {self.name} | {self.batch} | {rates} | {times} |"


class Bench:
    """An emitter of this process, and events for it."""

    def __init__(self, one: Installation, event: Event) -> None:
        self._one = one
        self._event = event
        self.emitter = Emitter.start(one.settings, "api")

    def as_fast_as_it_goes(self, batch: int, events: int) -> Phase:
        """Emit so many events without a pause, and wait until Redis has them."""
        return self._phase(f"batches of {batch}, no pause", batch, events, None, wait=True)

    def steady(self, name: str, seconds: float, *, wait: bool = True) -> Phase:
        """Emit at the steady rate."""
        events = int(seconds * STEADY_PER_SECOND)
        return self._phase(name, STEADY_BATCH, events, STEADY_BATCH / STEADY_PER_SECOND, wait=wait)

    def delivered(self) -> None:
        """Wait until Redis has all that was emitted."""
        until(lambda: self.emitter.status().backlog == 0, "the events to arrive")

    def _phase(self, name: str, batch: int, events: int, pause: float | None, *, wait: bool) -> Phase:
        made = [deepcopy(self._event) for _ in range(batch)]
        took: list[float] = []
        emit, clock = self.emitter.emit_many, time.perf_counter_ns
        began = clock()
        for number in range(events // batch):
            if pause is not None:
                _sleep_until(began + int(number * pause * 1e9))
            start = clock()
            emit(made)
            took.append((clock() - start) / 1e3)
        emitted = clock()
        if wait:
            self.delivered()
        seconds, until_there = (emitted - began) / 1e9, (clock() - began) / 1e9
        count = len(took) * batch
        ordered = sorted(took)
        return Phase(
            name, batch, count, sum(took) / count, count / seconds, count / until_there if wait else None,
            percentile(ordered, 0.5), percentile(ordered, 0.99), ordered[-1],
        )  # fmt: skip


def _sleep_until(at_ns: int) -> None:
    left = at_ns - time.perf_counter_ns()
    if left > 0:
        time.sleep(left / 1e9)


def event_of_the_api(one: Installation) -> Event:
    """Return an event as the API makes it: it is started, asked once, and ended."""
    api = one.api()
    headers = {"Content-Type": "application/json"}
    url = f"http://127.0.0.1:{api.request.port}{api.request.path}"
    httpx.post(url, content=api.request.body, headers=headers).raise_for_status()
    api.after(1)
    one.parts.end(api.name)
    entries = (orjson.loads(entry.event) for entry in one.stream.newest(10))
    event: Event = next(event for event in entries if event["data"].get("kind") == "prediction")
    return event


def phases(one: Installation, bench: Bench, events: int, seconds: float) -> list[Phase]:
    """Run all phases; Redis ends and comes back on the way."""
    found = [bench.as_fast_as_it_goes(batch, events) for batch in (1, 8, 32)]
    found.append(bench.steady("steady, before a burst", seconds))
    burst = bench.as_fast_as_it_goes(32, 2 * events)
    found += [burst, bench.steady("steady, after the burst", seconds)]
    one.parts.end("redis")
    found.append(bench.steady("steady, Redis away", seconds, wait=False))
    one.parts.redis(one.settings.redis.redis_port, on_core(LOAD_CORE))
    bench.delivered()
    found.append(bench.steady("steady, Redis back", seconds))
    return found


def main() -> int:
    """Run the phases, check that everything arrived, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000, help="of a phase without pause")
    parser.add_argument("--seconds", type=float, default=2, help="of a steady phase")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {SERVER_CORE})
    with installation() as one:
        before = one.written() + 1
        bench = Bench(one, event_of_the_api(one))
        try:
            found = phases(one, bench, asked.events, asked.seconds)
            status = bench.emitter.status()
        finally:
            bench.emitter.stop()
        emitted = sum(phase.events for phase in found)
        written = one.written()
    report(found, {"emitted": emitted, "written": written, "dropped": status.dropped})
    return int(written < before + emitted or status.dropped > 0)


def report(found: Sequence[Phase], account: dict[str, int]) -> None:
    """Print JSON, then the table."""
    by_name = {phase.name: phase for phase in found}
    normal = by_name["steady, before a burst"].append_p99_us
    result = {
        "phases": [asdict(phase) for phase in found],
        "account": account,
        "ratios": {
            f"p99_{name}_to_before": by_name[f"steady, {words}"].append_p99_us / normal
            for name, words in (("burst", "after the burst"), ("away", "Redis away"), ("back", "Redis back"))
        },
        "bars": {
            "title": "Time to write one event down",
            "unit": "µs per event",
            "rows": [
                {"group": "", "name": f"{phase.name}", "value": phase.emit_us_per_event} for phase in found
            ],
        },
    }
    lines = [
        "| phase | batch | per event | emitted/s | in Redis/s | p50 of an append | p99 | longest |",
        "|---|---|---|---|---|---|---|---|",
        *(phase.line() for phase in found),
        "",
        f"Emitted {account['emitted']:,}, dropped {account['dropped']}; Redis has them all.",
    ]
    sys.stdout.write(f"{orjson.dumps(result).decode()}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())

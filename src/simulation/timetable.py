"""When requests are due: a Poisson process with bursts, fixed before anything is sent."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vigie.simulation.rows import SimulationError

_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_BURST: Final = re.compile(rf"(?P<times>{_NUMBER})x(?P<length>{_NUMBER})s/(?P<every>{_NUMBER})s")


@dataclass(frozen=True, slots=True)
class Burst:
    """So many times the rate, for the last `length_seconds` of every `every_seconds`."""

    times: float
    length_seconds: float
    every_seconds: float


def read_burst(text: str) -> Burst:
    """Read 10x5s/60s: ten times the rate for 5 s of every 60 s. Raises SimulationError."""
    found = _BURST.fullmatch(text.strip())
    if found is None:
        raise SimulationError(f"--burst {text}: write 10x5s/60s for ten times the rate, 5 s of every 60 s")
    burst = Burst(float(found["times"]), float(found["length"]), float(found["every"]))
    if not 0 < burst.length_seconds < burst.every_seconds:
        raise SimulationError(f"--burst {text}: a burst is shorter than the time from one to the next")
    return burst


def mean_rate(rate: float, burst: Burst | None = None) -> float:
    """Return the requests per second over bursts and the time between them."""
    if burst is None:
        return rate
    return rate * (1 + (burst.times - 1) * burst.length_seconds / burst.every_seconds)


def arrivals(rate: float, seed: int, burst: Burst | None = None) -> Iterator[float]:
    """Yield without end the times, in seconds from the start, at which requests are due; `rate` per second.

    With a burst the process is thinned and thickened by time: an exponential gap of mean 1 is used up at
    the rate of the moment.
    """
    chance = random.Random(f"arrivals {seed}")
    speeds = _speeds(rate, burst)
    speed, until = next(speeds)
    now = 0.0
    while True:
        gap = chance.expovariate(1.0)
        while gap >= speed * (until - now):
            gap -= speed * (until - now)
            now = until
            speed, until = next(speeds)
        now += gap / speed
        yield now


def _speeds(rate: float, burst: Burst | None) -> Iterator[tuple[float, float]]:
    """Yield (rate, second up to which it holds), one after the other."""
    if burst is None:
        yield rate, math.inf
        return
    for period in itertools.count(1):
        end = period * burst.every_seconds
        yield rate, end - burst.length_seconds
        yield rate * burst.times, end

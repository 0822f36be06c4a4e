"""Which outcomes of simulated predictions come back, and how long after the answer."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from vigie.simulation.rows import Row, SimulationError

_UNITS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_LENGTH: Final = r"([0-9]+\.?[0-9]*|\.[0-9]+)(ms|s|m|h)"
_DELAY: Final = re.compile(rf"{_LENGTH}(?:\.\.{_LENGTH})?")


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after its answer an outcome is known: evenly between two lengths of time."""

    shortest_seconds: float
    longest_seconds: float

    def drawn(self, chance: random.Random) -> float:
        """Return one delay in seconds."""
        return chance.uniform(self.shortest_seconds, self.longest_seconds)


def read_delay(text: str) -> Delay:
    """Read 2s..20s (evenly between them) or 30s (always that); units ms, s, m, h. Raises SimulationError."""
    found = _DELAY.fullmatch(text.strip())
    if found is None:
        raise SimulationError(f"--feedback-delay {text}: write 2s..20s, or 30s; units ms, s, m, h")
    shortest = float(found[1]) * _UNITS[found[2]]
    longest = shortest if found[3] is None else float(found[3]) * _UNITS[found[4]]
    if longest < shortest:
        raise SimulationError(f"--feedback-delay {text}: the shortest delay comes first")
    return Delay(shortest, longest)


@dataclass(frozen=True, slots=True)
class Feedback:
    """Which outcomes come back, and when."""

    share: float
    delay: Delay

    def of(self, rows: Iterator[Row], seed: int) -> Iterator[Row]:
        """Yield the rows, `share` of them with the seconds after which their outcome is known."""
        chance = random.Random(f"feedback {seed}")
        for row in rows:
            comes, after = chance.random() < self.share, self.delay.drawn(chance)
            yield replace(row, known_after_seconds=after) if comes and row.label is not None else row

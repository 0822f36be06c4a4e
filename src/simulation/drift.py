"""Drift to be simulated: numbers are moved, shares are raised or lowered, at once or little by little.

Or the concept drifts: outcomes change, and inputs do not.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vigie.schema import Feature, FeatureSchema, Value
from vigie.simulation.rows import Record, Row, SimulationError, Source

SHARE_ROWS: Final = 5000
"""Rows from which the share of a level is taken, before it is moved."""
_SHIFT: Final = re.compile(r"(?P<name>[^=:]+)(:(?P<level>[^=]+))?=(?P<by>[+-]?([0-9]+\.?[0-9]*|\.[0-9]+))")

Move = Callable[[Value, float, random.Random], Value]
"""(value, part of the shift from 0 to 1, chance) → the value after it."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one feature is moved: a number by adding, a share by so many points of 1."""

    feature: Feature
    by: float
    level: Value | None = None
    """The value whose share is moved; None for a number."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Which features are shifted, and when."""

    shifts: tuple[Shift, ...]
    after: int = 0
    """Rows before it begins."""
    gradual: int = 0
    """Rows over which it grows to its whole size; 0: at once."""
    concept: float = 0.0
    """Share of the outcomes that turn into another class."""

    def part(self, row: int) -> float:
        """Return how much of the shift the row of that number has, 0 to 1."""
        if row < self.after:
            return 0.0
        return min(1.0, (row - self.after + 1) / max(1, self.gradual))


def read_shift(schema: FeatureSchema, text: str) -> Shift:
    """Read NAME=+8 (a number), NAME=-.1 (the share of 1 of a yes/no) or NAME:LEVEL=+.2 (of a category).

    Raises SimulationError when it cannot be read, or does not fit the feature.
    """
    found = _SHIFT.fullmatch(text.strip())
    if found is None:
        raise SimulationError(f"--shift {text}: write NAME=+8, NAME=-.1 or NAME:LEVEL=+.2")
    feature = schema.by_name.get(found["name"].replace(" ", "_"))
    if feature is None:
        raise SimulationError(f"--shift {text}: the model has no {found['name']}; {', '.join(schema.names)}")
    by, level = float(found["by"]), found["level"]
    if feature.type in {"integer", "number"}:
        if level is not None:
            raise SimulationError(f"--shift {text}: {feature.name} is a number, it has no levels")
        return Shift(feature, by)
    if abs(by) > 1:
        raise SimulationError(f"--shift {text}: a share is moved by points from -1 to +1, such as +.25")
    if feature.type == "binary":
        if level not in {None, "0", "1"}:
            raise SimulationError(f"--shift {text}: {feature.name} is 0 or 1")
        return Shift(feature, by, int(level or 1))
    if level not in feature.categories:
        raise SimulationError(
            f"--shift {text}: write {feature.name}:LEVEL=…; levels: {', '.join(feature.categories)}"
        )
    return Shift(feature, by, level)


def drifting(rows: Iterator[Row], source: Source, drift: Drift, seed: int) -> Iterator[Row]:
    """Yield `rows` of `source`, shifted from the row on where `drift` begins; outcomes stay as they are."""
    if not drift.shifts:
        yield from rows
        return
    chance = random.Random(f"drift {seed}")
    sample = [row.record for row in itertools.islice(source.rows(seed), SHARE_ROWS)]
    moves = [(shift.feature.name, _move(shift, sample)) for shift in drift.shifts]
    for number, row in enumerate(rows):
        part = drift.part(number)
        if part == 0:
            yield row
            continue
        changed = {name: move(row.record[name], part, chance) for name, move in moves}
        yield replace(row, record={**row.record, **changed})


def turning(rows: Iterator[Row], classes: Sequence[str], drift: Drift, seed: int) -> Iterator[Row]:
    """Yield `rows`, a part of the outcomes turned into another class, evenly; inputs stay as they are."""
    if not drift.concept:
        yield from rows
        return
    chance = random.Random(f"concept {seed}")
    for number, row in enumerate(rows):
        turned = chance.random() < drift.concept * drift.part(number)
        if turned and row.label is not None:
            yield replace(row, label=chance.choice([one for one in classes if one != row.label]))
        else:
            yield row


def _move(shift: Shift, sample: Sequence[Record]) -> Move:
    return _by_adding(shift) if shift.level is None else _by_points(shift, sample)


def _by_adding(shift: Shift) -> Move:
    low, high = shift.feature.bounds
    assert low is not None
    assert high is not None
    whole = shift.feature.type == "integer"

    def move(value: Value, part: float, chance: random.Random) -> Value:
        step = shift.by * part
        if whole:  # rounded at random, so that it is right on average
            return int(min(max(int(value) + math.floor(step + chance.random()), low), high))
        return min(max(float(value) + step, low), high)

    return move


def _by_points(shift: Shift, sample: Sequence[Record]) -> Move:
    """Give rows of other levels this one, or rows of this level another, so often that the share moves."""
    name, level = shift.feature.name, shift.level
    assert level is not None
    others = [record[name] for record in sample if record[name] != level]
    share = 1 - len(others) / len(sample)
    room = 1 - share if shift.by > 0 else share
    flipped = min(1.0, abs(shift.by) / room) if room else 0.0
    levels: tuple[Value, ...] = (0, 1) if shift.feature.type == "binary" else shift.feature.categories
    elsewhere = others or [one for one in levels if one != level]

    def move(value: Value, part: float, chance: random.Random) -> Value:
        if (value == level) == (shift.by > 0) or chance.random() >= flipped * part:
            return value
        return level if shift.by > 0 else chance.choice(elsewhere)

    return move

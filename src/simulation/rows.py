"""Rows to be sent: drawn from the cohort, from the reference profile, or from the ranges of the schema."""

from __future__ import annotations

import csv
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from vigie.errors import VigieError
from vigie.model.cohort import draw
from vigie.model.package import read_manifest
from vigie.model.reference_profile import Profile, ReferenceProfile, read_reference
from vigie.schema import Feature, FeatureSchema, Value, load_schema
from vigie.settings import Settings

ROWS_AT_ONCE: Final = 500
"""A cohort is drawn in parts: a draw of one row costs as much as one of hundreds."""
HOLDOUT_FILE: Final = "holdout.csv"

Record = Mapping[str, Value]


class SimulationError(VigieError):
    """What is to be simulated cannot be."""


@dataclass(frozen=True, slots=True)
class Row:
    """A record; with its outcome where that is known, and a held-out one with its place in the file."""

    record: Record
    number: int | None = None
    label: str | None = None
    known_after_seconds: float | None = None
    """How long after the answer its outcome is told; None: never."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from."""

    name: str
    rows: Callable[[int], Iterator[Row]]
    """Seed → rows without end; the same seed gives the same rows."""


def source_for(schema: FeatureSchema, settings: Settings, *, with_outcomes: bool = False) -> Source:
    """Return the source of rows for the model of this `schema`.

    A model trained on its simulated cohort gets draws from that, class by class. One trained on data gets
    draws from its package's reference profile, where the package is on this machine, each feature by itself;
    or, where outcomes are wanted, its held-out rows again and again. Any other gets values evenly spread over
    the schema's ranges. Raises SimulationError when outcomes are wanted that nobody knows.
    """
    package = _package_of(schema, settings)
    if schema.simulation is not None and (package is None or read_manifest(package).simulated):
        return Source("the simulated cohort", partial(cohort_rows, schema))
    if with_outcomes:
        held_out = [] if package is None else held_out_rows(schema, package)
        if not held_out:
            raise SimulationError(
                "--feedback: outcomes are known of a simulated cohort, and of the held-out rows of a known "
                f"data set; {schema.name} has neither on this machine"
            )
        return Source("the held-out rows", partial(repeated_rows, held_out))
    if package is not None:
        reference = read_reference(package)
        return Source("the reference profile", partial(profile_rows, schema, reference))
    return Source("the ranges of the schema", partial(range_rows, schema))


def _package_of(schema: FeatureSchema, settings: Settings) -> Path | None:
    default = settings.model.model_path
    for folder in (default, settings.api.vigie_home / "models" / schema.name):
        try:
            read_manifest(folder)
            if load_schema(folder) == schema:
                return folder
        except VigieError:
            continue  # not a package, or not this model's: the next place may have it
    return None


def cohort_rows(schema: FeatureSchema, seed: int) -> Iterator[Row]:
    """Yield rows of the simulated cohort with their outcomes, features independent within the class."""
    chance = random.Random(f"rows {seed}")
    while True:
        records, labels = draw(schema, ROWS_AT_ONCE, chance.getrandbits(32))
        for record, label in zip(records, labels, strict=True):
            yield Row(record, label=label)


def profile_rows(schema: FeatureSchema, reference: ReferenceProfile, seed: int) -> Iterator[Row]:
    """Yield rows whose features are distributed as in training, each by itself: a level or bin by its
    share, a number evenly within its bin. Outcomes are not known."""
    chance = random.Random(f"rows {seed}")
    while True:
        columns = [_drawn(feature, reference.features[feature.name], chance) for feature in schema.features]
        for values in zip(*columns, strict=True):
            yield Row(dict(zip(schema.names, values, strict=True)))


def _drawn(feature: Feature, profile: Profile, chance: random.Random) -> list[Value]:
    if profile.kind == "levels":
        return chance.choices(profile.levels, profile.counts, k=ROWS_AT_ONCE)
    low, high = feature.bounds
    assert low is not None
    assert high is not None
    bounds = _bin_bounds(profile.edges, low, high)
    return [
        _between(feature, *bounds[position], chance)
        for position in chance.choices(range(len(bounds)), profile.counts, k=ROWS_AT_ONCE)
    ]


def _bin_bounds(edges: tuple[float, ...], low: float, high: float) -> list[tuple[float, float]]:
    """Return the bins' lower and upper ends; the outer two are as wide as their neighbours, at most.

    A schema allows more than training saw: spread over the whole of it, an outer bin would have values
    that nothing was trained on.
    """
    if not edges:
        return [(low, high)]
    first = edges[1] - edges[0] if len(edges) > 1 else high - low
    last = edges[-1] - edges[-2] if len(edges) > 1 else high - low
    ends = [max(low, edges[0] - first), *edges, min(high, edges[-1] + last)]
    return list(itertools.pairwise(ends))


def _between(feature: Feature, low: float, high: float, chance: random.Random) -> Value:
    """Return a value from `low` on and below `high`; `low` itself where nothing is between them."""
    if feature.type == "number":
        return low + (high - low) * chance.random()
    first = math.ceil(low)
    return chance.randint(first, max(first, math.ceil(high) - 1))


def range_rows(schema: FeatureSchema, seed: int) -> Iterator[Row]:
    """Yield rows of values evenly spread over what the schema allows. Outcomes are not known."""
    chance = random.Random(f"rows {seed}")
    while True:
        yield Row({feature.name: _allowed(feature, chance) for feature in schema.features})


def _allowed(feature: Feature, chance: random.Random) -> Value:
    if feature.type == "category":
        return chance.choice(feature.categories)
    low, high = feature.bounds
    assert low is not None
    assert high is not None
    if feature.type == "number":
        return chance.uniform(low, high)
    return chance.randint(math.ceil(low), math.floor(high))


def held_out_rows(schema: FeatureSchema, package: Path) -> list[Row]:
    """Return the held-out rows of a package trained on a known data set, in order; none without them."""
    file = package / HOLDOUT_FILE
    if schema.data is None or not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as opened:
        return [
            Row(
                {feature.name: _parsed(feature, line[feature.name]) for feature in schema.features},
                number,
                line[schema.target.name],
            )
            for number, line in enumerate(csv.DictReader(opened))
        ]


def repeated_rows(rows: Sequence[Row], seed: int) -> Iterator[Row]:
    """Yield the rows without end, in another order each time."""
    chance = random.Random(f"rows {seed}")
    while True:
        yield from chance.sample(rows, len(rows))


def _parsed(feature: Feature, text: str) -> Value:
    match feature.type:
        case "category":
            return text
        case "number":
            return float(text)
        case _:
            return int(float(text))

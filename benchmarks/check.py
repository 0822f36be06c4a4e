"""Judges the benchmarks' ratios by `floors.yaml`: `python benchmarks/check.py [bench] [peers] …`.

Runs the benchmarks named, by group or one by one (default: the group bench), that have bounds, and fails
when a ratio misses its bound or is not there. With `--keep` those without bounds run too, and what they
print is kept for docs/performance.md; with `--kept` what was kept last is judged. Only ratios within one
run are judged.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, model_validator
from record import HERE, RESULTS, keep, run

FLOORS: Final = HERE / "floors.yaml"


class Bound(BaseModel):
    """What a ratio has to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ratio: str
    """Where it is in the benchmark's result: names of keys, with points between them."""
    what: str
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.ratio}: give one of at_least and at_most")
        return self

    def shown(self) -> str:
        """Return it in words."""
        bound = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        return bound if self.aim is None else f"{bound} (aim {self.aim:g})"

    def holds(self, value: float) -> bool:
        """Say whether `value` keeps it; a value that is no number does not."""
        if math.isnan(value):
            return False
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)


class Measurement(BaseModel):
    """A benchmark with its arguments, and the bounds of its ratios."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    script: str
    arguments: list[str] = []
    bounds: list[Bound] = []


@dataclass(frozen=True, slots=True)
class Verdict:
    """One ratio and whether it keeps its bound."""

    measurement: str
    bound: Bound
    value: float
    """nan when the result has none."""

    @property
    def kept(self) -> bool:
        """Whether it does."""
        return self.bound.holds(self.value)


def read_floors(path: Path = FLOORS) -> dict[str, list[Measurement]]:
    """Return the measurements by group. Raises pydantic.ValidationError for what is not one."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {group: [Measurement.model_validate(one) for one in ones] for group, ones in groups.items()}


def chosen(groups: Mapping[str, Sequence[Measurement]], names: Sequence[str]) -> list[Measurement]:
    """Return the measurements of these groups or names. Raises SystemExit for a name that there is not."""
    known = {one.name: [one] for group in groups.values() for one in group} | dict(groups)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"{unknown[0]} is neither a group nor a benchmark: {', '.join(known)}")
    return [one for name in names for one in known[name]]


def found_in(result: Mapping[str, Any], path: str) -> float:
    """Return the number at `path` of a result; nan when there is none."""
    value: Any = result
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else math.nan


def judge(measurement: Measurement, result: Mapping[str, Any]) -> list[Verdict]:
    """Return a verdict on each of its bounds."""
    return [Verdict(measurement.name, one, found_in(result, one.ratio)) for one in measurement.bounds]


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield "| benchmark | ratio | found | bound | |"
    yield "|---|---|---|---|---|"
    for one in verdicts:
        found = "missing" if math.isnan(one.value) else f"{one.value:.2f}"
        judged = "kept" if one.kept else "MISSED"
        yield f"| {one.measurement} | {one.bound.what} | {found} | {one.bound.shown()} | {judged} |"


def measured(measurement: Measurement, *, keeping: bool) -> tuple[Mapping[str, Any], bool]:
    """Run the benchmark and, `keeping`, keep what it printed; return its result and whether it succeeded."""
    sys.stdout.write(f"\n{measurement.name}: {measurement.script} {' '.join(measurement.arguments)}\n")
    sys.stdout.flush()
    try:
        printed = run(measurement.script, measurement.arguments)
    except ValueError as error:
        sys.stdout.write(f"{error}\n")
        return {}, False
    sys.stdout.write("\n".join(printed.table) + "\n")
    if printed.status:
        sys.stdout.write(f"`{printed.command}` failed with status {printed.status}\n")
    elif keeping:
        keep(measurement.name, measurement.script, printed)
    return printed.result, printed.status == 0


def kept_result(measurement: Measurement, folder: Path) -> tuple[Mapping[str, Any], bool]:
    """Return what was kept of it, and whether there is anything."""
    path = folder / f"{measurement.name}.json"
    if not path.exists():
        return {}, False
    result: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["result"]
    return result, True


def main(words: Sequence[str] | None = None, floors: Path = FLOORS, results: Path = RESULTS) -> int:
    """Measure and judge; return 1 when a bound is missed or a benchmark failed."""
    groups = read_floors(floors)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=["bench"], help=f"{', '.join(groups)}, or a benchmark")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--keep", action="store_true", help="keep what the benchmarks print")
    how.add_argument("--kept", action="store_true", help="run nothing, judge what was kept")
    asked = parser.parse_args(words)
    verdicts: list[Verdict] = []
    sound = True
    for one in chosen(groups, asked.names):
        if not (one.bounds or asked.keep):
            continue
        result, succeeded = kept_result(one, results) if asked.kept else measured(one, keeping=asked.keep)
        verdicts += judge(one, result)
        sound = sound and succeeded
    sys.stdout.write("\n" + "\n".join(table(verdicts)) + "\n")
    return int(not (sound and all(one.kept for one in verdicts)))


if __name__ == "__main__":
    sys.exit(main())

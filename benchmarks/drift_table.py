"""How often each way of telling drift is wrong, and how often it misses: `python benchmarks/drift_table.py`.

Windows are drawn from the reference model's simulated cohort with fixed seeds, predicted by the served model,
and compared with the package's own reference profile (16,000 training rows, 4,000 held-out answers). Without
a change: the share of windows in which anything is named, over all inputs and the prediction. With a change
of one input: the share of windows in which that input is named. A shift is of so many standard deviations of
AGE; a share is moved by so many points (FATIGUE up, GENDER down, so that there is room). Beside the
platform's own verdicts and alarms stand three usual rules: PSI > 0.1, PSI > 0.2, and p < 0.05 of the same
test without any correction.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from vigie.drift.counting import counted
from vigie.drift.judgement import Judgement, judge
from vigie.model.cohort import draw
from vigie.model.decision import given_positions
from vigie.model.model_loader import LoadedModel, load_model
from vigie.model.reference_profile import ReferenceProfile, read_reference
from vigie.model.training import train
from vigie.schema import Value

ROOT: Final = Path(__file__).parents[1]
SIZES: Final = (50, 200, 1000, 5000)
FIRST_SEED: Final = 1000
COMMAND: Final = "python benchmarks/drift_table.py --record"
RESULT: Final = ROOT / "benchmarks" / "results" / "drift.json"
ROWS_OF_A_POOL: Final = 50_000
"""Windows of a size are drawn in pools, since a draw of few rows costs as much as one of many."""

Record = dict[str, Value]
Change = Callable[[list[Record], np.random.Generator], list[Record]]
Rule = Callable[[Judgement], bool]

RULES: Final[Mapping[str, Rule]] = {
    "verdict": lambda one: one.verdict == "drift",
    "alarm": lambda one: one.alarm,
    "PSI > 0.1": lambda one: one.psi > 0.1,
    "PSI > 0.2": lambda one: one.psi > 0.2,
    "p < 0.05": lambda one: one.p_value < 0.05,
}


def shifted(feature: str, by: float, low: float, high: float) -> Change:
    """Return a change that adds `by` to a whole-numbered feature: rounded at random, right on average."""

    def change(records: list[Record], chance: np.random.Generator) -> list[Record]:
        steps = np.floor(by + chance.random(len(records)))
        return [
            {**one, feature: int(np.clip(float(one[feature]) + step, low, high))}
            for one, step in zip(records, steps, strict=True)
        ]

    return change


def moved(feature: str, points: float, share: float) -> Change:
    """Return a change of a 0/1 feature's share by so many percentage points from `share`."""
    flipped = abs(points) / 100 / (1 - share if points > 0 else share)
    wrong, right = (0, 1) if points > 0 else (1, 0)

    def change(records: list[Record], chance: np.random.Generator) -> list[Record]:
        flips = chance.random(len(records)) < flipped
        return [
            {**one, feature: right} if flip and one[feature] == wrong else one
            for one, flip in zip(records, flips, strict=True)
        ]

    return change


def cases(reference: ReferenceProfile, model: LoadedModel) -> dict[str, tuple[str, Change | None]]:
    """Return name → (feature that changes, how); without a change the feature is empty."""
    records, _ = draw(model.schema, 16_000, 1)
    deviation = float(np.std([float(one["AGE"]) for one in records]))
    found: dict[str, tuple[str, Change | None]] = {"no change": ("", None)}
    for size in (0.1, 0.2, 0.3, 0.5):
        found[f"AGE +{size} sd"] = ("AGE", shifted("AGE", size * deviation, 0, 120))
    directions = (("FATIGUE", 1), ("GENDER", -1))
    for feature, points in ((name, way * size) for size in (5, 10, 20) for name, way in directions):
        profile = reference.features[feature]
        share = profile.counts[1] / profile.rows
        found[f"{feature} {points:+d} points"] = (feature, moved(feature, points, share))
    return found


def judged(
    model: LoadedModel, reference: ReferenceProfile, rows: int, windows: int, change: Change | None
) -> list[tuple[Judgement, ...]]:
    """Return the judgements on `windows` windows of `rows` rows, each judged with the one before it."""
    schema, chance = model.schema, np.random.default_rng([rows, windows])
    found: list[tuple[Judgement, ...]] = []
    before: Sequence[str] = ()
    pool: list[Record] = []
    seed = FIRST_SEED + rows
    while len(found) < windows:
        if len(pool) < rows:
            drawn, _ = draw(schema, max(rows, min(ROWS_OF_A_POOL, rows * windows)), seed)
            pool, seed = [dict(one) for one in drawn], seed + 1
        taken, pool = pool[:rows], pool[rows:]
        if change is not None:
            taken = change(taken, chance)
        answers = model.predict_proba(model.features(taken))
        given = given_positions(answers, schema.target.threshold)
        labels = [schema.target.classes[position] for position in given]
        one = judge(reference, counted(reference, taken, labels, answers[:, 1].tolist()), before)
        before = [each.feature for each in one if each.verdict == "drift"]
        found.append(one)
    return found


def shares(windows: Sequence[tuple[Judgement, ...]], feature: str) -> dict[str, float]:
    """Return for each rule the share of windows in which it names `feature` ("": anything)."""
    return {
        name: sum(any(rule(one) for one in window if feature in ("", one.feature)) for window in windows)
        / len(windows)
        for name, rule in RULES.items()
    }


def main() -> int:
    """Measure and print; with --record keep it for docs/drift.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--undrifted", type=int, default=300, help="windows without a change, of each size")
    parser.add_argument("--drifted", type=int, default=100, help="windows with each change, of each size")
    parser.add_argument("--record", action="store_true", help="keep it; `make reference` makes the table")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        train(ROOT / "model" / "lung_cancer", Path(folder))
        model, reference = load_model(Path(folder)), read_reference(Path(folder))
    rows: list[dict[str, object]] = []
    for name, (feature, change) in cases(reference, model).items():
        for size in SIZES:
            windows = given.drifted if change else given.undrifted
            found = shares(judged(model, reference, size, windows, change), feature)
            rows.append({"change": name, "rows": size, "windows": windows, "named": found})
            sys.stdout.write(f"{name}, {size:,} rows: {found}\n")
    if given.record:
        kept = {"command": COMMAND, "day": f"{datetime.now(UTC):%Y-%m-%d}", "rows": rows}
        RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

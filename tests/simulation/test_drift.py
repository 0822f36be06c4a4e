"""Simulated drift: moved as far as asked, when asked, and named by the verdicts on it."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import pytest
from tests.drift.traffic import reference_of, window_of

from vigie.drift.judgement import PREDICTION, alarmed, judge, named
from vigie.schema import Feature, FeatureSchema, Value
from vigie.simulation.drift import Drift, Shift, drifting, read_shift
from vigie.simulation.rows import Record, Row, SimulationError, Source, cohort_rows, range_rows

SEEDS = range(1, 21)
WINDOW = 500


def shifted(source: Source, drift: Drift, rows: int, seed: int = 1) -> list[Record]:
    """Draw rows of the source and let them drift."""
    drawn = drifting(source.rows(seed), source, drift, seed)
    return [dict(row.record) for row in itertools.islice(drawn, rows)]


def test_both_shifts_are_named_within_500_rows_and_nothing_else(
    schema: FeatureSchema, package_path: Path
) -> None:
    """In at least 19 of 20 seeds, AGE +8 and FATIGUE +.25 alarm in their first window, no other feature ever does."""
    source = Source("the cohort", partial(cohort_rows, schema))
    shifts = (read_shift(schema, "AGE=+8"), read_shift(schema, "FATIGUE=+.25"))
    reference = reference_of(package_path)
    right = 0
    for seed in SEEDS:
        rows = [{**row} for row in shifted(source, Drift(shifts, after=WINDOW), 2 * WINDOW, seed)]
        before = judge(reference, window_of(package_path, rows[:WINDOW]))
        after = judge(reference, window_of(package_path, rows[WINDOW:]), named(before))
        right += not alarmed(before) and {*alarmed(after)} - {PREDICTION} == {"AGE", "FATIGUE"}
    assert right >= 19


def test_a_shift_moves_what_it_says_by_as_much_as_it_says(schema: FeatureSchema) -> None:
    """Mean and share move by the amount asked for, rows before are untouched, outcomes stay."""
    source = Source("the cohort", partial(cohort_rows, schema))
    shifts = (read_shift(schema, "AGE=+2.5"), read_shift(schema, "FATIGUE=-.25"))
    drift = Drift(shifts, after=100)
    plain = list(itertools.islice(source.rows(5), 4000))
    moved = list(itertools.islice(drifting(source.rows(5), source, drift, 5), 4000))
    assert moved[:100] == plain[:100]
    assert [row.label for row in moved] == [row.label for row in plain]

    def mean(rows: list[Row], name: str) -> float:
        return sum(float(row.record[name]) for row in rows[100:]) / len(rows[100:])

    assert mean(moved, "AGE") - mean(plain, "AGE") == pytest.approx(2.5, abs=0.1)
    assert mean(moved, "FATIGUE") - mean(plain, "FATIGUE") == pytest.approx(-0.25, abs=0.03)
    for row, other in zip(moved, plain, strict=True):
        schema.request_model.model_validate(row.record)
        assert {n: v for n, v in row.record.items() if n not in {"AGE", "FATIGUE"}} == {
            n: v for n, v in other.record.items() if n not in {"AGE", "FATIGUE"}
        }


def test_gradual_drift_grows_evenly() -> None:
    """None before it begins, a half after half of the rows, all of it after the last."""
    drift = Drift((), after=10, gradual=100)
    assert [drift.part(row) for row in (0, 9, 10, 59, 109, 1000)] == [0, 0, 0.01, 0.5, 1, 1]
    assert [Drift((), after=10).part(row) for row in (9, 10)] == [0, 1]


def test_a_category_becomes_more_frequent(schema: FeatureSchema) -> None:
    """A level's share is raised by its points at the cost of the others, and lowered to their gain."""
    region = Feature(
        name="REGION", type="category", label="region", group="g", categories=("a", "b", "c", "d")
    )  # type: ignore[arg-type]  # a text may be one string
    group = {"name": "g", "title": "g"}
    made = FeatureSchema.model_validate(
        {**schema.model_dump(), "features": [region.model_dump()], "groups": [group], "simulation": None}
        | {"data": "nowhere:none"}
    )
    source = Source("ranges", partial(range_rows, made))
    for text, share in (("REGION:c=+.25", 0.5), ("REGION:c=-.15", 0.1), ("REGION:c=-.9", 0.0)):
        shift = read_shift(made, text)
        values: list[Value] = [one["REGION"] for one in shifted(source, Drift((shift,)), 4000)]
        assert values.count("c") / 4000 == pytest.approx(share, abs=0.03)
        assert values.count("a") / 4000 == pytest.approx((1 - share) / 3, abs=0.03)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("AGE", "write NAME=+8"),
        ("AGE=+8 years", "write NAME=+8"),
        ("HEIGHT=+8", "the model has no HEIGHT"),
        ("AGE:old=+8", "AGE is a number"),
        ("FATIGUE=+25", "points from -1 to +1"),
        ("FATIGUE:2=+.1", "FATIGUE is 0 or 1"),
    ],
)
def test_a_shift_that_does_not_fit_is_refused(schema: FeatureSchema, text: str, reason: str) -> None:
    """The message names the option and what was wrong."""
    with pytest.raises(SimulationError) as refused:
        read_shift(schema, text)
    assert str(refused.value).startswith(f"--shift {text}: ")
    assert reason in str(refused.value)


def test_both_spellings_name_the_feature(schema: FeatureSchema) -> None:
    """As on input, a space may stand for the underscore."""
    assert read_shift(schema, "CHEST PAIN=-.1") == Shift(schema.by_name["CHEST_PAIN"], -0.1, 1)

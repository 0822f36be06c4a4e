"""Verdicts and alarms over windows of the simulated cohort, with seeds fixed beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.drift.traffic import older_and_more_tired, older_by, rows, window_of

from vigie.drift.judgement import PREDICTION, Counted, alarmed, judge, named
from vigie.model.reference_profile import PredictionProfile, Profile, ReferenceProfile
from vigie.schema import FeatureSchema

SEEDS = range(9000, 9020)


def test_a_shift_of_age_and_fatigue_is_named_and_nothing_else(
    reference: ReferenceProfile, package_path: Path, schema: FeatureSchema
) -> None:
    """AGE + 8 years and FATIGUE + 25 points raise the alarm within 500 rows, in 19 of 20 seeds or more alone."""
    right = 0
    for seed in SEEDS:
        found = alarmed(
            judge(reference, window_of(package_path, rows(schema, 500, seed, older_and_more_tired)))
        )
        right += set(found) - {PREDICTION} == {"AGE", "FATIGUE"}
    assert right >= 19


def test_a_small_shift_of_one_input_is_named_within_500_rows(
    reference: ReferenceProfile, package_path: Path, schema: FeatureSchema
) -> None:
    """0.3 standard deviations of AGE have a verdict in 18 of 20 seeds or more."""
    found = [
        named(judge(reference, window_of(package_path, rows(schema, 500, seed, older_by(0.3)))))
        for seed in SEEDS
    ]
    assert sum("AGE" in names for names in found) >= 18


def test_without_a_change_verdicts_are_few_and_there_is_no_alarm(
    reference: ReferenceProfile, package_path: Path, schema: FeatureSchema
) -> None:
    """Of 40 windows of 500 at most 5 carry any verdict; two running name nothing twice."""
    records = rows(schema, 20_000, 8000)
    verdicts, before = 0, ()
    for start in range(0, 20_000, 500):
        found = judge(reference, window_of(package_path, records[start : start + 500]), before)
        before = named(found)
        verdicts += bool(before)
        assert alarmed(found) == ()
    assert verdicts <= 5


@pytest.mark.parametrize(("size", "windows"), [(50, 20), (200, 300), (1000, 300), (5000, 60)])
def test_false_verdicts_are_one_window_in_twenty(
    reference: ReferenceProfile, package_path: Path, schema: FeatureSchema, size: int, windows: int
) -> None:
    """Without a change the share of windows with any verdict is 0.05 within the error of the sample."""
    # three standard errors of the windows counted; the benchmark's table has more of them
    bound = 0.05 + 3 * (0.05 * 0.95 / windows) ** 0.5
    records = rows(schema, 50_000, 8100 + size)
    starts = [size * n % (50_000 - size + 1) for n in range(windows)]
    found = [
        named(judge(reference, window_of(package_path, records[start : start + size]))) for start in starts
    ]
    assert sum(map(bool, found)) / windows <= bound


def small_reference() -> ReferenceProfile:
    """A reference of one input with levels, and of a model with three classes."""
    levels = Profile(kind="levels", levels=("a", "b"), counts=(500, 500))
    labels = Profile(kind="levels", levels=("x", "y", "z"), counts=(300, 300, 400))
    prediction = PredictionProfile(rows=1000, labels=labels, probability=None)
    return ReferenceProfile(rows=1000, features={"PLAN": levels}, prediction=prediction, observed={})


def counted(plan: tuple[int, int], labels: tuple[int, int, int] = (30, 30, 40)) -> Counted:
    """A window over the small reference."""
    reference = small_reference()
    return Counted(
        rows=sum(plan),
        features={"PLAN": reference.features["PLAN"].with_counts(plan)},
        labels=reference.prediction.labels.with_counts(labels),
        probability=None,
    )


def test_an_alarm_is_the_second_verdict_running_or_a_tiny_p_value() -> None:
    """One verdict alone is none; the same feature before, or p < 0.0001, is."""
    window = counted((67, 33))
    (first, _), (second, _) = judge(small_reference(), window), judge(small_reference(), window, ("PLAN",))
    assert (first.verdict, first.alarm, first.words) == ("drift", False, "drift, new")
    assert 1e-4 < first.p_value < 0.005
    assert (second.verdict, second.alarm, second.words) == ("drift", True, "DRIFT")
    (other, _) = judge(small_reference(), window, ("AGE",))
    assert not other.alarm
    (tiny, _) = judge(small_reference(), counted((90, 10)))
    assert tiny.alarm


def test_more_than_two_classes_are_compared_by_the_labels_given() -> None:
    """A model that suddenly answers one class only has drifted, its inputs unchanged."""
    plan, prediction = judge(small_reference(), counted((50, 50), (100, 0, 0)))
    assert (plan.verdict, plan.compared) == ("stable", "input")
    assert (prediction.feature, prediction.compared, prediction.alarm) == (PREDICTION, "prediction", True)


def test_too_few_rows_have_no_verdict() -> None:
    """49 rows are not judged, however different; 50 are."""
    few, enough = judge(small_reference(), counted((49, 0)))[0], judge(small_reference(), counted((50, 0)))[0]
    assert (few.verdict, few.alarm, few.words) == ("not enough", False, "not enough rows (49 of 50)")
    assert (enough.verdict, enough.alarm) == ("drift", True)

"""The figures, their intervals, and the verdict on them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from vigie.logs_pipeline.quality_watch import ERROR as WATCHED
from vigie.quality.calibration import Bins, binned, calibration_error, calibration_error_by_chance
from vigie.quality.estimate import estimate
from vigie.quality.intervals import Proportion, difference
from vigie.quality.judgement import Drifted, Judgement, judge
from vigie.quality.measures import FloatArray, IntArray, measured, measures, proportions

QUIET = Drifted(judged=True, inputs=())
SHIFTED = Drifted(judged=True, inputs=("AGE",))
WINDOWS = 100


def test_a_proportions_interval_is_wilsons() -> None:
    """The figures of Newcombe's table; of nothing, everything is possible."""
    found = Proportion(81, 263).interval()
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    none = Proportion(0, 20).interval()
    assert (none.low, none.high) == (pytest.approx(0, abs=1e-12), pytest.approx(0.1611, abs=5e-5))
    assert (Proportion(0, 0).interval().low, Proportion(0, 0).interval().high) == (0, 1)


def test_a_differences_interval_is_newcombes() -> None:
    """Example (a) of his table II, method 10; with a sample of nothing there is no telling."""
    found = difference(Proportion(56, 70), Proportion(48, 80))
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    assert difference(Proportion(1, 2), Proportion(0, 0)).high == 1


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_figures_are_those_of_scikit_learn(classes: int) -> None:
    """Of two classes the positive one's, of more the mean over classes; each lies in its interval."""
    chance = np.random.default_rng(classes)
    truth = chance.integers(0, classes, 400)
    given = np.where(chance.random(400) < 0.7, truth, chance.integers(0, classes, 400))
    found = measured(metrics.confusion_matrix(truth, given))
    average = "binary" if classes == 2 else "macro"
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, given, average=average)
    right = {"accuracy": float((truth == given).mean()), "precision": precision, "recall": recall, "f1": f1}
    for name, value in right.items():
        assert found[name].value == pytest.approx(value)
        interval = found[name].interval
        assert interval is not None
        assert interval.low < value < interval.high < interval.low + 0.2


def test_nothing_has_no_figures() -> None:
    """Neither without rows, nor the precision of an answer that was never given."""
    assert {one.value for one in measured(np.zeros((2, 2), dtype=np.int64)).values()} == {None}
    never = measured(np.array([[5, 0], [3, 0]]))
    assert (never["precision"].value, never["recall"].value, never["accuracy"].value) == (None, 0, 0.625)
    only_two_of_three = measures(np.array([[4, 1, 0], [2, 3, 0], [0, 0, 0]]))
    assert only_two_of_three["recall"] == pytest.approx((4 / 5 + 3 / 5) / 2)


def test_a_calibration_error_is_judged_by_what_chance_makes() -> None:
    """Right probabilities stay below the bound in about 95 of 100 samples, wrong ones do not."""
    chance = np.random.default_rng(1)
    edges = [position / 10 for position in range(1, 10)]
    below = 0
    for _ in range(WINDOWS):
        p = chance.beta(4, 1, 300)
        bins = binned(edges, p, (chance.random(300) < p).astype(np.float64))
        error, bound = calibration_error(bins), calibration_error_by_chance(bins)
        assert error is not None
        assert bound is not None
        below += error <= bound
    assert 0.90 <= below / WINDOWS <= 1
    wrong = binned(edges, p, (chance.random(300) < p - 0.2).astype(np.float64))
    assert (calibration_error(wrong) or 0) > (calibration_error_by_chance(wrong) or 1)


EDGES = (0.2, 0.4, 0.5, 0.6, 0.8, 0.9, 0.95)


def scores(chance: np.random.Generator, rows: int) -> FloatArray:
    """Probabilities of a model that is mostly sure."""
    found: FloatArray = chance.beta(2.5, 0.5, rows)
    return found


def outcomes(chance: np.random.Generator, p: FloatArray, turned: float = 0.0) -> FloatArray:
    """Outcomes of a model that is too sure, a part of them turned into the opposite."""
    hits = chance.random(len(p)) < 0.5 + 0.8 * (p - 0.5)
    return np.where(chance.random(len(p)) < turned, ~hits, hits).astype(np.float64)


def matrix(p: FloatArray, hits: FloatArray) -> IntArray:
    """The confusion matrix at 0.5."""
    return np.array(metrics.confusion_matrix(hits, (p >= 0.5).astype(float), labels=[0.0, 1.0]))


def verdicts(rows: int, turned: float, windows: int, drifted: Drifted = QUIET) -> list[Judgement]:
    """Verdicts on windows of a model whose training was on other data of the same kind."""
    found = []
    for seed in range(windows):
        chance = np.random.default_rng([20261121, seed])
        p = scores(chance, 4000)
        hits = outcomes(chance, p)
        held_out, training = binned(EDGES, p, hits), proportions(matrix(p, hits))
        p = scores(chance, rows)
        hits = outcomes(chance, p, turned)
        expected = estimate(binned(EDGES, p, hits), held_out, 0.5)
        found.append(judge(proportions(matrix(p, hits)), training, expected, drifted))
    return found


@pytest.mark.parametrize("rows", [60, 500])
def test_a_sound_model_is_seldom_found_fault_with(rows: int) -> None:
    """Of windows without a change at most one in twenty, within sampling error, has an alarm.

    The model is too sure of itself; its held-out rows tell that, so it is no disagreement.
    """
    faulty = sum(one.verdict != "fine" for one in verdicts(rows, 0.0, WINDOWS))
    assert faulty / WINDOWS <= 0.05 + 2 * (0.05 * 0.95 / WINDOWS) ** 0.5


def test_looking_again_and_again_finds_no_fault_with_a_sound_model() -> None:
    """A month of looks at a sliding week, a hundred outcomes a day: of ten sound models, none has an alarm.

    At the error of a single look half of them would.
    """
    alarmed = {0.05: 0, WATCHED: 0}
    for seed in range(10):
        chance = np.random.default_rng([28, seed])
        p = scores(chance, 4000)
        hits = outcomes(chance, p)
        held_out, training = binned(EDGES, p, hits), proportions(matrix(p, hits))
        p = scores(chance, 3500)
        hits = outcomes(chance, p)
        for error in alarmed:
            looks = (slice(end - 700, end) for end in range(700, 3501, 100))
            alarmed[error] += any(
                judge(
                    proportions(matrix(p[week], hits[week])),
                    training,
                    estimate(binned(EDGES, p[week], hits[week]), held_out, 0.5),
                    QUIET,
                    error,
                ).verdict
                != "fine"
                for week in looks
            )
    assert alarmed[0.05] >= 2
    assert alarmed[WATCHED] == 0


def test_turned_outcomes_are_found() -> None:
    """One outcome in seven turned: concept drift in most windows of 500; the inputs are named where they drift."""
    found = verdicts(500, 0.15, 50)
    assert sum(one.verdict == "concept drift" for one in found) >= 45
    assert found[0].words[0] == "ALARM: outcomes changed while inputs did not: concept drift"
    (words, *_) = next(one for one in verdicts(500, 0.15, 5, SHIFTED) if one.verdict != "fine").words
    assert words.startswith("ALARM: inputs drifted (AGE), and outcomes are not what")


def test_harder_questions_are_below_training_and_no_disagreement() -> None:
    """Probabilities near 0.5 foretell many errors; when these come, quality is below training and no more."""
    chance = np.random.default_rng(5)
    p = scores(chance, 4000)
    hits = outcomes(chance, p)
    held_out, training = binned(EDGES, p, hits), proportions(matrix(p, hits))
    p = chance.uniform(0.4, 0.6, 400)
    hits = outcomes(chance, p)
    found = judge(
        proportions(matrix(p, hits)), training, estimate(binned(EDGES, p, hits), held_out, 0.5), QUIET
    )
    assert found.verdict == "below training"
    assert found.words[0] == "ALARM: quality is below what training promised, as the probabilities foretell"


def test_more_than_two_classes_have_an_expected_accuracy() -> None:
    """The score is the probability of the class given, a hit a right answer; the rest cannot be foretold."""
    chance = np.random.default_rng(6)
    p = chance.uniform(0.4, 1, 2000)
    bins = binned((0.6, 0.8), p, (chance.random(2000) < p).astype(np.float64))
    found = estimate(bins, bins, None)
    assert set(found.values) == {"accuracy"}
    assert found.values["accuracy"] == pytest.approx(0.7, abs=0.02)
    interval = found.interval("accuracy")
    assert interval is not None
    assert 0.66 < interval.low < found.values["accuracy"] < interval.high < interval.low + 0.08
    nothing = binned((0.6, 0.8), np.zeros(0), np.zeros(0))
    assert estimate(nothing, bins, None).interval("accuracy") is None


def test_a_bin_that_training_never_saw_is_taken_at_its_word() -> None:
    """Without held-out rows in a bin its own mean probability is what is expected."""
    never = Bins((0.5,), np.array([0, 100]), np.array([0, 90]), np.array([0.0, 0.9]))
    now = Bins((0.5,), np.array([50, 0]), np.array([0, 0]), np.array([0.2, 0.0]))
    assert estimate(now, never, 0.5).values["accuracy"] == pytest.approx(0.8)

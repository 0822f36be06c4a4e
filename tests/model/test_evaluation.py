"""Metrics against values worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from tests.model.schemas import mixed_schema

from vigie.model.evaluation import calibration_error, evaluate
from vigie.model.model_card import wilson_interval
from vigie.quality.calibration import CURVE_EDGES, binned
from vigie.quality.calibration import calibration_error as error_of_bins
from vigie.schema import FeatureSchema


def test_two_classes_by_hand(schema: FeatureSchema) -> None:
    """Five rows: two true positives, one false positive, one false negative, one true negative."""
    positive = np.array([0.9, 0.6, 0.7, 0.2, 0.1])
    truth = np.array([1, 1, 0, 1, 0])
    metrics = evaluate(truth, np.column_stack([1 - positive, positive]), schema)
    assert (metrics.rows, metrics.correct, metrics.accuracy) == (5, 3, 0.6)
    assert metrics.majority_accuracy == 0.6
    assert metrics.precision == pytest.approx(2 / 3)
    assert metrics.recall == pytest.approx(2 / 3)
    assert metrics.f1 == pytest.approx(2 / 3)
    assert metrics.roc_auc == pytest.approx(4 / 6)
    assert metrics.brier == pytest.approx((0.01 + 0.16 + 0.49 + 0.64 + 0.01) / 5)
    assert metrics.log_loss == pytest.approx(-np.log([0.9, 0.6, 0.3, 0.2, 0.9]).mean())
    assert metrics.confusion == {"NO": {"NO": 1, "YES": 1}, "YES": {"NO": 1, "YES": 2}}
    assert metrics.calibration_error == pytest.approx((0.1 + 0.4 + 0.7 + 0.8 + 0.1) / 5)


def test_the_threshold_of_the_schema_gives_the_labels(tmp_path: Path) -> None:
    """Counts are of the labels that are given at the model's own threshold; AUC and Brier know none."""
    target = {"name": "L", "title": "L", "classes": ["no", "yes"], "positive": "yes", "threshold": 0.2}
    positive = np.array([0.9, 0.6, 0.7, 0.2, 0.1])
    truth = np.array([1, 1, 0, 1, 0])
    both = np.column_stack([1 - positive, positive])
    metrics = evaluate(truth, both, mixed_schema(tmp_path, target=target))
    assert metrics.confusion == {"no": {"no": 1, "yes": 1}, "yes": {"no": 0, "yes": 3}}
    assert (metrics.correct, metrics.recall) == (4, 1)
    assert metrics.roc_auc == pytest.approx(4 / 6)


def test_three_classes_by_hand(tmp_path: Path) -> None:
    """Averages are over the classes without weights; a class never given has precision 0."""
    target = {"name": "LEAVES", "title": "Leaves", "classes": ["no", "soon", "now"], "positive": "now"}
    probabilities = np.array([[0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.2, 0.6]])
    metrics = evaluate(np.array([0, 1, 2, 2]), probabilities, mixed_schema(tmp_path, target=target))
    assert metrics.correct == 3
    assert metrics.precision == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert metrics.recall == pytest.approx((1 + 0 + 1) / 3)
    assert metrics.f1 == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert metrics.roc_auc == 1
    assert metrics.brier == pytest.approx((0.06 + 0.78 + 0.14 + 0.24) / 4)
    assert metrics.log_loss == pytest.approx(-np.log([0.8, 0.3, 0.7, 0.6]).mean())
    assert metrics.calibration_error == pytest.approx((0.2 + 0.5 + 0.3 + 0.4) / 4)


def test_the_interval_of_an_accuracy_is_wilsons() -> None:
    """8 of 10 have the textbook interval 0.490 to 0.943; 10 of 10 stay below certainty."""
    low, high = wilson_interval(8, 10)
    assert math.isclose(low, 0.4902, abs_tol=5e-5)
    assert math.isclose(high, 0.9433, abs_tol=5e-5)
    assert wilson_interval(10, 10)[0] == pytest.approx(0.7225, abs=5e-5)


def test_the_calibration_error_is_the_one_that_quality_is_judged_by() -> None:
    """Over 1,000 rows it equals that of ten bins, in which hits and probabilities may balance."""
    chance = np.random.default_rng(3)
    scores = np.append(chance.random(998), [0.0, 1.0])
    hits = (chance.random(1000) < scores**2).astype(float)
    expected = error_of_bins(binned(CURVE_EDGES, scores, hits))
    assert calibration_error(scores, hits) == pytest.approx(expected)
    assert calibration_error(np.array([0.55, 0.55]), np.array([1.0, 0.0])) == pytest.approx(0.05)

"""Quality of class probabilities against true labels."""

from __future__ import annotations

from typing import Final

import numpy as np
from sklearn import metrics

from vigie.model.dataset import IntArray
from vigie.model.decision import given_positions
from vigie.model.feature_engineering import FloatArray
from vigie.model.package import Metrics
from vigie.schema import FeatureSchema

CALIBRATION_BINS: Final = 10


def evaluate(truth: IntArray, probabilities: FloatArray, schema: FeatureSchema) -> Metrics:
    """Compare `truth`, positions in `target.classes` of shape (n,), with `probabilities` (n, classes).

    The label given is that of `given_positions`. Every class must occur in `truth`.
    """
    classes = schema.target.classes
    positions = list(range(len(classes)))
    given = given_positions(probabilities, schema.target.threshold)
    binary = len(classes) == 2
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth,
        given,
        labels=positions,
        average="binary" if binary else "macro",
        pos_label=1,
        zero_division=0.0,
    )
    matrix = metrics.confusion_matrix(truth, given, labels=positions)
    correct = int((truth == given).sum())
    return Metrics(
        rows=len(truth),
        correct=correct,
        accuracy=correct / len(truth),
        majority_accuracy=float(np.bincount(truth).max() / len(truth)),
        precision=float(precision),
        recall=float(recall),
        f1=float(f1),
        roc_auc=float(
            metrics.roc_auc_score(truth, probabilities[:, 1])
            if binary
            else metrics.roc_auc_score(truth, normalised(probabilities), multi_class="ovr", labels=positions)
        ),
        brier=brier_score(truth, probabilities),
        log_loss=float(metrics.log_loss(truth, normalised(probabilities), labels=positions)),
        calibration_error=calibration_error(*_scores(truth, probabilities)),
        confusion={
            true: {label: int(matrix[row, column]) for column, label in enumerate(classes)}
            for row, true in enumerate(classes)
        },
    )


def brier_score(truth: IntArray, probabilities: FloatArray) -> float:
    """Return the mean squared error of P(positive) for two classes, of all P(class) summed for more.

    Source: Brier, "Verification of forecasts expressed in terms of probability" (1950), halved for two
    classes as is usual.
    """
    if probabilities.shape[1] == 2:
        return float(((probabilities[:, 1] - truth) ** 2).mean())
    one_hot = np.eye(probabilities.shape[1])[truth]
    return float(((probabilities - one_hot) ** 2).sum(axis=1).mean())


def calibration_error(scores: FloatArray, hits: FloatArray) -> float:
    """Return the expected calibration error in ten bins of equal width.

    That is the mean distance of the mean of `scores` and the share of `hits` (0 or 1) in a bin, by rows; both
    have shape (n,). Source: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using
    Bayesian binning" (2015).
    """
    bins = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    distances = np.bincount(bins, weights=scores - hits)
    return float(np.abs(distances).sum() / len(scores))


def _scores(truth: IntArray, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the probability that each row was told, and whether it came true.

    Of two classes the probability of the positive one, of more that of the class given.
    """
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], truth.astype(np.float64)
    return probabilities.max(axis=1), (probabilities.argmax(axis=1) == truth).astype(np.float64)


def normalised(probabilities: FloatArray) -> FloatArray:
    """Return `probabilities` with rows that sum to 1 in float64 (float32 rows do to 6e-8)."""
    result: FloatArray = probabilities / probabilities.sum(axis=1, keepdims=True)
    return result

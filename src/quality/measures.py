"""Accuracy, precision, recall and F1 of a confusion matrix, each with a confidence interval.

Of two classes precision, recall and F1 are those of the positive class, of more the unweighted mean over the
classes that occur.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vigie.quality.intervals import CONFIDENCE, Interval, Proportion, two_sided

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NAMES: Final = ("accuracy", "precision", "recall", "f1")
DRAWS: Final = 2_000
"""Samples of a bootstrap."""
SEED: Final = 20_261_120


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its interval."""

    value: float | None
    """None where there is nothing to measure, as the precision of an answer that was never given."""
    interval: Interval | None


def measures(matrix: npt.ArrayLike) -> dict[str, FloatArray]:
    """Return the figures of confusion matrices of shape (…, classes, classes): true class, then class given.

    Each has shape (…); NaN where there is nothing to measure.
    """
    cells = np.asarray(matrix, dtype=np.float64)
    right = np.diagonal(cells, axis1=-2, axis2=-1)
    true, given = cells.sum(axis=-1), cells.sum(axis=-2)
    accuracy = _ratio(right.sum(axis=-1), cells.sum(axis=(-2, -1)))
    if cells.shape[-1] == 2:
        right, true, given = right[..., 1], true[..., 1], given[..., 1]
        return dict(
            zip(
                NAMES,
                (accuracy, _ratio(right, given), _ratio(right, true), _ratio(2 * right, true + given)),
                strict=True,
            )
        )
    occurs = (true + given) > 0
    parts = [_ratio(right, given), _ratio(right, true), _ratio(2 * right, true + given)]
    means = [_ratio(np.where(occurs, np.nan_to_num(part), 0).sum(-1), occurs.sum(-1)) for part in parts]
    return dict(zip(NAMES, (accuracy, *means), strict=True))


def proportions(matrix: IntArray) -> dict[str, Proportion]:
    """Return the figures that are so many of so many: accuracy, and of two classes precision and recall."""
    found = {"accuracy": Proportion(int(np.trace(matrix)), int(matrix.sum()))}
    if len(matrix) == 2:
        right = int(matrix[1, 1])
        found["precision"] = Proportion(right, int(matrix[:, 1].sum()))
        found["recall"] = Proportion(right, int(matrix[1].sum()))
    return found


def measured(matrix: IntArray) -> dict[str, Measured]:
    """Return every figure of one matrix with its 95 % interval.

    Of proportions Wilson's; of F1 and of means over classes the percentiles of a seeded bootstrap, which
    draws the cells of as many rows anew (multinomial; Efron, 1979).
    """
    values, exact = measures(matrix), proportions(matrix)
    drawn: Mapping[str, FloatArray] = {}
    if total := int(matrix.sum()):
        chance = np.random.default_rng(SEED)
        cells = chance.multinomial(total, (matrix / total).ravel(), DRAWS)
        drawn = measures(cells.reshape(DRAWS, *matrix.shape))
    found = {}
    for name in NAMES:
        value = None if np.isnan(values[name]) else float(values[name])
        interval = exact[name].interval() if name in exact else percentiles(drawn.get(name))
        found[name] = Measured(value, None if value is None else interval)
    return found


def percentiles(drawn: FloatArray | None, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the middle part of what was drawn; None when most draws had nothing to measure."""
    if drawn is None or np.isnan(drawn).mean() > 0.5:
        return None
    low, high = np.nanquantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def brier(squared_errors: FloatArray) -> Measured:
    """Return the mean squared error of P(positive) with its interval by the normal approximation of a mean.

    `squared_errors` has shape (n,). Source: Brier, 1950, halved for two classes as is usual.
    """
    count = len(squared_errors)
    if not count:
        return Measured(None, None)
    mean = float(squared_errors.mean())
    if count < 2:
        return Measured(mean, None)
    reach = two_sided(CONFIDENCE) * float(squared_errors.std(ddof=1)) / float(np.sqrt(count))
    return Measured(mean, Interval(max(0.0, mean - reach), mean + reach))


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> FloatArray:
    over, under = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    result: FloatArray = np.divide(over, under, out=np.full_like(under, np.nan), where=under > 0)
    return result

"""Whether the probabilities mean what they say: rows, hits and mean probability in bins.

The *score* of a row is what the store keeps as `result.probability`: of two classes P(positive), and a *hit*
is a positive outcome; of more P(class given), and a hit is a right answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vigie.quality.measures import DRAWS, SEED, FloatArray, IntArray

CURVE_EDGES: Final = tuple(position / 10 for position in range(1, 10))
"""Inner edges of the ten bins of a calibration curve."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Rows by score: bin i holds the scores from edge i-1 on and below edge i."""

    edges: tuple[float, ...]
    rows: IntArray
    hits: IntArray
    means: FloatArray
    """Mean score of each bin; 0 in an empty one."""

    @property
    def total(self) -> int:
        """Rows in all."""
        return int(self.rows.sum())


def binned(edges: Sequence[float], scores: FloatArray, hits: FloatArray) -> Bins:
    """Return rows in memory by score; `scores` and `hits` (0 or 1) have shape (n,)."""
    positions = np.searchsorted(edges, scores, side="right")
    size = len(edges) + 1
    rows = np.bincount(positions, minlength=size)
    sums = np.bincount(positions, weights=scores, minlength=size)
    found = np.bincount(positions, weights=hits, minlength=size)
    means = np.divide(sums, rows, out=np.zeros(size), where=rows > 0)
    return Bins(tuple(edges), rows.astype(np.int64), np.rint(found).astype(np.int64), means)


def calibration_error(bins: Bins) -> float | None:
    """Return the expected calibration error: the mean distance of share of hits and mean score, by rows.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning",
    2015.
    """
    return None if not bins.total else float(_error(bins, bins.hits))


def calibration_error_by_chance(bins: Bins) -> float | None:
    """Return what the error stays below in 95 of 100 samples of this size when every probability is right.

    The error is never 0, even then: only above this it says something.
    """
    if not bins.total:
        return None
    hits = np.random.default_rng(SEED).binomial(bins.rows, np.clip(bins.means, 0, 1), (DRAWS, len(bins.rows)))
    return float(np.quantile(_error(bins, hits), 0.95))


def _error(bins: Bins, hits: IntArray) -> FloatArray:
    distance: FloatArray = np.abs(hits - bins.rows * bins.means).sum(axis=-1) / bins.total
    return distance

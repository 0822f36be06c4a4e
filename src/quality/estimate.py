"""What quality can be expected before outcomes are known, from the probabilities alone.

Confidence-based performance estimation (CBPE): of predictions with the calibrated probability p, a part p
turns out positive, so the probabilities foretell every cell of the confusion matrix. They are recalibrated by
the held-out rows of training, in bins: a bin's share of positive outcomes there, less its mean probability
there, is added to its mean probability now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from vigie.quality.calibration import Bins
from vigie.quality.intervals import CONFIDENCE, Interval
from vigie.quality.measures import DRAWS, NAMES, SEED, FloatArray, Measured, measures, percentiles

_PRIOR: Final = 0.5
"""Jeffreys' prior for a share: half a hit and half a miss."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The figures expected of some predictions."""

    rows: int
    values: Mapping[str, float]
    drawn: Mapping[str, FloatArray]
    """What the figures were in 2,000 simulated courses of the outcomes."""

    def interval(self, name: str, confidence: float = CONFIDENCE) -> Interval | None:
        """Return within which a figure is expected, the outcomes' own chance included."""
        return percentiles(self.drawn.get(name), confidence)

    def measured(self, name: str) -> Measured:
        """Return a figure with its 95 % interval."""
        return Measured(self.values.get(name), self.interval(name))


def estimate(now: Bins, held_out: Bins, threshold: float | None) -> Estimate:
    """Return what is to be expected of the predictions counted in `now`.

    `threshold` is that of two classes, an edge of the bins; with None a hit is a right answer, and only the
    accuracy can be told. The interval has the uncertainty of the recalibration (a share
    drawn from its posterior) and the chance of the outcomes themselves (a binomial draw per bin).
    """
    if not now.total:
        return Estimate(0, {}, {})
    chance = np.random.default_rng(SEED)
    right, wrong = held_out.hits + _PRIOR, held_out.rows - held_out.hits + _PRIOR
    moved = np.where(held_out.rows > 0, now.means - held_out.means, 0.0)
    known = held_out.rows > 0
    rates = np.where(known, right / (right + wrong) + moved, now.means)
    drawn = np.where(known, chance.beta(right, wrong, (DRAWS, len(right))) + moved, now.means)
    hits = chance.binomial(now.rows, np.clip(drawn, 0, 1))
    values = _figures(now, now.rows * np.clip(rates, 0, 1), threshold)
    return Estimate(
        now.total,
        {name: float(value) for name, value in values.items() if not np.isnan(value)},
        _figures(now, hits.astype(np.float64), threshold),
    )


def _figures(now: Bins, hits: FloatArray, threshold: float | None) -> dict[str, FloatArray]:
    """Return the figures of so many hits per bin, of shape (…, bins)."""
    misses = now.rows - hits
    if threshold is None:
        return {NAMES[0]: hits.sum(axis=-1) / now.total}
    positive = np.array([-np.inf, *now.edges]) >= threshold
    cells = [
        np.stack([misses[..., ~positive].sum(-1), misses[..., positive].sum(-1)], axis=-1),
        np.stack([hits[..., ~positive].sum(-1), hits[..., positive].sum(-1)], axis=-1),
    ]
    return measures(np.stack(cells, axis=-2))

"""The population stability index: how far apart two distributions are. A size, never a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

SMOOTHING: Final = 0.5
"""Rows added to each cell, so that one that is empty on one side gives a finite index (Jeffreys' prior)."""


def population_stability_index(reference: Sequence[int], window: Sequence[int]) -> float:
    """Return Σ (q - p) ln(q / p) over the cells, p and q the shares of `reference` and `window`.

    Cells that are empty on both sides count nothing; 0 when either side has no rows. Without any change its
    expectation is about (cells - 1) (1/N + 1/n), which is why no fixed bound of it says anything.
    Source: Siddiqi, "Credit Risk Scorecards" (2006); for its distribution Yurdakul and Naranjo (2020).
    """
    pairs = np.array([reference, window], dtype=np.float64)
    pairs = pairs[:, pairs.sum(axis=0) > 0]
    if not pairs.sum(axis=1).all():
        return 0.0
    shares = pairs + SMOOTHING
    shares /= shares.sum(axis=1, keepdims=True)
    p, q = shares
    return float(((q - p) * np.log(q / p)).sum())

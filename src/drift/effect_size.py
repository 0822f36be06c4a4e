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


def index_by_chance(
    reference: Sequence[int], window: Sequence[int], *, part: float = 0.95, draws: int = 1000
) -> float:
    """Return what the index stays below in a `part` of the windows of this size when nothing has changed.

    From permutations, seeded by the counts: given both samples together, all ways of choosing the window's
    rows are equally likely. 0 when either side has no rows.
    """
    counts = np.array([reference, window], dtype=np.int64)
    pooled, rows = counts.sum(axis=0), int(counts[1].sum())
    if not counts.sum(axis=1).all():
        return 0.0
    chance = np.random.default_rng(counts.ravel().tolist())
    windows = chance.multivariate_hypergeometric(pooled, rows, size=draws, method="marginals")
    kept = pooled > 0
    p, q = (np.asarray(side[:, kept], dtype=np.float64) + SMOOTHING for side in (pooled - windows, windows))
    p /= p.sum(axis=1, keepdims=True)
    q /= q.sum(axis=1, keepdims=True)
    return float(np.quantile(((q - p) * np.log(q / p)).sum(axis=1), part))

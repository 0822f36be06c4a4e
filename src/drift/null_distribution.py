"""The chance of counts as different as these when nothing has changed: two samples over the same cells.

The chi-square statistic of a 2 × k table is split into two parts that are independent of each other when
nothing has changed: the *trend* (1 degree of freedom: the mean rank, as in the Mann–Whitney test over grouped
values), which has the power for a shift, and the *rest* (k - 2), which sees any other change of shape. The
smaller of both p-values, corrected for having looked twice, is the test's. Cells without an order have no
trend. The reference is a sample too, and is treated as one.

Small windows and sparse cells get the permutation distribution of the same statistic: given the cells'
totals, all ways of choosing the window's rows are equally likely (multivariate hypergeometric). With two
cells it is known exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Method = Literal["analytic", "exact", "permutation"]

FEWEST_ROWS: Final = 100
"""Window below which the permutation distribution is used."""
FEWEST_EXPECTED: Final = 5.0
"""Expected rows per cell and sample below which it is used too (Cochran's rule)."""
PERMUTATIONS: Final = (4_999, 29_999)
"""How many are drawn: the second number where the first says that the p-value is small."""
SMALL: Final = 0.005
"""The p-value below which more permutations are drawn."""
TOLERANCE: Final = 1e-9
"""Relative difference below which two statistics are the same one, computed in another order."""


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely such counts are without a change."""

    p_value: float
    method: Method


def chance(reference: Sequence[int], window: Sequence[int], *, ordered: int = 0) -> Chance:
    """Return the p-value of the counts of `window` against those of `reference`, cell by cell.

    The first `ordered` cells have an order (bins); the others have none (levels, missing, unseen). A side
    without rows, or rows in a single cell, gives 1. The same counts always give the same p-value.
    """
    counts = np.array([reference, window], dtype=np.int64)
    kept = counts.sum(axis=0) > 0
    counts = counts[:, kept]
    rows = counts.sum(axis=1)
    if counts.shape[1] < 2 or not rows.all():
        return Chance(1.0, "exact")
    table = _Table(counts.sum(axis=0), int(rows[1]), int(kept[:ordered].sum()))
    if rows.min() >= FEWEST_ROWS and table.least_expected >= FEWEST_EXPECTED:
        return Chance(float(table.p_values(counts[1:])[0]), "analytic")
    if counts.shape[1] == 2:
        return Chance(table.exact(counts[1]), "exact")
    return Chance(table.permuted(counts), "permutation")


class _Table:
    """The totals of both samples together, which a permutation leaves as they are."""

    def __init__(self, pooled: npt.NDArray[np.int64], window_rows: int, ordered: int) -> None:
        self._pooled = pooled.astype(np.float64)
        self._total = int(pooled.sum())
        self._rows = window_rows
        self._expected = self._pooled * window_rows / self._total
        self._scores = self._mean_ranks(ordered)

    @property
    def least_expected(self) -> float:
        """Smallest expected count of either sample."""
        share = self._rows / self._total
        return float(self._pooled.min() * min(share, 1 - share))

    def _mean_ranks(self, ordered: int) -> FloatArray:
        """Return the centred mean rank of each ordered cell, 0 for the others."""
        scores = np.zeros(len(self._pooled))
        if ordered > 1:
            part = self._pooled[:ordered]
            ranks = np.cumsum(part) - part / 2
            scores[:ordered] = ranks - (ranks * part).sum() / part.sum()
        return scores

    def p_values(self, windows: npt.NDArray[np.int64]) -> FloatArray:
        """Return the approximate p-value of each row of `windows` (n, cells), counts with these totals."""
        from scipy.special import chdtrc

        away = windows - self._expected
        total, rows, cells = self._total, self._rows, len(self._pooled)
        variance = rows * (total - rows) / (total * (total - 1))
        whole = (away**2 / self._pooled).sum(axis=1) / variance
        spread = (self._pooled * self._scores**2).sum()
        if spread == 0 or cells == 2:
            return _floats(chdtrc(cells - 1, whole))
        trend = (away @ self._scores) ** 2 / (variance * spread)
        rest = np.maximum(whole - trend, 0)
        smaller = np.minimum(chdtrc(1, trend), chdtrc(cells - 2, rest))
        return _floats(-np.expm1(2 * np.log1p(-np.minimum(smaller, 1 - 1e-16))))

    def exact(self, window: npt.NDArray[np.int64]) -> float:
        """Return the chance of a count as far from the expected one, over the hypergeometric distribution."""
        from scipy.stats import hypergeom

        low = max(0, self._rows - (self._total - int(self._pooled[0])))
        support = np.arange(low, min(self._rows, int(self._pooled[0])) + 1)
        likely = hypergeom.pmf(support, self._total, int(self._pooled[0]), self._rows)
        far = np.abs(support - self._expected[0])
        as_far = far >= abs(window[0] - self._expected[0]) * (1 - TOLERANCE)
        return float(min(1.0, likely[as_far].sum()))

    def permuted(self, counts: npt.NDArray[np.int64]) -> float:
        """Return the share of permutations as unlikely as `counts` (2, cells), itself among them."""
        observed = float(self.p_values(counts[1:])[0])
        generator = np.random.default_rng(counts.ravel().tolist())
        found = 1.0
        for draws in PERMUTATIONS:
            windows = generator.multivariate_hypergeometric(
                self._pooled.astype(np.int64), self._rows, size=draws, method="marginals"
            )
            as_unlikely = int((self.p_values(windows) <= observed * (1 + TOLERANCE)).sum())
            found = (1 + as_unlikely) / (1 + draws)
            if found > SMALL:
                break
        return found


def _floats(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def shared_chances(p_values: Sequence[float]) -> list[float]:
    """Return Benjamini and Hochberg's adjusted p-values: at most x of those below x are false, on average."""
    from scipy.stats import false_discovery_control

    return [float(value) for value in false_discovery_control(p_values)] if p_values else []

"""Confidence intervals of proportions, and of the difference of two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; both ends belong to it."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Proportion:
    """So many of so many."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.part / self.whole if self.whole else None

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Return the score interval (Wilson, "Probable inference", 1927); all of [0, 1] of nothing."""
        if not self.whole:
            return Interval(0.0, 1.0)
        z, n, share = two_sided(confidence), self.whole, self.part / self.whole
        middle = share + z * z / (2 * n)
        reach = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
        scale = 1 + z * z / n
        return Interval(max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale))


def difference(one: Proportion, other: Proportion, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of `one` − `other`, of independent samples; all of [-1, 1] where one is of nothing.

    Source: Newcombe, "Interval estimation for the difference between independent proportions" (1998),
    method 10, from the score intervals of both.
    """
    if one.value is None or other.value is None:
        return Interval(-1.0, 1.0)
    first, second = one.interval(confidence), other.interval(confidence)
    middle = one.value - other.value
    return Interval(
        middle - math.hypot(one.value - first.low, second.high - other.value),
        middle + math.hypot(first.high - one.value, other.value - second.low),
    )


def two_sided(confidence: float) -> float:
    """Return how many standard deviations around the mean hold that part of a normal distribution."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)

"""Partial results of aggregations, which can be added up over generations and indices."""

from __future__ import annotations

from dataclasses import dataclass, field

Key = int | float | str


@dataclass(slots=True)
class Moments:
    """Count, sum and extremes of values; the extremes are None while there is no value."""

    count: int = 0
    total: float = 0.0
    least: float | None = None
    greatest: float | None = None

    def add(self, other: Partial) -> None:
        """Take the other's values in."""
        if not isinstance(other, Moments):
            raise TypeError(other)
        self.count += other.count
        self.total += other.total
        bounds = [bound for bound in (self.least, other.least) if bound is not None]
        self.least = min(bounds, default=None)
        bounds = [bound for bound in (self.greatest, other.greatest) if bound is not None]
        self.greatest = max(bounds, default=None)


@dataclass(slots=True)
class Values:
    """Each distinct value with how often it occurs."""

    counts: dict[Key, int] = field(default_factory=dict)

    def add(self, other: Partial) -> None:
        """Take the other's values in."""
        if not isinstance(other, Values):
            raise TypeError(other)
        for value, times in other.counts.items():
            self.counts[value] = self.counts.get(value, 0) + times


@dataclass(slots=True)
class Bucket:
    """How many documents a bucket has, and its sub-aggregations by name."""

    count: int = 0
    subs: dict[str, Partial] = field(default_factory=dict)

    def add(self, other: Bucket) -> None:
        """Take the other's documents in."""
        self.count += other.count
        add_all(self.subs, other.subs)


@dataclass(slots=True)
class Buckets:
    """The buckets of a grouping by key."""

    by_key: dict[Key, Bucket] = field(default_factory=dict)

    def add(self, other: Partial) -> None:
        """Take the other's buckets in."""
        if not isinstance(other, Buckets):
            raise TypeError(other)
        for key, bucket in other.by_key.items():
            self.by_key.setdefault(key, Bucket()).add(bucket)


Partial = Moments | Values | Buckets


def add_all(held: dict[str, Partial], more: dict[str, Partial]) -> None:
    """Add results to those held under the same names."""
    for name, partial in more.items():
        if name in held:
            held[name].add(partial)
        else:
            held[name] = partial

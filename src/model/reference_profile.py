"""The reference profile, which drift is measured against: frozen bins of each input, predicted shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from vigie.model.dataset import Dataset
from vigie.model.feature_engineering import FloatArray
from vigie.model.package import Recorded
from vigie.schema import Feature, FeatureSchema, Value

QUANTILE_BINS = 10
"""Bins of a numeric feature, at most: deciles, as is usual for the population stability index."""


class FeatureProfile(Recorded):
    """Distribution of one input over the reference rows."""

    kind: Literal["bins", "levels"]
    edges: tuple[float, ...] = ()
    """For bins, the inner edges: bin i holds the values above edge i-1 and up to edge i."""
    levels: tuple[Value, ...] = ()
    """For levels, the values themselves."""
    counts: tuple[int, ...]
    """Rows per bin or level."""
    missing: int
    """Rows without a value."""
    unseen: int
    """Rows with a value that is none of the levels."""

    def count(self, values: Sequence[Value | None]) -> FeatureProfile:
        """Return the profile of other `values` over the same frozen bins or levels."""
        present = [value for value in values if value is not None]
        missing = len(values) - len(present)
        if self.kind == "bins":
            bins = np.searchsorted(self.edges, np.array(present, dtype=np.float64))
            counted = np.bincount(bins, minlength=len(self.edges) + 1).tolist()
            return self.model_copy(update={"counts": tuple(counted), "missing": missing, "unseen": 0})
        counts = tuple(present.count(level) for level in self.levels)
        unseen = len(present) - sum(counts)
        return self.model_copy(update={"counts": counts, "missing": missing, "unseen": unseen})


class ReferenceProfile(Recorded):
    """What `reference.json` holds, over the training rows."""

    rows: int
    features: dict[str, FeatureProfile]
    predicted: dict[str, int]
    """Rows per label given by the served model."""
    observed: dict[str, int]
    """Rows per true label."""


def profile(training: Dataset, probabilities: FloatArray, schema: FeatureSchema) -> ReferenceProfile:
    """Return the profile of the `training` rows and of their predicted `probabilities` (n, classes)."""
    predicted = np.bincount(probabilities.argmax(axis=1), minlength=len(schema.target.classes))
    return ReferenceProfile(
        rows=len(training),
        features={
            feature.name: _feature_profile(feature, [record[feature.name] for record in training.records])
            for feature in schema.features
        },
        predicted=dict(zip(schema.target.classes, predicted.tolist(), strict=True)),
        observed=training.counts(schema),
    )


def _feature_profile(feature: Feature, values: Sequence[Value]) -> FeatureProfile:
    empty = FeatureProfile(kind="levels", counts=(), missing=0, unseen=0)
    match feature.type:
        case "binary":
            frozen = empty.model_copy(update={"levels": (0, 1)})
        case "category":
            frozen = empty.model_copy(update={"levels": feature.categories})
        case _:
            frozen = empty.model_copy(update={"kind": "bins", "edges": _quantile_edges(values)})
    return frozen.count(values)


def _quantile_edges(values: Sequence[Value]) -> tuple[float, ...]:
    shares = np.arange(1, QUANTILE_BINS) / QUANTILE_BINS
    edges = np.quantile(np.array(values, dtype=np.float64), shares, method="inverted_cdf")
    return tuple(float(edge) for edge in np.unique(edges))

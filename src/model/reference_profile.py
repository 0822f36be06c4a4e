"""The reference profile, which drift is measured against: frozen bins of each input and of the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from vigie.model.dataset import Dataset
from vigie.model.decision import given_positions
from vigie.model.feature_engineering import FloatArray
from vigie.model.package import REFERENCE, TRAIN_AGAIN, PackageError, Recorded
from vigie.schema import Feature, FeatureSchema, Target, Value

QUANTILE_BINS = 10
"""Bins of a numeric feature, about: deciles, as is usual for the population stability index."""


class Profile(Recorded):
    """Distribution of one input, or of the prediction, over some rows."""

    kind: Literal["bins", "levels"]
    edges: tuple[float, ...] = ()
    """For bins, the inner edges: bin i holds the values from edge i-1 on and below edge i."""
    levels: tuple[Value, ...] = ()
    """For levels, the values themselves."""
    counts: tuple[int, ...]
    """Rows per bin or level."""
    missing: int = 0
    """Rows without a value."""
    unseen: int = 0
    """Rows with a value that is none of the levels."""
    mean: float | None = None
    """Mean of the values, for bins; None when there is none."""

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(self.counts) + self.missing + self.unseen

    @property
    def cells(self) -> tuple[int, ...]:
        """Counts of all bins or levels, then missing and unseen: everything a test compares."""
        return (*self.counts, self.missing, self.unseen)

    def count(self, values: Sequence[Value | None]) -> Profile:
        """Return the profile of other `values` over the same frozen bins or levels."""
        present = [value for value in values if value is not None]
        missing = len(values) - len(present)
        if self.kind == "bins":
            numbers = np.array(present, dtype=np.float64)
            bins = np.searchsorted(self.edges, numbers, side="right")
            counted = np.bincount(bins, minlength=len(self.edges) + 1).tolist()
            mean = float(numbers.mean()) if present else None
            return self.with_counts(counted, missing=missing, mean=mean)
        counts = [present.count(level) for level in self.levels]
        return self.with_counts(counts, missing=missing, unseen=len(present) - sum(counts))

    def with_counts(
        self, counts: Sequence[int], *, missing: int = 0, unseen: int = 0, mean: float | None = None
    ) -> Profile:
        """Return the profile of other rows that were counted over the same bins or levels."""
        found = {"counts": tuple(counts), "missing": missing, "unseen": unseen, "mean": mean}
        return self.model_copy(update=found)


class PredictionProfile(Recorded):
    """What the served model answered to the held-out rows, which it was not fitted on.

    A model is surer of the rows it learnt: against these, any new data would seem to have drifted.
    """

    rows: int
    labels: Profile
    """Rows per label given."""
    probability: Profile | None
    """P(positive class), in bins; None with more than two classes, where an answer names another one's."""


class ReferenceProfile(Recorded):
    """What `reference.json` holds: the training rows' inputs, the answers to the held-out ones."""

    rows: int
    features: dict[str, Profile]
    prediction: PredictionProfile
    observed: dict[str, int]
    """Training rows per true label."""


def profile(training: Dataset, held_out: FloatArray, schema: FeatureSchema) -> ReferenceProfile:
    """Return the profile of the `training` rows and of the probabilities (n, classes) of the `held_out`."""
    return ReferenceProfile(
        rows=len(training),
        features={
            feature.name: _feature_profile(feature, [record[feature.name] for record in training.records])
            for feature in schema.features
        },
        prediction=_prediction_profile(held_out, schema.target),
        observed=training.counts(schema),
    )


def read_reference(package: Path) -> ReferenceProfile:
    """Return the reference profile of the package folder. Raises PackageError when it has none to read."""
    file = package / REFERENCE
    try:
        return ReferenceProfile.model_validate_json(file.read_bytes())
    except OSError as error:
        raise PackageError(f"{file}: cannot be read ({error.strerror}); {TRAIN_AGAIN}") from error
    except ValidationError as error:
        raise PackageError(
            f"{file}: not a reference profile of this version ({error.error_count()} faults); {TRAIN_AGAIN}"
        ) from error


def quantile_edges(values: Sequence[Value]) -> tuple[float, ...]:
    """Return the inner edges that cut `values` into about ten parts of equal size.

    A bin ends behind the value that completes its tenth, so equal values share a bin; a value that is more
    than a tenth of all by itself has a bin of its own.
    """
    numbers = np.array(values, dtype=np.float64)
    distinct = np.unique(numbers)
    shares = np.arange(1, QUANTILE_BINS) / QUANTILE_BINS
    quantiles = np.quantile(numbers, shares, method="inverted_cdf")
    frequent = quantiles[1:][quantiles[1:] == quantiles[:-1]]
    behind = np.searchsorted(distinct, quantiles, side="right")
    edges = np.unique(np.concatenate((frequent, distinct[behind[behind < len(distinct)]])))
    return tuple(float(edge) for edge in edges if edge > distinct[0])


def _feature_profile(feature: Feature, values: Sequence[Value]) -> Profile:
    match feature.type:
        case "binary":
            frozen = Profile(kind="levels", levels=(0, 1), counts=())
        case "category":
            frozen = Profile(kind="levels", levels=feature.categories, counts=())
        case _:
            frozen = Profile(kind="bins", edges=quantile_edges(values), counts=())
    return frozen.count(values)


def _prediction_profile(probabilities: FloatArray, target: Target) -> PredictionProfile:
    classes = target.classes
    given = [classes[position] for position in given_positions(probabilities, target.threshold)]
    probability = None
    if len(classes) == 2:
        positive: list[Value] = probabilities[:, 1].astype(np.float64).tolist()
        probability = Profile(kind="bins", edges=quantile_edges(positive), counts=()).count(positive)
    labels = Profile(kind="levels", levels=tuple(classes), counts=()).count(given)
    return PredictionProfile(rows=len(given), labels=labels, probability=probability)

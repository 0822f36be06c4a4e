"""Rows in memory, counted over the reference's frozen bins and levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vigie.drift.judgement import Counted
from vigie.model.reference_profile import ReferenceProfile
from vigie.schema import Value


def counted(
    reference: ReferenceProfile,
    records: Sequence[Mapping[str, Value]],
    labels: Sequence[str],
    probabilities: Sequence[float],
) -> Counted:
    """Return the counts of `records` and of what was answered: a label and P(positive class) for each.

    A feature that a record lacks is counted as missing.
    """
    answers = reference.prediction
    return Counted(
        rows=len(records),
        features={
            name: profile.count([record.get(name) for record in records])
            for name, profile in reference.features.items()
        },
        labels=answers.labels.count(labels),
        probability=None if answers.probability is None else answers.probability.count(probabilities),
    )

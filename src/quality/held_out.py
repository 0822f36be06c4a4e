"""The held-out rows of training, scored by the package's own model: what its probabilities are worth."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from vigie.model.held_out_rows import held_out_records
from vigie.model.model_loader import load_model
from vigie.model.package import HOLDOUT
from vigie.model.reference_profile import quantile_edges
from vigie.quality.calibration import Bins, binned
from vigie.schema import FeatureSchema


def held_out_scores(package: Path, schema: FeatureSchema) -> Bins:
    """Return the held-out rows by score, in about ten bins of equal size; a threshold is an edge.

    Raises PackageError when the package cannot be loaded.
    """
    model = load_model(package)
    file = package / HOLDOUT
    probabilities = model.predict_proba(model.features(list(held_out_records(file, schema)))).astype(
        np.float64
    )
    with file.open(encoding="utf-8", newline="") as stream:
        labels = [row[schema.target.name] for row in csv.DictReader(stream)]
    truth = np.array([schema.target.classes.index(label) for label in labels])
    if probabilities.shape[1] == 2:
        scores, hits = probabilities[:, 1], truth == 1
        edges = {*quantile_edges(scores.tolist()), schema.target.threshold}
    else:
        scores, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
        edges = set(quantile_edges(scores.tolist()))
    return binned(sorted(edges), scores, hits.astype(np.float64))

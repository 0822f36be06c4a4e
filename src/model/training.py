"""Training: from a schema's data, or a file of one's own, to a model package."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from vigie.errors import VigieError
from vigie.model.dataset import Dataset, declared_dataset
from vigie.model.export import export
from vigie.model.feature_matrix import FeatureMatrix
from vigie.model.package import Manifest
from vigie.model.survey import read_survey
from vigie.schema import FeatureSchema, load_schema

HELD_OUT_SHARE = 0.2
SPLIT_SEED = 42
MINIMUM_PER_CLASS = 5
"""Rows per class below which a stratified 20 % holds none of it."""
MAX_ITERATIONS = 1000


class TrainingError(VigieError):
    """The data is not enough to train on."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a training did."""

    out_dir: Path
    manifest: Manifest
    notices: tuple[str, ...]
    """What the reader of the data reported, such as dropped duplicates."""

    def __str__(self) -> str:
        """Say in a few lines where the package is and how good the model is on the held-out rows."""
        data, metrics = self.manifest.training_data, self.manifest.metrics
        result = (
            f"{self.out_dir}: {data.source}, {data.rows:,} rows; on the {metrics.rows:,} held out "
            f"{metrics.correct:,} answers are correct ({metrics.accuracy:.1%}), always the most frequent "
            f"class would be {metrics.majority_accuracy:.1%}"
        )
        return "\n".join((*self.notices, result))


def train(
    schema_dir: Path, out_dir: Path, data: Path | None = None, created_at: datetime | None = None
) -> Report:
    """Train the model of `schema_dir` and write its package to `out_dir`, which may be the same folder.

    `data` is a CSV of the user's own; without it the schema's simulated cohort or known data set is used.
    The same data gives the same model, metrics and held-out rows.

    Raises SchemaError, SurveyError, DatasetError or TrainingError when schema or data do not fit.
    """
    schema = load_schema(schema_dir)
    dataset = declared_dataset(schema) if data is None else read_survey(data, schema)
    training, held_out = split(dataset, schema)
    estimator = fit(training, schema)
    manifest = export(estimator, schema_dir, out_dir, training, held_out, created_at)
    return Report(out_dir, manifest, dataset.notices)


def split(dataset: Dataset, schema: FeatureSchema) -> tuple[Dataset, Dataset]:
    """Return (training, held-out) parts, 80 to 20, with the same share of each class in both.

    Raises TrainingError when a class has fewer than MINIMUM_PER_CLASS rows.
    """
    for label, rows in dataset.counts(schema).items():
        if rows < MINIMUM_PER_CLASS:
            raise TrainingError(
                f"{dataset.source}: {rows} rows of {schema.target.name} {label}; training needs at least "
                f"{MINIMUM_PER_CLASS} of each class"
            )
    training, held_out = train_test_split(
        np.arange(len(dataset)),
        test_size=HELD_OUT_SHARE,
        stratify=dataset.positions(schema),
        random_state=SPLIT_SEED,
    )
    return dataset.take(training), dataset.take(held_out)


def fit(training: Dataset, schema: FeatureSchema) -> Any:
    """Return a pipeline of scaler and logistic regression fitted on `training`.

    Categories, which the matrix holds as positions, are one-hot encoded.
    """
    features = FeatureMatrix(schema)
    pipeline = make_pipeline(
        _preparation(schema, len(features.columns)), LogisticRegression(max_iter=MAX_ITERATIONS)
    )
    return pipeline.fit(features(training.records), training.positions(schema))


def _preparation(schema: FeatureSchema, columns: int) -> Any:
    categories = {
        column: np.arange(len(feature.categories), dtype=np.float64)
        for column, feature in enumerate(schema.features)
        if feature.categories
    }
    if not categories:
        return StandardScaler()
    numeric = [column for column in range(columns) if column not in categories]
    encoder = OneHotEncoder(categories=list(categories.values()))
    return ColumnTransformer([("number", StandardScaler(), numeric), ("category", encoder, list(categories))])

"""Loads a model package for serving."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vigie.model.explanation import background_rows
from vigie.model.feature_engineering import FloatArray
from vigie.model.feature_matrix import FeatureMatrix, Record
from vigie.model.golden import GoldenRows, read_golden
from vigie.model.package import (
    ESTIMATOR,
    GOLDEN,
    HOLDOUT,
    ONNX,
    SCHEMA,
    TRAIN_AGAIN,
    Manifest,
    PackageError,
    read_manifest,
    verify,
)
from vigie.model.runtime import OnnxRuntime, Runtime, SklearnRuntime, load_estimator
from vigie.schema import FeatureSchema

WARM_UP_CALLS = 20
MEASURED_CALLS = 50


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to answer; made by `load_model`."""

    schema: FeatureSchema
    manifest: Manifest
    runtime: Runtime
    golden: GoldenRows
    features: FeatureMatrix
    """Turns n valid records into a matrix (n, columns) of float64, inputs then derived features."""
    row_cost_ms: float
    """CPU time of features and probabilities for one row, measured at load."""
    background: FloatArray
    """Held-out rows that an answer is compared with to explain it: shape (rows, inputs)."""

    @property
    def version(self) -> str:
        """The model's version."""
        return self.manifest.version

    @property
    def runtime_name(self) -> Literal["onnx", "sklearn"]:
        """Which runtime answers."""
        return self.runtime.name

    @property
    def runtime_reason(self) -> str:
        """Why that runtime answers."""
        return self.manifest.runtime.reason

    def predict_proba(self, matrix: FloatArray) -> FloatArray:
        """Return P(class) for each row of `matrix` (n, columns): shape (n, classes), rows sum to 1."""
        return self.runtime.predict_proba(matrix)

    def golden_ok(self) -> bool:
        """Whether the golden rows still get the answers they had when the model was trained."""
        answer = self.predict_proba(self.features(self.golden.records))
        return self.golden.agree(answer, self.schema.target.threshold)


def load_model(path: Path) -> LoadedModel:
    """Load the package folder `path`: verified, golden rows checked, warmed up and measured.

    Raises PackageError (or SchemaError) in one line when the package is not trained, was changed, was
    written with another scikit-learn or skops, or does not answer its golden rows as it did.
    """
    manifest = read_manifest(path)
    schema = verify(path, manifest)
    features = FeatureMatrix(schema)
    if features.columns != manifest.columns:
        raise PackageError(
            f"{path / SCHEMA}: gives the columns {', '.join(features.columns)}, the model was trained on "
            f"{', '.join(manifest.columns)}; {TRAIN_AGAIN}"
        )
    runtime = _open_runtime(path, manifest)
    golden = read_golden(path / GOLDEN)
    if not golden.agree(runtime.predict_proba(features(golden.records)), schema.target.threshold):
        raise PackageError(
            f"{path / GOLDEN}: the {runtime.name} runtime answers the golden rows otherwise than when the "
            f"model was trained; {TRAIN_AGAIN}"
        )
    cost = _row_cost_ms(features, runtime, golden.records)
    background = background_rows(path / HOLDOUT, schema)
    return LoadedModel(schema, manifest, runtime, golden, features, cost, background)


def _open_runtime(path: Path, manifest: Manifest) -> Runtime:
    if manifest.runtime.name == "onnx":
        try:
            return OnnxRuntime((path / ONNX).read_bytes())
        except Exception as error:  # ONNX Runtime's errors have no root of their own
            raise PackageError(f"{path / ONNX}: cannot be loaded ({error}); {TRAIN_AGAIN}") from error
    return SklearnRuntime(load_estimator(path / ESTIMATOR))


def _row_cost_ms(features: FeatureMatrix, runtime: Runtime, records: Sequence[Record]) -> float:
    """Warm up, then return the median CPU time of one row.

    Not its wall time: a model is also loaded beside one that serves, and then waits for its turn.
    """
    row = records[:1]
    costs = []
    for _ in range(WARM_UP_CALLS + MEASURED_CALLS):
        started = time.thread_time_ns()
        runtime.predict_proba(features(row))
        costs.append((time.thread_time_ns() - started) / 1e6)
    return statistics.median(costs[WARM_UP_CALLS:])

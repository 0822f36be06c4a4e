"""Golden rows: records with the probabilities that the trained estimator gave them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from vigie.model.decision import EVEN_THRESHOLD, given_positions
from vigie.model.feature_engineering import FloatArray
from vigie.model.feature_matrix import FeatureMatrix, Record
from vigie.model.package import MAX_DIFFERENCE, TRAIN_AGAIN, PackageError
from vigie.schema import FeatureSchema, Value

SPREAD_ROWS = 16
"""Golden rows spread over the probabilities; the schema's example and its two extremes join them."""


@dataclass(frozen=True, slots=True)
class GoldenRows:
    """What a healthy model answers."""

    records: list[Record]
    probabilities: FloatArray
    """Shape (n, classes), of the estimator in float64."""

    def agree(self, answer: FloatArray, threshold: float = EVEN_THRESHOLD) -> bool:
        """Whether `answer`, of shape (n, classes), gives the same labels within MAX_DIFFERENCE."""
        if answer.shape != self.probabilities.shape:
            return False
        labels, expected = (given_positions(each, threshold) for each in (answer, self.probabilities))
        difference = np.abs(answer - self.probabilities).max()
        return bool((labels == expected).all()) and bool(difference <= MAX_DIFFERENCE)

    def to_json(self) -> bytes:
        """Return the content of `golden.json`; floats keep their full precision."""
        content = {"records": self.records, "probabilities": self.probabilities.tolist()}
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def choose_golden(
    records: Sequence[Record], features: FeatureMatrix, predict_proba: Callable[[FloatArray], FloatArray]
) -> GoldenRows:
    """Return golden rows from `records`, spread evenly over the order of their last class's probability."""
    order = np.argsort(predict_proba(features(records))[:, -1], kind="stable")
    spread = np.linspace(0, len(records) - 1, min(SPREAD_ROWS, len(records))).astype(np.int64)
    chosen = [*(records[i] for i in order[spread]), features.schema.example(), *_extremes(features.schema)]
    return GoldenRows(chosen, predict_proba(features(chosen)))


def _extremes(schema: FeatureSchema) -> list[Record]:
    """Return the records of all smallest and of all largest values (first and last categories)."""
    extremes: list[Record] = []
    for end in (0, -1):
        record: dict[str, Value] = {}
        for feature in schema.features:
            bound = feature.bounds[end] or 0
            number: Value = float(bound) if feature.type == "number" else int(bound)
            record[feature.name] = feature.categories[end] if feature.categories else number
        extremes.append(record)
    return extremes


def read_golden(file: Path) -> GoldenRows:
    """Return the golden rows of `file`.

    Raises PackageError when it does not hold any.
    """
    try:
        content = orjson.loads(file.read_bytes())
        return GoldenRows(content["records"], np.array(content["probabilities"], dtype=np.float64))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackageError(f"{file}: holds no golden rows ({error}); {TRAIN_AGAIN}") from error

"""What moved one answer: the contribution of each input to the probability, by sampled Shapley values.

An answer is compared with rows that the model was not fitted on. From each of them a path leads to the
record, on which one input after the other takes the record's value; what the probability changes by at an
input's step is credited to that input. An input's contribution is the mean over many rows and orders, which
estimates its interventional Shapley value. Derived features are computed anew at each step, so that what
they do is credited to the inputs they come from, and any estimator is explained in the same way. The steps of
a path add up, hence so do the contributions: to the probability minus the mean probability of the rows.

Source: Štrumbelj, Kononenko, "Explaining prediction models and individual predictions with feature
contributions" (2014); each order is walked in its reverse too, which lowers the variance (Mitchell, Cooper,
Frank, Holmes, "Sampling permutations for Shapley value estimation", 2022).

The rows are held-out ones, not draws from the reference profile: that knows each input alone, and draws from
it would be combinations of values that no record has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from vigie.model.decision import given_positions
from vigie.model.feature_engineering import FloatArray
from vigie.model.feature_matrix import FeatureMatrix
from vigie.model.held_out_rows import held_out_records
from vigie.schema import FeatureSchema, Value

METHOD: Final = "interventional Shapley values, sampled over permutations (Štrumbelj & Kononenko, 2014)"
SEED: Final = 2014
"""The same record of the same model has the same explanation."""
MOST_ROWS: Final = 1024
"""Rows that an answer is compared with, at most."""
ROWS_READ: Final = 50_000
"""Held-out rows that are read to choose from."""
ROWS_AT_ONCE: Final = 32
"""Rows compared in one call of the model; between calls, other threads get their turn."""
MOST_SECONDS: Final = 1.0
"""After this a costly model is explained by the rows compared so far."""

IntArray = npt.NDArray[np.int64]


class Explainable(Protocol):
    """What an explanation needs of a model; `LoadedModel` is one."""

    @property
    def schema(self) -> FeatureSchema:
        """The model's declaration."""

    @property
    def features(self) -> FeatureMatrix:
        """What makes the model's columns."""

    @property
    def background(self) -> FloatArray:
        """The rows to compare with, shape (rows, inputs)."""

    def predict_proba(self, matrix: FloatArray, /) -> FloatArray:
        """Return P(class), shape (n, classes)."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one input did to the probability."""

    feature: str
    value: Value
    effect: float
    """Change of the probability, -1 to 1."""
    standard_error: float
    """Of the effect: how far another sample of rows and orders would lead elsewhere."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What moved one answer; `baseline` and the effects add up to `probability`."""

    label: str
    """The class whose probability it is: of two the positive one, of more the one given."""
    probability: float
    baseline: float
    """Mean probability of that class over the rows compared with."""
    contributions: tuple[Contribution, ...]
    """One per input, the largest effect first."""
    rows: int
    """Rows compared with."""


class StoppedError(Exception):
    """Nobody waits for the explanation any more."""


def background_rows(file: Path, schema: FeatureSchema) -> FloatArray:
    """Return rows of a package's holdout.csv, chosen by a fixed seed: shape (up to MOST_ROWS, inputs)."""
    records = list(islice(held_out_records(file, schema), ROWS_READ))
    chance = np.random.default_rng(SEED)
    chosen = chance.choice(len(records), min(MOST_ROWS, len(records)), replace=False)
    return np.array(schema.encode([records[position] for position in chosen]), dtype=np.float64)


def explain(
    model: Explainable,
    record: Mapping[str, Value],
    *,
    stopped: Callable[[], bool] = lambda: False,
    seconds: float = MOST_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Explanation:
    """Return what moved the answer to a valid `record`.

    Rows are compared for at most `seconds` by `clock`, but some always. Raises StoppedError once `stopped`.
    """
    schema, background = model.schema, model.background
    paths = _Paths(model, record)
    chance, until = np.random.default_rng(SEED), clock() + seconds
    baselines: list[FloatArray] = []
    effects: list[FloatArray] = []
    for start in range(0, len(background), ROWS_AT_ONCE):
        if stopped():
            raise StoppedError
        if effects and clock() >= until:
            break
        rows = background[start : start + ROWS_AT_ONCE]
        baseline, effect = paths.from_rows(rows, chance)
        baselines.append(baseline)
        effects.append(effect)
    per_row = np.concatenate(effects)
    compared = len(per_row)
    means = per_row.mean(axis=0)
    errors = per_row.std(axis=0, ddof=1) / np.sqrt(compared) if compared > 1 else np.zeros(len(means))
    order = np.argsort(-np.abs(means), kind="stable")
    names = schema.names
    return Explanation(
        label=schema.target.classes[paths.position],
        probability=paths.probability,
        baseline=float(np.concatenate(baselines).mean()),
        contributions=tuple(
            Contribution(names[i], record[names[i]], float(means[i]), float(errors[i])) for i in order
        ),
        rows=compared,
    )


class _Paths:
    """The ways from other rows to one record, and what the model says on them."""

    def __init__(self, model: Explainable, record: Mapping[str, Value]) -> None:
        self._model = model
        self._record = np.array(model.schema.encode([record]), dtype=np.float64)
        answer = model.predict_proba(self._columns(self._record))
        two = answer.shape[1] == 2
        self.position = 1 if two else int(given_positions(answer)[0])
        self.probability = float(answer[0, self.position])

    def from_rows(self, rows: FloatArray, chance: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Return the probability of each of the `rows` (n, inputs), and each input's effect from there.

        Shapes (n,) and (n, inputs); an effect is the mean over a random order of the inputs and its reverse.
        """
        count, inputs = rows.shape
        order = chance.permuted(np.tile(np.arange(inputs), (count, 1)), axis=1)
        step = np.concatenate((order, inputs - 1 - order))
        both = np.concatenate((rows, rows))
        values = np.empty((2 * count, inputs + 1))
        start = self._probabilities(rows)
        values[:, 0], values[:, inputs] = np.concatenate((start, start)), self.probability
        if inputs > 1:
            taken = step[:, None, :] < np.arange(1, inputs)[:, None]
            between = np.where(taken, self._record, both[:, None, :])
            values[:, 1:inputs] = self._probabilities(between.reshape(-1, inputs)).reshape(2 * count, -1)
        changes = np.take_along_axis(np.diff(values, axis=1), step, axis=1)
        return start, changes.reshape(2, count, inputs).mean(axis=0)

    def _probabilities(self, rows: FloatArray) -> FloatArray:
        found: FloatArray = self._model.predict_proba(self._columns(rows))[:, self.position]
        return found

    def _columns(self, rows: FloatArray) -> FloatArray:
        return self._model.features.complete(np.ascontiguousarray(rows.T))

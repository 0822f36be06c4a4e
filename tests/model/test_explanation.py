"""What moved an answer: contributions that are Shapley values and add up."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.model.schemas import mixed_schema

from vigie.model import explanation
from vigie.model.explanation import Explanation, StoppedError, background_rows, explain
from vigie.model.feature_engineering import FloatArray
from vigie.model.feature_matrix import FeatureMatrix
from vigie.model.held_out_rows import held_out_records
from vigie.model.model_loader import LoadedModel, load_model
from vigie.schema import FeatureSchema, Value

RECORD: Mapping[str, Value] = {"PLAN": "Pro", "monthly_spend": 120.0, "YEARS": 3, "ONLINE": 1, "GENDER": 0}


@dataclass
class Made:
    """A model whose probabilities are a function of the columns."""

    schema: FeatureSchema
    features: FeatureMatrix
    background: FloatArray
    answer: Callable[[FloatArray], FloatArray]
    calls: int = 0

    def predict_proba(self, matrix: FloatArray) -> FloatArray:
        """P(class), shape (n, classes)."""
        self.calls += 1
        return self.answer(matrix)


def made(folder: Path, answer: Callable[[FloatArray], FloatArray], rows: int = 40, **changes: object) -> Made:
    """A model of the mixed schema, compared with `rows` made-up rows."""
    schema = mixed_schema(folder, **changes)
    chance = np.random.default_rng(5)
    highest = [2, 500, 40, 1, 1]
    background = np.column_stack([chance.integers(0, high + 1, rows) for high in highest]).astype(float)
    return Made(schema, FeatureMatrix(schema), background, answer)


def two_classes(positive: FloatArray) -> FloatArray:
    """Probabilities of both classes."""
    return np.column_stack([1 - positive, positive])


def by_feature(found: Explanation) -> dict[str, float]:
    """The effects by their input."""
    return {one.feature: one.effect for one in found.contributions}


def shapley_values(model: Made, record: Mapping[str, Value]) -> dict[str, float]:
    """Every input's interventional Shapley value by its definition: all subsets, all rows."""
    names, background = model.schema.names, model.background
    own = np.array(model.schema.encode([record]))[0]

    def worth(subset: frozenset[int]) -> float:
        rows = background.copy()
        rows[:, sorted(subset)] = own[sorted(subset)]
        matrix = model.features.complete(np.ascontiguousarray(rows.T))
        return float(model.answer(matrix)[:, 1].mean())

    values = {}
    count = len(names)
    for i, name in enumerate(names):
        others = [j for j in range(count) if j != i]
        values[name] = sum(
            math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            * (worth(frozenset({*subset, i})) - worth(frozenset(subset)))
            for size in range(count)
            for subset in itertools.combinations(others, size)
        )  # fmt: skip
    return values


def test_effects_of_an_additive_model_are_exact(tmp_path: Path) -> None:
    """Where inputs do not interact, an effect is the weight times the distance from the rows' mean."""
    weights = np.array([0.1, 0.0005, -0.004, 0.05, 0.0])
    model = made(tmp_path, lambda matrix: two_classes(0.3 + matrix[:, :5] @ weights))
    found = explain(model, RECORD)
    own = np.array([2, 120, 3, 1, 0])
    expected = weights * (own - model.background.mean(axis=0))
    assert by_feature(found) == pytest.approx(dict(zip(model.schema.names, expected, strict=True)))
    assert found.label == "leaves"
    assert found.rows == 40
    assert {one.feature: one.value for one in found.contributions} == RECORD


def test_interactions_and_derived_features_are_credited_by_shapleys_definition(tmp_path: Path) -> None:
    """The sampled effects agree with all subsets computed one by one, derived features included."""

    def answer(matrix: FloatArray) -> FloatArray:
        plan, _, years, online, _, total = matrix.T
        odds = (plan == 2) * 1.5 - years / 10 + online * (plan == 1) + total / 20_000
        return two_classes(1 / (1 + np.exp(-odds)))

    model = made(tmp_path, answer, rows=200)
    found, exact = explain(model, RECORD), shapley_values(model, RECORD)
    for one in found.contributions:
        assert abs(one.effect - exact[one.feature]) <= 4 * one.standard_error + 1e-12
    assert max(one.standard_error for one in found.contributions) < 0.02
    assert by_feature(found)["GENDER"] == 0


def test_effects_add_up_to_the_distance_from_the_baseline(loaded: LoadedModel) -> None:
    """Baseline and effects give the very probability that the model answers, for the served runtime."""
    for record in loaded.golden.records:
        found = explain(loaded, record)
        answered = loaded.predict_proba(loaded.features([record]))[0, 1]
        assert found.probability == answered
        total = found.baseline + sum(one.effect for one in found.contributions)
        assert total == pytest.approx(answered, abs=1e-12)
        sizes = [abs(one.effect) for one in found.contributions]
        assert sizes == sorted(sizes, reverse=True)


def test_the_baseline_is_the_mean_answer_to_the_rows(loaded: LoadedModel) -> None:
    """It is what the model gives to the held-out rows on average."""
    answers = loaded.predict_proba(loaded.features.complete(np.ascontiguousarray(loaded.background.T)))
    assert explain(loaded, loaded.schema.example()).baseline == pytest.approx(answers[:, 1].mean(), abs=1e-9)


def test_the_same_record_has_the_same_explanation(loaded: LoadedModel) -> None:
    """Chance is seeded."""
    record = loaded.schema.example()
    assert explain(loaded, record) == explain(loaded, record)


def test_rows_to_compare_with_are_held_out_ones(package_path: Path, schema: FeatureSchema) -> None:
    """Each is a row of holdout.csv, no row twice, always the same."""
    rows = background_rows(package_path / "holdout.csv", schema)
    known = list(map(tuple, schema.encode(list(held_out_records(package_path / "holdout.csv", schema)))))
    assert rows.shape == (explanation.MOST_ROWS, len(schema.names))
    assert set(map(tuple, rows)) <= set(known)
    assert all(known.count(row) >= count for row, count in _counted(rows).items())
    assert (rows == background_rows(package_path / "holdout.csv", schema)).all()


def _counted(rows: FloatArray) -> dict[tuple[float, ...], int]:
    counted: dict[tuple[float, ...], int] = {}
    for row in map(tuple, rows):
        counted[row] = counted.get(row, 0) + 1
    return counted


def test_of_more_classes_the_one_given_is_explained(tmp_path: Path) -> None:
    """The label is the most probable class, and the effects are on its probability."""
    target = {"name": "L", "title": "L", "classes": ["no", "soon", "now"], "positive": "now"}

    def answer(matrix: FloatArray) -> FloatArray:
        soon = 0.2 + 0.5 * (matrix[:, 0] == 2)
        return np.column_stack([0.9 - soon, soon, np.full(len(matrix), 0.1)])

    found = explain(made(tmp_path, answer, target=target), RECORD)
    assert (found.label, found.probability) == ("soon", 0.7)
    assert found.contributions[0].feature == "PLAN"
    assert found.contributions[0].effect == pytest.approx(0.7 - found.baseline)
    assert {one.effect for one in found.contributions[1:]} == {0}


def test_a_costly_model_is_compared_with_fewer_rows(tmp_path: Path) -> None:
    """When the time is over what was compared so far is the answer, and it still adds up."""
    ticks = itertools.count()
    model = made(tmp_path, lambda matrix: two_classes(matrix[:, 2] / 100), rows=500)
    found = explain(model, RECORD, seconds=1.5, clock=lambda: float(next(ticks)))
    assert found.rows == 2 * explanation.ROWS_AT_ONCE
    assert found.baseline + sum(by_feature(found).values()) == pytest.approx(0.03)


def test_nobody_waiting_ends_it(tmp_path: Path) -> None:
    """It stops between two calls of the model."""
    model = made(tmp_path, lambda matrix: two_classes(matrix[:, 2] / 100), rows=500)
    with pytest.raises(StoppedError):
        explain(model, RECORD, stopped=lambda: model.calls > 3)
    assert model.calls == 5


def test_one_input_and_one_row_are_enough(tmp_path: Path) -> None:
    """A model of a single input: all of the distance is its own."""
    schema = mixed_schema(
        tmp_path,
        derive=None,
        features=[{"name": "A", "type": "number", "group": "all", "label": "A", "minimum": 0, "maximum": 1}],
    )
    model = Made(schema, FeatureMatrix(schema), np.array([[0.25]]), lambda matrix: two_classes(matrix[:, 0]))
    found = explain(model, {"A": 0.75})
    assert [(one.feature, one.effect, one.standard_error) for one in found.contributions] == [("A", 0.5, 0)]


@pytest.fixture(scope="module")
def loaded(package_path: Path) -> LoadedModel:
    """The reference model, as it serves."""
    return load_model(package_path)

"""From records to the model's columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.model.schemas import mixed_schema

from vigie.model.feature_engineering import LUNG_CANCER_FEATURES
from vigie.model.feature_matrix import FeatureMatrix, resolve
from vigie.schema import FeatureSchema, SchemaError


def test_the_reference_model_has_28_columns_inputs_before_derived(schema: FeatureSchema) -> None:
    """The order of the columns, on which every stored model depends, does not change."""
    derived = tuple(feature.name for feature in LUNG_CANCER_FEATURES)
    assert FeatureMatrix(schema).columns == (*schema.names, *derived)
    assert len(FeatureMatrix(schema).columns) == 28


def test_a_row_holds_the_inputs_then_what_is_derived_from_them(schema: FeatureSchema) -> None:
    """Values land in their own columns, whatever the order of the record's keys."""
    record = {**schema.example(), "AGE": 65, "SMOKING": 1, "GENDER": 1, "COUGHING": 1}
    backwards = dict(reversed(record.items()))
    features = FeatureMatrix(schema)
    row = dict(zip(features.columns, features([backwards])[0].tolist(), strict=True))
    assert {name: row[name] for name in schema.names} == record
    assert row["SMOKING_x_AGE"] == 65
    assert row["AGE_GROUP"] == 2
    assert row["HIGH_RISK_PROFILE"] == 1
    assert row["RESP_SYMPTOM_RATIO"] == 0.5


def test_a_batch_equals_its_rows_alone(schema: FeatureSchema) -> None:
    """Rows do not mix: each row of a batch is what it would be alone."""
    rows = [
        {**schema.example(), "AGE": age, "COUGHING": age % 2, "SMOKING": age % 3 == 0} for age in range(121)
    ]
    features = FeatureMatrix(schema)
    whole = features(rows)
    assert whole.shape == (121, 28)
    assert whole.dtype == np.float64
    assert whole.tolist() == [features([row])[0].tolist() for row in rows]


def test_no_records_make_a_matrix_without_rows(schema: FeatureSchema) -> None:
    """An empty batch keeps its columns."""
    assert FeatureMatrix(schema)([]).shape == (0, 28)


def test_a_category_is_its_position_and_joins_the_derived_features(tmp_path: Path) -> None:
    """Schemas with every type of feature go through the same code."""
    features = FeatureMatrix(mixed_schema(tmp_path))
    record = {"PLAN": "Pro", "monthly_spend": 20.5, "YEARS": 2, "ONLINE": 1, "GENDER": 0}
    assert features.columns == (*record, "total_spend")
    assert features([record, {**record, "PLAN": "Basic"}]).tolist() == [
        [2, 20.5, 2, 1, 0, 492],
        [0, 20.5, 2, 1, 0, 492],
    ]


def test_a_schema_may_have_one_input_and_nothing_derived(tmp_path: Path) -> None:
    """The smallest schema works."""
    only = {"name": "SIZE", "type": "number", "group": "all", "label": "Size", "minimum": 0, "maximum": 9}
    features = FeatureMatrix(mixed_schema(tmp_path, features=[only], derive=None))
    assert features([{"SIZE": 1.5}, {"SIZE": 2.5}]).tolist() == [[1.5], [2.5]]


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("vigie.model.nowhere:derive", "no such function"),
        ("vigie.model.feature_engineering:nothing", "no such function"),
        ("derive_lung_cancer", "no such function"),
        ("vigie.model.feature_engineering:LUNG_CANCER_FEATURES", "is not a function"),
    ],
)
def test_a_reference_to_no_function_is_named(reference: str, reason: str) -> None:
    """A schema's mistyped function is told by its name."""
    with pytest.raises(SchemaError, match=reason) as refused:
        resolve(reference)
    assert reference in str(refused.value)


def test_a_derive_function_that_reads_an_unknown_input_is_refused(tmp_path: Path) -> None:
    """A derive function of another schema is found out when the schema is opened, not at a request."""
    schema = mixed_schema(tmp_path, derive="tests.model.schemas:derive_unknown")
    with pytest.raises(SchemaError, match="reads 'NOTHING', which the schema does not have"):
        FeatureMatrix(schema)

"""The derived features of the reference model against their formulas, in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pytest

from vigie.model.feature_engineering import LUNG_CANCER_FEATURES, DerivedFeature, derive_lung_cancer
from vigie.schema import FeatureSchema

AGES = (0, 50, 51, 60, 61, 70, 71, 100, 101, 120)
Row = Mapping[str, int]


def respiratory(r: Row) -> int:
    return r["WHEEZING"] + r["COUGHING"] + r["SHORTNESS_OF_BREATH"]


def symptoms(r: Row) -> int:
    names = ["YELLOW_FINGERS", "ANXIETY", "FATIGUE", "ALLERGY", "WHEEZING", "COUGHING", "SHORTNESS_OF_BREATH"]
    return sum(r[name] for name in names) + r["SWALLOWING_DIFFICULTY"] + r["CHEST_PAIN"]


def age_group(r: Row) -> int:
    if r["AGE"] <= 50:
        return 0
    if r["AGE"] <= 60:
        return 1
    return 2 if r["AGE"] <= 70 else 3


FORMULAS: dict[str, Callable[[Row], float]] = {
    "SMOKING_x_AGE": lambda r: r["SMOKING"] * r["AGE"],
    "SMOKING_x_ALCOHOL": lambda r: r["SMOKING"] * r["ALCOHOL_CONSUMING"],
    "RESPIRATORY_SYMPTOMS": respiratory,
    "TOTAL_SYMPTOMS": symptoms,
    "BEHAVIORAL_RISK_SCORE": lambda r: r["SMOKING"] + r["ALCOHOL_CONSUMING"] + r["PEER_PRESSURE"],
    "SEVERE_SYMPTOMS": lambda r: r["CHEST_PAIN"] + r["SWALLOWING_DIFFICULTY"] + r["SHORTNESS_OF_BREATH"],
    "AGE_GROUP": age_group,
    "HIGH_RISK_PROFILE": lambda r: int(r["GENDER"] == 1 and r["SMOKING"] == 1 and r["AGE"] > 60),
    "AGE_SQUARED": lambda r: r["AGE"] ** 2,
    "CANCER_TRIAD": lambda r: int(
        r["COUGHING"] == 1 and r["CHEST_PAIN"] == 1 and r["SHORTNESS_OF_BREATH"] == 1
    ),
    "SMOKER_WITH_RESP_SYMPTOMS": lambda r: int(r["SMOKING"] == 1 and respiratory(r) > 0),
    "ADVANCED_SYMPTOMS": lambda r: int(r["SWALLOWING_DIFFICULTY"] == 1 and r["CHEST_PAIN"] == 1),
    "SYMPTOMS_PER_AGE": lambda r: symptoms(r) / (r["AGE"] + 1),
    "RESP_SYMPTOM_RATIO": lambda r: respiratory(r) / (symptoms(r) + 1),
}


def combinations(feature: DerivedFeature, schema: FeatureSchema, others: int) -> list[dict[str, int]]:
    """Every combination of the inputs that `feature` reads; all other inputs equal `others`."""
    choices = [AGES if name == "AGE" else (0, 1) for name in feature.inputs]
    base = dict.fromkeys(schema.names, others)
    return [base | dict(zip(feature.inputs, values, strict=True)) for values in product(*choices)]


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("feature", LUNG_CANCER_FEATURES, ids=lambda feature: feature.name)
def test_every_derived_feature_follows_its_formula_and_reads_only_its_inputs(
    feature: DerivedFeature, others: int, schema: FeatureSchema
) -> None:
    """A derived column equals its formula on every combination of its inputs, whatever the others are."""
    rows = combinations(feature, schema, others)
    inputs = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in schema.names}
    computed = derive_lung_cancer(inputs)[feature.name]
    assert computed.dtype == np.float64
    assert computed.tolist() == [FORMULAS[feature.name](row) for row in rows]


def test_the_declaration_names_the_computed_columns_in_their_order(schema: FeatureSchema) -> None:
    """The documented features are exactly those the model is given, 14 of them."""
    computed = derive_lung_cancer({name: np.zeros(1) for name in schema.names})
    assert [feature.name for feature in LUNG_CANCER_FEATURES] == list(computed) == list(FORMULAS)
    assert len(computed) == 14
    assert all(
        feature.formula and set(feature.inputs) <= set(schema.names) for feature in LUNG_CANCER_FEATURES
    )

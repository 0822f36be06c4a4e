"""features_present of models that this pipeline does not serve."""

from __future__ import annotations

from typing import Any

from elasticsearch import ConnectionError as StoreConnectionError

from vigie.logs_pipeline.features import PresentFeatures
from vigie.schema import FeatureSchema


def test_other_models_are_looked_up_in_the_store_now_and_then(schema: FeatureSchema) -> None:
    """A model that nobody knows costs one look in half a minute, and is found once it is provisioned."""
    now, looks = 0.0, 0
    store: dict[str, dict[str, Any]] = {}

    def provisioned() -> dict[str, dict[str, Any]]:
        nonlocal looks
        looks += 1
        return store

    features = PresentFeatures(schema, provisioned, clock=lambda: now)
    assert features("lung_cancer") == [feature.name for feature in schema.features if feature.present]
    assert features("") is None
    assert looks == 0
    assert (features("other"), features("other"), looks) == (None, None, 1)
    store["other"] = {"present": ["A"]}
    store["lung_cancer"] = {"present": ["not this"]}
    now = 31.0
    assert (features("other"), looks) == (["A"], 2)
    assert features("lung_cancer") != ["not this"]


def test_a_store_that_is_away_delays_no_event(schema: FeatureSchema) -> None:
    """Without an answer the field is left out."""

    def provisioned() -> dict[str, dict[str, Any]]:
        raise StoreConnectionError("away")

    assert PresentFeatures(schema, provisioned, clock=lambda: 0.0)("other") is None

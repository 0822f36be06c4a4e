"""Which model may take another's place without a restart."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.model.schemas import MIXED, mixed_schema

from vigie.model.package import PackageError
from vigie.model.replacement import differences, refuse_other_contract

TARGET = yaml.safe_load(MIXED)["target"]
FEATURES: list[dict[str, Any]] = yaml.safe_load(MIXED)["features"]


def changed_feature(**changes: object) -> list[dict[str, Any]]:
    """Return the features with `changes` to the first."""
    features = deepcopy(FEATURES)
    features[0] |= changes
    return features


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "9.9.9"},
        {"caution": "other words"},
        {"target": {**TARGET, "threshold": 0.2, "meaning": {"stays": "Stays."}}},
        {"derive": None},
        {"data": "tests.model.schemas:derive_spend"},
    ],
)
def test_what_only_the_model_shows_may_differ(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Version, caution, threshold, meaning, derived features and training data."""
    assert differences(mixed_schema(tmp_path / "a"), mixed_schema(tmp_path / "b", **changes)) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": "other"}, ["name"]),
        ({"target": {**TARGET, "name": "GOES"}}, ["target"]),
        ({"subject": "customer_id"}, ["subject"]),
        ({"features": changed_feature(categories=["Basic", "Plus"])}, ["feature PLAN"]),
        ({"features": changed_feature(name="PLANS")}, ["feature PLAN", "feature PLANS"]),
        ({"features": FEATURES[1:]}, ["feature PLAN"]),
        ({"features": FEATURES[::-1]}, ["the order of the features"]),
    ],
)
def test_what_others_were_made_from_may_not(
    tmp_path: Path, changes: dict[str, Any], named: list[str]
) -> None:
    """Inputs, classes, name and subject are refused, each named, with what to do."""
    served, successor = mixed_schema(tmp_path / "a"), mixed_schema(tmp_path / "b", **changes)
    assert differences(served, successor) == named
    with pytest.raises(PackageError, match=f"in {', '.join(named)}; .*: restart API, front end and pipeline"):
        refuse_other_contract(served, successor)

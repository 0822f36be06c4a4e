"""The reference profile: frozen bins and counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest
from tests.model.schemas import mixed_schema

from vigie.model.dataset import Dataset
from vigie.model.reference_profile import FeatureProfile, ReferenceProfile, profile


def test_a_profile_counts_every_type_of_feature(tmp_path: Path) -> None:
    """Deciles for numbers, levels for binaries and categories, predicted and true shares."""
    schema = mixed_schema(tmp_path)
    records = [
        {
            "PLAN": "Basic" if i < 30 else "Pro",
            "monthly_spend": i + 0.5,
            "YEARS": i // 50,
            "ONLINE": i % 2,
            "GENDER": 0,
        }
        for i in range(100)
    ]
    rows = Dataset(list(records), ["stays"] * 60 + ["leaves"] * 40, "here")
    answers = np.array([[0.7, 0.3]] * 75 + [[0.4, 0.6]] * 25)
    found = profile(rows, answers, schema)
    assert found.rows == 100
    assert found.predicted == {"stays": 75, "leaves": 25}
    assert found.observed == {"stays": 60, "leaves": 40}
    assert found.features["monthly_spend"].edges == tuple(i + 0.5 for i in range(9, 90, 10))
    assert found.features["monthly_spend"].counts == (10,) * 10
    assert found.features["YEARS"].edges == (0, 1)
    assert found.features["YEARS"].counts == (50, 50, 0)
    assert found.features["PLAN"].levels == ("Basic", "Plus", "Pro")
    assert found.features["PLAN"].counts == (30, 0, 70)
    assert found.features["GENDER"].counts == (100, 0)
    assert {f.missing + f.unseen for f in found.features.values()} == {0}


def test_other_values_are_counted_over_the_same_bins() -> None:
    """An edge belongs to the bin below it; what lies outside falls into the outer bins."""
    bins = FeatureProfile(kind="bins", edges=(10.0, 20.0), counts=(5, 5, 5), missing=0, unseen=0)
    assert bins.count([-100, 10, 10.5, 20, 21, 1e9, None]).counts == (2, 2, 2)
    assert bins.count([None, 10]).missing == 1
    levels = FeatureProfile(kind="levels", levels=("a", "b"), counts=(1, 1), missing=0, unseen=0)
    counted = levels.count(["a", "a", "c", None])
    assert (counted.counts, counted.unseen, counted.missing) == ((2, 0), 1, 1)
    assert bins.count([]).counts == (0, 0, 0)


def test_the_packages_profile_covers_its_training_rows(package_path: Path) -> None:
    """reference.json accounts for each training row in each feature."""
    found = ReferenceProfile.model_validate(orjson.loads((package_path / "reference.json").read_bytes()))
    assert found.rows == 16_000
    assert {sum(f.counts) + f.missing + f.unseen for f in found.features.values()} == {16_000}
    assert sum(found.predicted.values()) == sum(found.observed.values()) == 16_000
    assert found.predicted["YES"] / 16_000 == pytest.approx(0.88, abs=0.03)
    assert found.features["AGE"].kind == "bins"
    assert len(found.features["AGE"].counts) == len(found.features["AGE"].edges) + 1
    assert found.features["GENDER"].levels == (0, 1)

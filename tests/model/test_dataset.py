"""Labelled records: known data sets, fingerprints, parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.model.schemas import mixed_schema

from vigie.model.dataset import Dataset, DatasetError, declared_dataset, from_bunch
from vigie.schema import FeatureSchema

FEATURES: list[dict[str, Any]] = [
    {"name": "mean_size", "type": "number", "group": "all", "label": "Size", "minimum": 0, "maximum": 9},
    {"name": "rings", "type": "integer", "group": "all", "label": "Rings", "minimum": 0, "maximum": 9},
]


def bunch(**changes: object) -> dict[str, object]:
    """A data set in scikit-learn's form, its classes in the other order than the schema's."""
    return {
        "feature_names": np.array(["rings", "mean size"]),
        "target_names": np.array(["leaves", "stays"]),
        "data": np.array([[3, 1.5], [4, 2.0]]),
        "target": np.array([1, 0]),
        **changes,
    }


@pytest.fixture
def sized(tmp_path: Path) -> FeatureSchema:
    """A schema of one number and one integer."""
    return mixed_schema(tmp_path, features=FEATURES, derive=None, data="tests.model.test_dataset:bunch")


def test_a_bunch_is_matched_by_names_not_by_order(sized: FeatureSchema) -> None:
    """Feature and class names decide, with underscores for spaces; an integer feature holds integers."""
    read = declared_dataset(sized)
    assert read.records == [{"mean_size": 1.5, "rings": 3}, {"mean_size": 2.0, "rings": 4}]
    assert isinstance(read.records[0]["rings"], int)
    assert read.labels == ["stays", "leaves"]
    assert read.positions(sized).tolist() == [0, 1]
    assert not read.simulated
    assert read.source == "tests.model.test_dataset:bunch"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"feature_names": np.array(["rings", "size"])},
            "features are not the schema's; missing: mean_size; not declared: size",
        ),
        (
            {"target_names": np.array(["leaves", "goes"])},
            "class labels are not the schema's; missing: stays; not declared: goes",
        ),
        ({"data": np.array([[3, 1.5], [4.5, 2.0]])}, "data, row 2, column rings: .*, not 4.5"),
        ({"data": np.array([[3, 10.5], [4, 2.0]])}, "data, row 1, column mean_size: .*, not 10.5"),
        ({"data": np.array([[3, np.nan], [4, 2.0]])}, "data, row 1, column mean_size: .*, not nan"),
    ],
)
def test_a_bunch_that_does_not_fit_is_refused(
    changes: dict[str, object], reason: str, sized: FeatureSchema
) -> None:
    """The refusal names what differs, or the row and column."""
    with pytest.raises(DatasetError, match=reason):
        from_bunch(bunch(**changes), sized, source="data")


def test_the_reference_schema_declares_a_simulated_cohort(schema: FeatureSchema) -> None:
    """The data set of the reference model is marked as simulated."""
    cohort = declared_dataset(schema)
    assert len(cohort) == 20_000
    assert cohort.simulated
    assert cohort.source.startswith("simulated class by class")


def test_a_fingerprint_follows_every_value_label_and_the_order(sized: FeatureSchema) -> None:
    """Equal rows have equal fingerprints; any change, or another order, gives another one."""
    whole = declared_dataset(sized)
    fingerprint = whole.fingerprint(sized)
    assert len(fingerprint) == 64
    assert declared_dataset(sized).fingerprint(sized) == fingerprint
    changed_value = Dataset([{**whole.records[0], "rings": 5}, whole.records[1]], whole.labels, "")
    changed_label = Dataset(whole.records, ["leaves", "leaves"], "")
    turned = whole.take(np.array([1, 0]))
    others = {other.fingerprint(sized) for other in (changed_value, changed_label, turned)}
    assert len(others | {fingerprint}) == 4


def test_a_part_keeps_where_its_rows_come_from() -> None:
    """Source, notices and the mark of simulation go with the rows."""
    whole = Dataset([{"a": 1}, {"a": 2}], ["x", "y"], "there", simulated=True, notices=("one",))
    assert whole.take(np.array([1])) == Dataset([{"a": 2}], ["y"], "there", simulated=True, notices=("one",))

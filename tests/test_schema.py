"""The feature schema: what it declares, what follows from it, and how it refuses a bad file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from tests.servers import ROOT

from vigie.schema import FeatureSchema, SchemaError, Text, load_schema

REFERENCE = ROOT / "model" / "lung_cancer" / "schema.yaml"

SMALL: dict[str, Any] = {
    "name": "small",
    "title": "Small",
    "description": "A schema with every type",
    "caution": "not for anything",
    "target": {"name": "WON", "title": "Won", "classes": ["no", "yes"], "positive": "yes"},
    "groups": [{"name": "all", "title": "All"}],
    "data": "somewhere:load",
    "features": [
        {"name": "COUNT", "type": "integer", "label": "Count", "group": "all", "minimum": 1, "maximum": 9},
        {"name": "SIZE", "type": "number", "label": "Size", "group": "all", "minimum": 0, "maximum": 2},
        {"name": "FLAG_ON", "type": "binary", "label": "Flag", "group": "all", "present": True},
        {"name": "KIND", "type": "category", "label": "Kind", "group": "all", "categories": ["a", "b"]},
    ],
}


def small(change: Callable[[dict[str, Any]], object] = lambda schema: None) -> dict[str, Any]:
    """Return a deep copy of SMALL after `change`."""
    copy: dict[str, Any] = yaml.safe_load(yaml.safe_dump(SMALL))
    change(copy)
    return copy


@pytest.fixture
def every_type() -> FeatureSchema:
    """A schema with one feature of each type."""
    return FeatureSchema.model_validate(SMALL)


def test_reference_schema_is_the_contracts(schema: FeatureSchema) -> None:
    """The reference model has the 14 inputs of the contract, in order, in both languages."""
    assert schema.names == (
        "AGE", "GENDER", "SMOKING", "ALCOHOL_CONSUMING", "PEER_PRESSURE", "YELLOW_FINGERS", "ANXIETY",
        "FATIGUE", "ALLERGY", "WHEEZING", "COUGHING", "SHORTNESS_OF_BREATH", "SWALLOWING_DIFFICULTY",
        "CHEST_PAIN",
    )  # fmt: skip
    assert schema.by_name["AGE"].bounds == (0, 120)
    assert schema.target.classes == ("NO", "YES")
    for feature in schema.features:
        assert feature.label.en
        assert feature.label.fr


def test_both_spellings_are_accepted_and_stored_as_one(schema: FeatureSchema) -> None:
    """A name with spaces is the same field as the one with underscores."""
    record = {name.replace("_", " "): value for name, value in schema.example().items()}
    assert schema.request_model.model_validate(record).model_dump() == schema.example()


def test_both_spellings_at_once_are_refused(schema: FeatureSchema) -> None:
    """A field given twice in two spellings is not silently resolved."""
    with pytest.raises(ValidationError, match="CHEST PAIN"):
        schema.request_model.model_validate({**schema.example(), "CHEST PAIN": 1})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("COUNT", True), ("COUNT", "3"), ("COUNT", 2.5), ("COUNT", 0), ("COUNT", 10), ("COUNT", None),
        ("SIZE", True), ("SIZE", "1.5"), ("SIZE", float("nan")), ("SIZE", float("inf")), ("SIZE", 2.1),
        ("FLAG_ON", True), ("FLAG_ON", 2), ("FLAG_ON", "1"), ("KIND", "c"), ("KIND", 0), ("OTHER", 1),
    ],
)  # fmt: skip
def test_nothing_is_silently_coerced(every_type: FeatureSchema, field: str, value: object) -> None:
    """Booleans, numeric strings, NaN, values out of range and unknown fields are refused."""
    with pytest.raises(ValidationError, match=field):
        every_type.request_model.model_validate({**every_type.example(), field: value})


def test_a_missing_field_is_refused(every_type: FeatureSchema) -> None:
    """Every input is required: no default stands in for an answer that was not given."""
    with pytest.raises(ValidationError, match="KIND"):
        every_type.request_model.model_validate({"COUNT": 1, "SIZE": 1.0, "FLAG_ON": 0})


def test_example_index_and_encoding_follow_from_the_types(every_type: FeatureSchema) -> None:
    """Example, index mapping and numeric columns need nothing but the schema."""
    assert every_type.example() == {"COUNT": 5, "SIZE": 1.0, "FLAG_ON": 0, "KIND": "a"}
    assert every_type.index_properties() == {
        "COUNT": {"type": "integer"},
        "SIZE": {"type": "double"},
        "FLAG_ON": {"type": "integer"},
        "KIND": {"type": "keyword"},
    }
    assert every_type.encode([{"COUNT": 2, "SIZE": 0.5, "FLAG_ON": 1, "KIND": "b"}]) == [[2.0, 0.5, 1.0, 1.0]]


def test_text_reads_english_unless_french_is_asked() -> None:
    """Any other language falls back to English."""
    text = Text(en="cough", fr="toux")
    assert [text.in_language(language) for language in ("fr", "fr-CA", "en", "de")] == [
        "toux",
        "toux",
        "cough",
        "cough",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s["features"].append(s["features"][0]), "declared twice: COUNT"),
        (lambda s: s["features"][0].update(group="none"), "group none is not declared"),
        (lambda s: s["features"][0].pop("maximum"), "needs minimum and maximum"),
        (lambda s: s["features"][2].update(minimum=0, maximum=1), "takes no minimum"),
        (lambda s: s["features"][3].pop("categories"), "categories belong to type category"),
        (lambda s: s["features"][0].update(present=True), "only a binary feature"),
        (lambda s: s["target"].update(positive="maybe"), "not one of the classes"),
        (lambda s: s["target"].update(positive="no"), "stands second"),
        (lambda s: s["target"].update(meaning={"perhaps": "?"}), "not a class"),
        (lambda s: s["target"].update(threshold=1), "less than 1"),
        (
            lambda s: s["target"].update(classes=["no", "yes", "draw"], threshold=0.4),
            "the most probable one is the answer",
        ),
        (lambda s: s.pop("data"), "exactly one of data and simulation"),
        (
            lambda s: s["features"][0].update(simulation={"per_class": {"yes": 0.5, "no": 0.5}}),
            "whole schema",
        ),
        (lambda s: s.update(colour="blue"), "colour"),
    ],
)
def test_an_inconsistent_schema_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    """Each inconsistency is an error that names the file and the reason."""
    file = tmp_path / "schema.yaml"
    file.write_text(yaml.safe_dump(small(change)))
    with pytest.raises(SchemaError, match=reason) as error:
        load_schema(tmp_path)
    assert str(file) in str(error.value)


def test_a_simulation_needs_every_class(tmp_path: Path) -> None:
    """A simulated feature without figures for a class is refused."""
    content = yaml.safe_load(REFERENCE.read_text())
    del content["features"][0]["simulation"]["per_class"]["NO"]
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SchemaError, match="AGE: simulation needs one entry per class"):
        load_schema(tmp_path)


def test_an_unreadable_schema_is_a_plain_error(tmp_path: Path) -> None:
    """No file and broken YAML are told in one line with the file's name."""
    with pytest.raises(SchemaError, match=r"schema\.yaml: cannot be read"):
        load_schema(tmp_path)
    (tmp_path / "schema.yaml").write_text("features: [")
    with pytest.raises(SchemaError, match="not valid YAML"):
        load_schema(tmp_path)

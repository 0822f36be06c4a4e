"""What the visitor entered becomes the record that the API takes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.servers import ROOT

from vigie.schema import FeatureSchema, load_schema
from vigie.ui.answers import field_label, record_from

REFERENCE = load_schema(ROOT / "model" / "lung_cancer")


def test_ticks_choices_and_numbers_take_the_types_of_the_schema(mixed_schema: FeatureSchema) -> None:
    """A tick is 0 or 1, a whole number that a browser sends is an integer, a number is a float."""
    record = record_from(mixed_schema, [True, 41.0, 2500, 2, 12.5, 0, "often", "Legal"])
    assert record == {
        "OVERTIME": 1,
        "AGE": 41,
        "INCOME": 2500,
        "MOOD": 2.0,
        "DISTANCE": 12.5,
        "CONTRACT": 0,
        "TRAVEL": "often",
        "ROLE": "Legal",
    }
    assert [type(record[name]) for name in ("OVERTIME", "AGE", "MOOD")] == [int, int, float]


def test_an_empty_field_is_left_out(mixed_schema: FeatureSchema) -> None:
    """What was not answered is not invented: the API names it."""
    record = record_from(mixed_schema, [False, None, 2500, 2, 1, None, "", "Legal"])
    assert sorted(record) == ["DISTANCE", "INCOME", "MOOD", "OVERTIME", "ROLE"]


def test_what_does_not_fit_is_sent_as_it_is(mixed_schema: FeatureSchema) -> None:
    """Nothing is rounded, clipped or parsed on the way: the API decides, and its event shows what came."""
    record = record_from(mixed_schema, [True, 41.5, "many", 99, 1, 1, "<b>", "Legal"])
    assert (record["AGE"], record["INCOME"], record["MOOD"], record["TRAVEL"]) == (41.5, "many", 99.0, "<b>")


@given(st.lists(st.integers(0, 1), min_size=len(REFERENCE.features), max_size=len(REFERENCE.features)))
def test_every_answer_lands_at_its_own_feature(answers: list[int]) -> None:
    """The record holds each value under the name of its place in the schema."""
    ticked: list[Any] = [bool(answer) for answer in answers]
    assert list(record_from(REFERENCE, ticked).items()) == list(zip(REFERENCE.names, answers, strict=True))


@pytest.mark.parametrize(
    ("field", "label"),
    [("CHEST_PAIN", "Chest pain"), ("CHEST PAIN", "Chest pain"), ("SHOE_SIZE", "SHOE_SIZE")],
)
def test_a_refused_field_has_the_name_it_has_in_the_form(
    schema: FeatureSchema, field: str, label: str
) -> None:
    """Both spellings of the API give the form's label; a field that is none of ours keeps its name."""
    assert field_label(schema, field, "en") == label
    assert field_label(schema, "CHEST_PAIN", "fr") == "Douleur thoracique"

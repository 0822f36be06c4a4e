"""What the visitor entered becomes the record that the API takes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.servers import ROOT

from vigie.schema import FeatureSchema, load_schema
from vigie.ui.outcome import Failure, Fault
from vigie.ui.predict.answers import entered_from, in_the_forms_words, record_from
from vigie.ui.texts import Texts

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


def test_what_the_form_shows_of_a_record_is_what_it_sends_of_it(mixed_schema: FeatureSchema) -> None:
    """An example filled in and sent unchanged is the record it was."""
    record = mixed_schema.example()
    entered = entered_from(mixed_schema, record)
    assert entered[0] is True
    assert record_from(mixed_schema, entered) == record


TEXTS = Texts()


def told(field: str, language: Any, **record: Any) -> tuple[str, str, str]:
    """Field, label and reason of a fault at `field` of `record`."""
    failure = Failure("t", "w", (), "s", "r", faults=(Fault(field=field, reason="said so"),))
    (fault,) = in_the_forms_words(failure, REFERENCE, record, TEXTS, language).faults
    return fault.field, fault.label, fault.reason


@pytest.mark.parametrize("field", ["CHEST_PAIN", "CHEST PAIN"])
def test_a_refused_field_has_the_name_it_has_in_the_form(field: str) -> None:
    """Both spellings of the API give the form's label, and the reason says what is wanted, in both languages."""
    assert told(field, "en", CHEST_PAIN=7) == ("CHEST_PAIN", "Chest pain", "must be 0 or 1; this was 7")
    assert told(field, "fr", CHEST_PAIN=7) == (
        "CHEST_PAIN",
        "Douleur thoracique",
        "doit être 0 ou 1\u00a0; c’était 7",
    )


def test_what_was_not_answered_is_told_apart_from_what_does_not_fit() -> None:
    """A field that was left empty needs an answer; a number out of range says the range."""
    assert told("AGE", "en") == ("AGE", "Age", "needs an answer")
    assert told("AGE", "en", AGE=500)[2] == "must be a whole number, 0 to 120; this was 500"
    assert len(told("AGE", "en", AGE="x" * 9999)[2]) < 100


def test_a_field_that_is_none_of_ours_keeps_the_apis_words() -> None:
    """So does a fault of the whole record."""
    assert told("SHOE_SIZE", "fr") == ("SHOE_SIZE", "", "said so")
    assert told("", "fr") == ("", "", "said so")

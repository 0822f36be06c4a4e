"""Cells become values only where what they mean is beyond doubt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ui.batches import SCHEMA

from vigie.schema import Feature, FeatureSchema
from vigie.ui.batch.values import Cell, number_in, reader_of, separators_in, words_of

AGE = SCHEMA.by_name["AGE"]
GENDER = SCHEMA.by_name["GENDER"]
SMOKING = SCHEMA.by_name["SMOKING"]


@pytest.mark.parametrize(
    ("feature", "cell", "value"),
    [
        (AGE, " 63 ", 63),
        (AGE, "63.0", 63),
        (AGE, 63.0, 63),
        (AGE, "63.5", 63.5),
        (AGE, "63,5", "63,5"),
        (AGE, "1e2", 100),
        (AGE, "sixty", "sixty"),
        (AGE, "1_000", "1_000"),
        (AGE, "1 000", "1 000"),
        (AGE, "٦٣", "٦٣"),
        (AGE, "nan", "nan"),
        (AGE, "1e999", "1e999"),
        (AGE, "9" * 5000, "9" * 5000),
        (AGE, "99999999999999999999", "99999999999999999999"),
        (GENDER, "Homme", 1),
        (GENDER, "FEMALE", 0),
        (GENDER, "m", 1),
        (GENDER, "H", 1),
        (GENDER, "f", 0),
        (GENDER, "x", "x"),
        (GENDER, True, True),
        (SMOKING, "yes", "yes"),
        (SMOKING, "1", 1),
    ],
)
def test_a_cell_is_read_only_where_its_meaning_is_clear(feature: Feature, cell: Cell, value: Cell) -> None:
    """Numbers and the schema's own words are read, everything else goes to the API as it is."""
    read = reader_of(feature, decimal_comma=False)(cell)

    assert read == value
    assert type(read) is type(value)


def test_a_decimal_comma_is_read_where_the_file_has_them() -> None:
    """63,5 is 63.5 in a file that writes its numbers so, and 63,0 is the whole number 63."""
    read = reader_of(AGE, decimal_comma=True)

    assert [read("63,5"), read("63,0"), read("63,5,1")] == [63.5, 63, "63,5,1"]


def test_a_category_is_text_however_a_spreadsheet_kept_it(mixed_schema: FeatureSchema) -> None:
    """The category of a text cell loses only its spaces, and a number of a spreadsheet becomes its text."""
    read = reader_of(mixed_schema.by_name["TRAVEL"], decimal_comma=False)

    assert [read(" often "), read("Often"), read(3.0), read(3), read(2.5)] == [
        "often",
        "Often",
        "3",
        "3",
        "2.5",
    ]


def test_an_initial_that_two_values_share_stands_for_none(mixed_schema: FeatureSchema) -> None:
    """A first letter is a word only where it can mean one value alone."""
    contract = mixed_schema.by_name["CONTRACT"]
    both = contract.model_copy(update={"values": {0: contract.values[1], 1: contract.values[1]}})

    assert words_of(contract) == {"f": 0, "fixed term": 0, "p": 1, "permanent": 1}
    assert "p" not in words_of(
        contract.model_copy(
            update={
                "values": {
                    0: contract.values[0].model_copy(update={"en": "Part", "fr": "Part"}),
                    1: contract.values[1],
                }
            }
        )
    )
    assert words_of(both) == {"p": 1, "permanent": 1}


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_every_whole_number_that_json_carries_is_read_exactly(number: int) -> None:
    """A whole number comes out as it went in, to the last digit."""
    assert number_in(str(number), decimal_comma=False) == number


@given(st.text(max_size=30))
def test_no_text_raises_and_what_is_read_is_a_finite_number(text: str) -> None:
    """Whatever a cell holds, reading it gives a finite number or nothing."""
    number = number_in(text, decimal_comma=True)

    assert number is None or abs(number) < float("inf")
    assert separators_in(text) in {"", ".", ","}

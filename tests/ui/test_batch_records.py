"""The preview marks what the API will refuse, by the same model, before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.ui.batches import NAMES, SCHEMA, VALID, table_of, text_of, workbook_of

from vigie.schema import FeatureSchema
from vigie.ui.batch import records as records_module
from vigie.ui.batch.records import Records, expected, preview_of


def faults_of(*cells: object) -> list[tuple[str, str]]:
    """Return field and reason of every fault in one row."""
    table = table_of(text_of([*NAMES, "subject_id"], cells))
    ((_, [(_, row)]),) = table.rows.blocks()
    records = Records(table, SCHEMA)
    return [(fault.field, fault.why.key) for fault in records.faults(records.of(row))]


@pytest.mark.parametrize(
    ("position", "cell", "fault"),
    [
        (0, "121", ("AGE", "batch.why_integer")),
        (0, "63.5", ("AGE", "batch.why_integer")),
        (0, "old", ("AGE", "batch.why_integer")),
        (0, " ", ("AGE", "batch.why_missing")),
        (1, "2", ("GENDER", "batch.why_binary")),
        (2, "yes", ("SMOKING", "batch.why_binary")),
        (14, "x" * 129, ("subject_id", "batch.why_subject")),
    ],
)
def test_each_fault_is_named_with_its_field(position: int, cell: str, fault: tuple[str, str]) -> None:
    """A value that the API refuses is a fault of its cell, and of no other."""
    cells: list[Any] = [*VALID, "p-1"]
    cells[position] = cell

    assert faults_of(*cells) == [fault]


def test_a_row_that_fits_has_no_fault() -> None:
    """Words of the schema, a float that is whole and an empty subject are no faults."""
    assert faults_of("63.0", "Homme", *VALID[2:], "") == []


def test_a_reason_says_what_is_expected(mixed_schema: FeatureSchema) -> None:
    """Each kind of feature has its own words, with its own bounds."""
    said = {name: expected(feature) for name, feature in mixed_schema.by_name.items()}

    assert said["AGE"].values == {"low": "18", "high": "65"}
    assert said["DISTANCE"].key == "batch.why_number"
    assert said["TRAVEL"].values == {"categories": "none, often"}


def test_the_preview_has_the_first_rows_and_the_faulty_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many rows the first are shown, and faulty ones beyond them up to a bound; counts are of all."""
    monkeypatch.setattr(records_module, "FIRST_ROWS", 3)
    monkeypatch.setattr(records_module, "MOST_FAULTY", 4)
    rows = [[str(150 if n % 100 == 99 else 60), *VALID[1:]] for n in range(1000)]
    table = table_of(text_of(NAMES, *rows))
    preview = preview_of(table, Records(table, SCHEMA))

    assert (preview.count, preview.faulty, preview.by_field) == (1000, 10, {"AGE": 10})
    assert [row.number for row in preview.rows] == [2, 3, 4, 101, 201, 301, 401]
    assert [bool(row.faults) for row in preview.rows] == [False] * 3 + [True] * 4


def test_a_workbooks_truth_values_are_not_taken_for_numbers() -> None:
    """TRUE is refused here as the API refuses it: nobody guesses."""
    table = table_of(workbook_of(NAMES, [63, 1, True, *[0] * 11]))
    preview = preview_of(table, Records(table, SCHEMA))

    assert preview.by_field == {"SMOKING": 1}

"""Results come back with every column of the file, and with no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from tests.ui.batches import NAMES, VALID, table_of, text_of, workbook_of

from vigie.ui.batch.export import DANGEROUS, OWN_COLUMNS, Export, defused
from vigie.ui.batch.results import Results, RowAnswer
from vigie.ui.batch.routes import disposition
from vigie.ui.batch.table import Table

YES = RowAnswer(1, "YES", 0.875, 0.875, "id-1", None)
REFUSED = RowAnswer(None, None, None, None, "id-2", "AGE must be a whole number")


def export_of(table: Table, *answers: RowAnswer, part: Any = "all") -> Export:
    """Return the results of `table` with these answers to its first rows."""
    results = Results()
    results.keep(0, answers)
    return Export(table, results, part)


def csv_rows(export: Export) -> list[list[str]]:
    """Return the rows of the CSV, as any reader of CSV sees them."""
    text = b"".join(export.csv()).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=export.table.delimiter))


def sheet_rows(export: Export) -> list[list[Any]]:
    """Return the cells of the workbook, with their kinds; a formula would be text that begins with =."""
    with export.xlsx() as file:
        return [
            [(cell.value, cell.data_type) for cell in row] for row in load_workbook(file).active.iter_rows()
        ]


def test_every_original_column_and_the_answer_are_in_each_format() -> None:
    """Row by row: the cells as they were, the row's number in the file, and the answer."""
    table = table_of(text_of(["note", *NAMES], ["007", *VALID], ["b", *VALID], ["c", *VALID]))
    export = export_of(table, YES, REFUSED)
    header = ["note", *NAMES, *OWN_COLUMNS]
    answers = [
        ["2", "1", "YES", "0.875", "0.875", "id-1", ""],
        ["3", "", "", "", "", "id-2", "AGE must be a whole number"],
        ["4", "", "", "", "", "", ""],
    ]

    notes = ["007", "b", "c"]
    assert csv_rows(export) == [
        header,
        *([note, *VALID, *answer] for note, answer in zip(notes, answers, strict=True)),
    ]
    first, second, third = json.loads(b"".join(export.json()))
    assert (first["note"], first["AGE"], first["row"], first["probability"]) == ("007", "63", 2, 0.875)
    assert (second["error"], second["prediction"], third["transaction_id"]) == (REFUSED.error, None, None)
    cells = sheet_rows(export)
    assert [value for value, _ in cells[0]] == header
    assert cells[1][:2] == [("007", "s"), (63, "n")]
    assert [value for value, _ in cells[1][-7:]] == [2, 1, "YES", 0.875, 0.875, "id-1", None]


def test_refused_rows_come_apart() -> None:
    """The refused part holds these rows alone, and an empty one is still valid JSON."""
    table = table_of(text_of(NAMES, VALID, VALID))

    assert [row[-7] for row in csv_rows(export_of(table, YES, REFUSED, part="refused"))[1:]] == ["3"]
    assert json.loads(b"".join(export_of(table, YES, YES, part="refused").json())) == []


@pytest.mark.parametrize(
    "payload", ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "=cmd|' /C calc'!A0"]
)
def test_a_formula_is_text_in_csv_and_excel(payload: str) -> None:
    """A cell, and a column's name, that begins as a formula does has an apostrophe before it, in a file only."""
    quoted = f'"{payload}"'
    table = table_of(text_of([quoted, *NAMES], [quoted, *VALID]))
    export = export_of(table, YES)
    name = payload.strip()
    cell = table.rows.get(0, 1)[0][1][0]
    cut = cell.replace("\t=", "\t'=").replace("\r=", "\r'=")  # here another spreadsheet begins a cell

    assert [row[0] for row in csv_rows(export)] == [f"'{name}", f"'{cut}"]
    cells = sheet_rows(export)
    assert cells[0][0] == (f"'{name}", "s")
    assert cells[1][0][0].startswith("'") and cells[1][0][1] == "s"
    assert json.loads(b"".join(export.json()))[0][name] == table.rows.get(0, 1)[0][1][0]


@pytest.mark.parametrize("payload", ["a;=1+1;", "a\t@SUM(A1)", 'a;"=1+1', "a; -A1", "a\n+A1", "a,=1"])
def test_a_formula_within_a_cell_is_none_for_another_delimiter_either(payload: str) -> None:
    """A French Excel cuts a file of commas at its semicolons, whatever is quoted: no part begins a formula."""
    table = table_of(text_of(NAMES, VALID))
    table.rows.put(0, [[2, [payload, *VALID[1:]]]])
    written = b"".join(export_of(table, YES).csv()).decode("utf-8-sig")

    for delimiter in ",;\t":
        parts = csv.reader(io.StringIO(written, newline=""), delimiter=delimiter)
        assert not [part for row in parts for part in row if part.lstrip().startswith(DANGEROUS)]


def test_numbers_stay_numbers() -> None:
    """A negative number, one with a sign and one with a comma are no formulas."""
    assert [defused(text, False) for text in ("-5", "+3.25", "-1e5", " -7 ")] == [
        "-5",
        "+3.25",
        "-1e5",
        " -7 ",
    ]
    assert [defused("-5,5", comma) for comma in (True, False)] == ["-5,5", "'-5,5"]


@given(st.text(max_size=40))
def test_no_text_begins_as_a_formula_unless_it_is_a_number(text: str) -> None:
    """Whatever is uploaded, what a spreadsheet gets begins harmlessly or is a number."""
    safe = defused(text, decimal_comma=False)

    assert safe in {text, f"'{text}"}
    if safe.lstrip().startswith(DANGEROUS):
        float(safe)


def test_a_refusals_words_are_defused_too() -> None:
    """What the API repeats of a cell in its reason is no way around."""
    table = table_of(text_of(NAMES, VALID))
    told = REFUSED._replace(error="=HYPERLINK(1)")

    assert csv_rows(export_of(table, told))[1][-1] == "'=HYPERLINK(1)"


def test_our_columns_give_way_to_the_files_own() -> None:
    """A file that has a column of our name keeps it; ours gets another name."""
    table = table_of(text_of(["Label", "vigie_label", *NAMES], ["a", "b", *VALID]))

    assert export_of(table, YES).columns[-7:] == [
        "row",
        "prediction",
        "vigie_vigie_label",
        *OWN_COLUMNS[3:],
    ]


def test_a_french_file_comes_back_as_one() -> None:
    """Delimiter and decimal comma are those of the file."""
    table = table_of(text_of(NAMES, ["63,0", *VALID[1:]], delimiter=";"))

    assert csv_rows(export_of(table, YES))[1][-4] == "0,875"


def test_characters_that_no_workbook_can_hold_do_not_stop_the_download() -> None:
    """A control character from elsewhere is replaced in Excel."""
    table = table_of(workbook_of([*NAMES, "note"], [*VALID, "a_x0001_b"]))
    table.rows.put(0, [[2, [*VALID, "a\x01b\ufffe"]]])

    assert sheet_rows(export_of(table, YES))[1][14] == ("a\ufffdb\ufffd", "s")


@pytest.mark.parametrize(
    ("uploaded", "header"),
    [
        ("cases.csv", "attachment; filename=\"cases-results.csv\"; filename*=UTF-8''cases-results.csv"),
        (
            'a"\r\nX: y.csv',
            "attachment; filename=\"a___X_ y-results.csv\"; filename*=UTF-8''a___X_%20y-results.csv",
        ),
        ("été.xlsx", "attachment; filename=\"_t_-results.csv\"; filename*=UTF-8''%C3%A9t%C3%A9-results.csv"),
    ],
)
def test_a_files_name_cannot_write_headers(uploaded: str, header: str) -> None:
    """A download is named after the upload; quotes and line ends in that are not passed on."""
    assert disposition(uploaded, "all", "csv") == header

"""Files as people have them are read; those that cannot be are refused in a sentence that says what and where."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.ui.batches import NAMES, SCHEMA, VALID, cells_of, fault_of, table_of, text_of, workbook_of

from vigie.ui.batch import delimited, table, workbook
from vigie.ui.batch.columns import simplified
from vigie.ui.batch.sentence import FileFaultError
from vigie.ui.texts import Texts

SPACED = [name.replace("_", " ") for name in NAMES]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimited_text_is_read_whatever_its_delimiter_and_mark(delimiter: str, mark: bytes) -> None:
    """Comma, semicolon or tab, with and without a byte order mark: the same cells."""
    read = table_of(mark + text_of(NAMES, VALID, ["", *VALID[1:]], delimiter=delimiter))

    assert cells_of(read) == [VALID, ["", *VALID[1:]]]
    assert read.delimiter == delimiter
    assert read.notes == ()


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda name: f"  {name.replace('_', '  ')} "])
def test_columns_are_found_in_both_spellings_any_case_and_with_stray_spaces(change: Any) -> None:
    """How a name is written does not matter, and each column is the input of its name."""
    read = table_of(text_of([change(name) for name in SPACED], VALID))

    assert [column.target for column in read.matching.columns] == list(NAMES)
    assert read.matching.missing == ()


def test_other_columns_are_ignored_and_missing_inputs_named_with_the_nearest() -> None:
    """A column nobody knows stays, an input without one is named, with what may be meant."""
    header = ["Years", "GENDRE", *NAMES[2:], "subject_id", "Âge"]
    read = table_of(text_of(header, [*VALID, "p-1", "x"]))

    assert [column.name for column in read.matching.ignored] == ["Years", "GENDRE", "Âge"]
    assert [(gap.name, gap.nearest) for gap in read.matching.missing] == [
        ("AGE", "Âge"),
        ("GENDER", "GENDRE"),
    ]
    assert [column.target for column in read.matching.used][-1] == "subject_id"


def test_a_column_of_the_schemas_own_subject_is_sent_as_such() -> None:
    """The client's name for the subject is found like any input."""
    schema = SCHEMA.model_copy(update={"subject": "employee_id"})
    read = table_of(text_of([*NAMES, "Employee ID"], [*VALID, "7"]), schema)

    assert read.matching.columns[-1].target == "employee_id"


def test_windows_text_is_read_and_the_line_that_gave_it_away_is_said() -> None:
    """A file in cp1252 is taken as that, in words, and its accents are right."""
    read = table_of(text_of([*NAMES, "name"], [*VALID, "Ann"]) + f"{','.join(VALID)},Zoé\n".encode("cp1252"))

    assert [cells[-1] for cells in cells_of(read)] == ["Ann", "Zoé"]
    assert [(note.key, note.values) for note in read.notes] == [("batch.note_cp1252", {"line": 3})]


def test_an_accent_cut_in_two_by_reading_in_parts_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """UTF-8 is recognised however the file is cut into parts while it is read."""
    monkeypatch.setattr(delimited, "CHUNK_BYTES", 7)
    read = table_of(text_of([*NAMES, "name"], [*VALID, "éàü€🙂" * 5]))

    assert cells_of(read)[0][-1] == "éàü€🙂" * 5
    assert read.notes == ()


def test_quoted_delimiters_and_line_ends_stay_in_their_cell() -> None:
    """A row's number is the line on which it begins."""
    content = text_of([*NAMES, "note"]) + (",".join(VALID) + ',"a,\nb"\n').encode() + text_of([*VALID, "c"])
    rows = [row for _, block in table_of(content).rows.blocks() for row in block]

    assert [(number, cells[-1]) for number, cells in rows] == [(2, "a,\nb"), (4, "c")]


def test_excels_own_word_for_the_delimiter_is_not_a_header() -> None:
    """A first line sep=; names the delimiter."""
    read = table_of(b"sep=;\n" + text_of(NAMES, VALID, delimiter=";"))

    assert [number for _, block in read.rows.blocks() for number, _ in block] == [3]
    assert read.header == NAMES


@pytest.mark.parametrize(
    ("ages", "delimiter", "comma"),
    [
        (["63,5", "64"], ";", True),
        (["63,5", "64.5"], ";", False),
        (["63.5"], ";", False),
        (["63"], "\t", False),
    ],
)
def test_commas_are_decimal_only_where_no_number_has_a_point(
    ages: list[str], delimiter: str, comma: bool
) -> None:
    """One way of writing numbers per file, found in its own numbers, and said."""
    read = table_of(text_of(NAMES, *([age, *VALID[1:]] for age in ages), delimiter=delimiter))

    assert read.decimal_comma is comma
    assert ("batch.note_decimal_comma" in [note.key for note in read.notes]) is comma


def test_a_workbooks_cells_keep_their_kind() -> None:
    """Numbers stay numbers, dates become ISO text, an empty cell is none, and empty rows are left out."""
    moment = datetime(2026, 11, 20, 10, 30)  # noqa: DTZ001 - a spreadsheet's dates have no zone
    row = [63, 1.5, True, None, *[0] * 10, moment, date(2026, 1, 2), "=1+1"]
    read = table_of(workbook_of([*NAMES, "at", "on", "sum"], row, [None] * 17, [*VALID, "", "", "x"]))

    assert cells_of(read)[0] == [
        63,
        1.5,
        True,
        None,
        *[0] * 10,
        "2026-11-20 10:30:00",
        "2026-01-02 00:00:00",
        None,
    ]
    assert [number for _, block in read.rows.blocks() for number, _ in block] == [2, 4]


def test_of_several_sheets_the_first_one_shown_is_read_and_said() -> None:
    """A hidden sheet is not looked at; which one was read is a note."""

    def prepare(book: Any) -> None:
        book.active.title = "cases"
        book.create_sheet("hidden", 0).sheet_state = "hidden"
        book.create_sheet("other")

    read = table_of(workbook_of(NAMES, VALID, prepare=prepare))

    assert cells_of(read) == [VALID]
    assert [(note.key, note.values) for note in read.notes] == [
        ("batch.note_sheet", {"sheet": "cases", "count": 2})
    ]


def zip_of(**parts: bytes) -> bytes:
    """Return an archive of parts; a double underscore stands for a slash."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/") + ".xml", content)
    return buffer.getvalue()


@cache
def texts_of_all_pages() -> Texts:
    """Return what the pages say; reading their files takes a while."""
    return Texts()


RAGGED = [NAMES, VALID, VALID[:-1], [*VALID, "x"], [*VALID, ""]]
WRONG = {
    "nothing": (b"", "batch.fault_empty", {}),
    "blank lines": (b"\n \n,,\n", "batch.fault_empty", {}),
    "header only": (text_of(NAMES), "batch.fault_header_only", {}),
    "header only, Excel": (workbook_of(NAMES), "batch.fault_header_only", {}),
    "no header": (text_of(VALID[:2], VALID[:2]), "batch.fault_no_inputs", {"columns": "“63”, “1”"}),
    "ragged": (
        text_of(*RAGGED),
        "batch.fault_ragged",
        {"count": 2, "lines": "3, 4", "found": 13, "width": 14},
    ),
    "open quote": (text_of(NAMES) + b'"63,1\n', "batch.fault_quotes", {"line": 2}),
    "text after a quote": (text_of(NAMES, VALID) + b'"63"x,1\n', "batch.fault_quotes", {"line": 3}),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0", "batch.fault_binary", {"line": 3}),
    "utf-16": ("AGE;GENDER\n".encode("utf-16"), "batch.fault_utf16", {}),
    "no encoding": (text_of(NAMES, VALID) + b"\x81\n", "batch.fault_encoding", {"line": 3}),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "batch.fault_old_excel", {}),
    "archive": (zip_of(word__document=b"<x/>"), "batch.fault_not_a_workbook", {}),
    "broken archive": (workbook_of(NAMES, VALID)[:-200], "batch.fault_workbook", {}),
    "broken workbook": (zip_of(xl__workbook=b"<x"), "batch.fault_workbook", {}),
    "columns": (
        text_of([*NAMES, *(f"c{n}" for n in range(10_000))], VALID),
        "batch.fault_too_many_columns",
        {"count": 10_014, "most": 500},
    ),
    "doubled": (
        text_of([*NAMES, "age "], [*VALID, "1"]),
        "batch.fault_doubled",
        {"positions": "1, 15", "names": "“AGE”, “age”"},
    ),
    "doubled elsewhere": (
        text_of([*NAMES, "city", "city"], [*VALID, "a", "b"]),
        "batch.fault_doubled",
        {"positions": "15, 16", "names": "“city”, “city”"},
    ),
    "strangers": (text_of(["a", "b"], ["1", "2"]), "batch.fault_no_inputs", {"columns": "“a”, “b”"}),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_in_a_sentence_that_says_what_and_where(case: str) -> None:
    """Each fault has its sentence in both languages, with the place, and never a stack trace."""
    content, key, values = WRONG[case]
    sentence = fault_of(content)

    assert sentence.key == key
    assert {name: sentence.values[name] for name in values} == values
    texts = texts_of_all_pages()
    assert texts.say("en", key, **sentence.values) != texts.say("fr", key, **sentence.values)


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row beyond the bound is one too many; as many as the bound are read."""
    monkeypatch.setattr(table, "MOST_ROWS", 3)

    assert len(table_of(text_of(NAMES, *[VALID] * 3)).rows) == 3
    assert fault_of(text_of(NAMES, *[VALID] * 4)).values == {"most": 3}


def test_a_file_beyond_the_bound_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Size is looked at first."""
    monkeypatch.setattr(table, "LARGEST_FILE_BYTES", 100)

    assert fault_of(text_of(NAMES, VALID)).key == "batch.fault_too_large"


@pytest.mark.parametrize("part", ["xl/worksheets/sheet9.xml", "xl/theme/theme9.xml"])
def test_a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip bomb costs nothing: what its parts say of their size is enough, and cannot be a lie."""
    buffer = io.BytesIO(workbook_of(NAMES, VALID))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(part, "w") as file:
        for _ in range(9):
            file.write(b" " * 1024**2)
    monkeypatch.setattr(workbook, "MOST_UNPACKED_BYTES", 8 * 1024**2)
    monkeypatch.setattr(workbook, "MOST_TEXT_BYTES", 4 * 1024**2)
    monkeypatch.setattr(workbook, "load_workbook", lambda *_, **__: pytest.fail("it was opened"))

    assert len(buffer.getvalue()) < 1024**2
    assert fault_of(buffer.getvalue()).key == "batch.fault_unpacked"


def test_a_sheet_that_claims_a_huge_size_is_as_large_as_what_is_in_it() -> None:
    """The size a sheet gives of itself is not believed."""
    buffer, changed = io.BytesIO(workbook_of(NAMES, VALID)), io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(changed, "w") as new:
        for part in old.infolist():
            content = old.read(part)
            if part.filename.startswith("xl/worksheets/"):
                assert b'ref="A1:N2"' in content
                content = content.replace(b'ref="A1:N2"', b'ref="A1:XFD1048576"')
            new.writestr(part, content)

    assert cells_of(table_of(changed.getvalue())) == [VALID]


def test_entities_in_a_workbook_are_not_expanded_without_bound() -> None:
    """A workbook that multiplies itself by XML entities is refused."""
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "aaaaaaaaaa">{levels}]>'.encode()
    buffer, changed = io.BytesIO(workbook_of(NAMES, VALID)), io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(changed, "w") as new:
        for part in old.infolist():
            content = old.read(part)
            if part.filename.startswith("xl/worksheets/"):
                start = content.index(b"<worksheet")
                content = (
                    content[:start] + bomb + content[start:].replace(b"<sheetData>", b"&e11;<sheetData>")
                )
            new.writestr(part, content)

    with pytest.raises(FileFaultError) as refused:
        table_of(changed.getvalue())
    assert refused.value.sentence.key in {"batch.fault_workbook", "batch.fault_workbook_row"}


def test_rows_are_kept_in_a_file_that_has_no_name() -> None:
    """What a visitor uploaded cannot be opened by anybody else, and is gone with its object."""
    read = table_of(text_of(NAMES, VALID))
    descriptor = read.rows._file.fileno()

    assert "(deleted)" in str(Path(f"/proc/self/fd/{descriptor}").readlink())


def test_a_name_is_compared_without_case_spaces_and_marks() -> None:
    """Accents are part of a name; case, kinds of spaces and underscores are not."""
    assert simplified("\ufeff Chest\u00a0 PAIN_") == "chest_pain"
    assert simplified("Âge") != simplified("Age")


def test_rows_of_empty_cells_do_not_keep_a_reader_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell far to the right makes a row long; a small file of such rows is refused before it takes minutes."""
    monkeypatch.setattr(table, "MOST_CELLS", 100_000)

    def prepare(book: Any) -> None:
        for row in range(2, 12):
            book.active.cell(row, 16_384).number_format = "0.00"

    fault = fault_of(workbook_of(NAMES, *[VALID] * 10, prepare=prepare))
    assert (fault.key, fault.values["row"]) == ("batch.fault_too_many_cells", 8)

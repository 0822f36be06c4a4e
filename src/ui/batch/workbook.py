"""A workbook (.xlsx), row by row: its size is looked at before any of it is unpacked."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Generator
from contextlib import closing
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO, Final
from xml.etree.ElementTree import ParseError  # nosec B405: the exception alone

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from vigie.ui.batch.sentence import FileFaultError, Sentence
from vigie.ui.batch.values import Cell

MEBIBYTE: Final = 1024 * 1024
MOST_UNPACKED_BYTES: Final = 400 * MEBIBYTE
"""Of all parts together; 100,000 rows of 20 columns are about 100 MiB. A part never unpacks to more than the
archive says of it, so what is said can be believed."""
MOST_TEXT_BYTES: Final = 64 * MEBIBYTE
"""Of the part with the texts, which is in memory while the rows are read."""
MOST_PARTS: Final = 2000
MOST_LINES: Final = 1_048_576
"""Rows that a sheet of Excel has."""
_BROKEN: Final = (
    zipfile.BadZipFile,
    InvalidFileException,
    ParseError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
    NotImplementedError,  # an archive in a way of packing that nobody uses
)
"""What openpyxl raises for a file that only looks like a workbook."""
_LARGEST: Final = 2**63 - 1


class Workbook:
    """The first sheet of a workbook that is shown."""

    delimiter = ","
    comma_may_be_decimal = True

    def __init__(self, file: BinaryIO) -> None:
        """Open `file`. Raises FileFaultError when it is no workbook, or would unpack to too much."""
        self.notes: list[Sentence] = []
        _check_size(file)
        try:
            self._book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
            sheets = [sheet for sheet in self._book.worksheets if sheet.sheet_state == "visible"]
        except _BROKEN as error:
            raise FileFaultError("batch.fault_workbook", reason=_short(error)) from error
        if not sheets:
            raise FileFaultError("batch.fault_no_sheet")
        self._sheet: Any = sheets[0]
        if len(sheets) > 1:
            values = {"sheet": str(sheets[0].title), "count": len(sheets)}
            self.notes.append(Sentence("batch.note_sheet", values))

    def rows(self) -> Generator[tuple[int, list[Cell]], None, None]:
        """Yield each row's number, from 1 on, with its cells.

        Raises FileFaultError where the sheet is broken.
        """
        self._sheet.reset_dimensions()  # a file may say anything of its size
        with closing(self._book), closing(self._sheet.iter_rows(values_only=True)) as rows:
            for number in range(1, MOST_LINES + 1):
                try:
                    cells = next(rows, None)
                except _BROKEN as error:
                    reason = _short(error)
                    raise FileFaultError("batch.fault_workbook_row", row=number, reason=reason) from error
                if cells is None:
                    break
                yield number, [_cell(value) for value in cells]


def _check_size(file: BinaryIO) -> None:
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise FileFaultError("batch.fault_workbook", reason=_short(error)) from error
    if not any(part.filename == "xl/workbook.xml" for part in parts):
        raise FileFaultError("batch.fault_not_a_workbook")
    unpacked = sum(part.file_size for part in parts)
    texts = sum(part.file_size for part in parts if not part.filename.startswith("xl/worksheets/"))
    if unpacked > MOST_UNPACKED_BYTES or len(parts) > MOST_PARTS or texts > MOST_TEXT_BYTES:
        raise FileFaultError(
            "batch.fault_unpacked",
            megabytes=unpacked // MEBIBYTE,
            most=(MOST_TEXT_BYTES if texts > MOST_TEXT_BYTES else MOST_UNPACKED_BYTES) // MEBIBYTE,
        )
    file.seek(0)


def _cell(value: object) -> Cell:
    """Return a value as JSON can hold it: dates in ISO 8601, numbers that no JSON reader takes as text."""
    match value:
        case bool() | None | str():
            return value
        case int():
            return value if -_LARGEST <= value <= _LARGEST else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime():
            return value.isoformat(sep=" ")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case _:
            return str(value)


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:120]

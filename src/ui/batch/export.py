"""Results as files: every original column, the answer beside it, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Final, Literal

import orjson
from openpyxl import Workbook

from vigie.ui.batch.results import Results
from vigie.ui.batch.row_file import BLOCK_ROWS
from vigie.ui.batch.table import Table
from vigie.ui.batch.values import Cell, number_in

Format = Literal["csv", "json", "xlsx"]
Part = Literal["all", "refused"]

OWN_COLUMNS: Final = (
    "row",
    "prediction",
    "label",
    "probability",
    "confidence",
    "transaction_id",
    "error",
)
"""What a result has beside the file's own columns; `row` is the row's number in the file."""
DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings at which spreadsheets take a text for a formula (OWASP, "CSV Injection")."""
_ELSEWHERE: Final = re.compile('([;,\t\r\n][\\s"]*)(?=[=+\\-@＝＋－＠])')
"""Where a formula begins for a spreadsheet that cuts at another delimiter, as a French Excel cuts at ;."""
_UNWRITABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that no XML can hold."""
LONGEST_EXCEL_TEXT: Final = 32_767
SHEET_DIGITS: Final = 15
"""Characters of a number that a spreadsheet keeps exactly."""
_NOT_ASKED: Final = (None,) * (len(OWN_COLUMNS) - 1)


@dataclass(frozen=True, slots=True)
class Export:
    """The results of a run on a table, or the refused rows of it."""

    table: Table
    results: Results
    part: Part

    @property
    def columns(self) -> list[str]:
        """Names of all columns; ours give way to the file's own, so that no name is there twice."""
        own = [name or f"column_{place}" for place, name in enumerate(self.table.header, start=1)]
        taken = {name.casefold() for name in own}
        return own + [_free(name, taken) for name in OWN_COLUMNS]

    def rows(self) -> Iterator[list[Cell]]:
        """Yield every row: its cells as they were in the file, then the answer (None: not asked yet)."""
        for first, rows in self.table.rows.blocks():
            answers = self.results.get(first, first + len(rows))
            for (number, cells), answer in zip(rows, answers, strict=True):
                if self.part == "all" or (answer and answer.error is not None):
                    yield [*cells, number, *(answer or _NOT_ASKED)]

    def csv(self) -> Iterator[bytes]:
        """Yield CSV, delimited and with decimal separators as the file was, in UTF-8 that Excel knows."""
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, delimiter=self.table.delimiter)
        comma = self.table.decimal_comma
        buffer.write("\ufeff")
        writer.writerow([_written(name, comma) for name in self.columns])
        for count, row in enumerate(self.rows(), start=1):
            writer.writerow([_written(cell, comma) for cell in row])
            if count % BLOCK_ROWS == 0:
                yield _taken(buffer)
        yield _taken(buffer)

    def json(self) -> Iterator[bytes]:
        """Yield a JSON array with one object per row, cells as they are in the file."""
        columns, rows = self.columns, self.rows()
        separator = b"[\n"
        while block := list(islice(rows, BLOCK_ROWS)):
            lines = (orjson.dumps(dict(zip(columns, row, strict=True))) for row in block)
            yield separator + b",\n".join(lines)
            separator = b",\n"
        yield b"[]\n" if separator == b"[\n" else b"\n]\n"

    def xlsx(self) -> BinaryIO:
        """Return a workbook in a file without a name, to be read from its beginning and closed."""
        book = Workbook(write_only=True)
        sheet = book.create_sheet("results" if self.part == "all" else "refused")
        comma = self.table.decimal_comma
        sheet.append([_in_sheet(name, comma) for name in self.columns])
        for row in self.rows():
            sheet.append([_in_sheet(cell, comma) for cell in row])
        file = tempfile.TemporaryFile(prefix="vigie-batch-")  # noqa: SIM115 - whoever asked closes it
        book.save(file)
        file.seek(0)
        return file


def defused(text: str, decimal_comma: bool) -> str:
    """Return a text that a spreadsheet shows and never runs; one that is a number stays what it is.

    A text that begins as a formula does gets an apostrophe before it, which a spreadsheet reads as "text".
    """
    if number_in(text, decimal_comma) is not None:
        return text
    return f"'{text}" if text.startswith(DANGEROUS) or text.lstrip().startswith(DANGEROUS) else text


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else _free(f"vigie_{name}", taken)


def _written(cell: Cell, decimal_comma: bool) -> Cell:
    """Return a cell for delimited text, harmless too where it is taken apart at what is no delimiter here."""
    if isinstance(cell, str):
        if number_in(cell, decimal_comma) is not None:
            return cell
        return _ELSEWHERE.sub(r"\1'", defused(cell, decimal_comma))
    return str(cell).replace(".", ",") if decimal_comma and isinstance(cell, float) else cell


def _in_sheet(cell: Cell, decimal_comma: bool) -> Cell:
    """Return a cell for a workbook: a number where that loses nothing (an id such as 007 is text)."""
    if not isinstance(cell, str):
        return cell
    number = number_in(cell, decimal_comma)
    if number is not None and len(cell) <= SHEET_DIGITS and str(number) == cell.replace(",", "."):
        return number
    return _UNWRITABLE.sub("\ufffd", defused(cell, decimal_comma))[:LONGEST_EXCEL_TEXT]


def _taken(buffer: io.StringIO) -> bytes:
    written = buffer.getvalue().encode("utf-8", "replace")
    buffer.seek(0)
    buffer.truncate()
    return written

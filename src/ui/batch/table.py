"""The uploaded table: read once from the file, checked in its outer form, kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, Final, Protocol

from vigie.schema import FeatureSchema
from vigie.ui.batch.columns import Matching, known_names, match
from vigie.ui.batch.delimited import DelimitedText
from vigie.ui.batch.row_file import BLOCK_ROWS, RowFile
from vigie.ui.batch.sentence import FileFaultError, Sentence
from vigie.ui.batch.values import Cell, is_blank, separators_in
from vigie.ui.batch.workbook import Workbook

MOST_ROWS: Final = 200_000
"""Twice of what people bring; an hour of answers is the programs' business, by the API."""
MOST_COLUMNS: Final = 500
"""Columns beyond the model's inputs stay in the results; a file of more is a matrix, not a list of cases."""
MOST_CELLS: Final = 40_000_000
"""Read in all, empty ones included: a few bytes of a workbook can stand for a row of 16,384 empty cells."""
LARGEST_FILE_BYTES: Final = 32 * 1024 * 1024
"""200,000 rows of the reference model are 7 MB, with a few columns of text beside them 25 MB."""
MOST_LINES_NAMED: Final = 5
_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""Excel's format before 2007, and a workbook with a password."""

Progress = Callable[[float], None]
"""Told the share (0–1) of the file that is read."""


class Source(Protocol):
    """A file's rows, whatever it is."""

    notes: list[Sentence]
    delimiter: str
    comma_may_be_decimal: bool

    def rows(self) -> Generator[tuple[int, list[Cell]], None, None]:
        """Yield each row's number in the file with its cells; raises FileFaultError."""


@dataclass(frozen=True, slots=True)
class Table:
    """What was uploaded."""

    name: str
    """The file's name as its owner has it."""
    header: tuple[str, ...]
    matching: Matching
    rows: RowFile
    """Of each row its number in the file and its cells, as many as the header has."""
    notes: tuple[Sentence, ...]
    """What was decided in reading."""
    delimiter: str
    decimal_comma: bool
    """Whether numbers in text have a comma for a point."""


def read_table(file: BinaryIO, name: str, schema: FeatureSchema, progress: Progress) -> Table:
    """Return the table in `file`.

    Raises FileFaultError, with a sentence for its owner, when it cannot be used; OSError: the disk is full.
    """
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise FileFaultError("batch.fault_empty")
    if size > LARGEST_FILE_BYTES:
        raise FileFaultError("batch.fault_too_large", most=LARGEST_FILE_BYTES // 1024**2)
    source = _source(file, schema)
    # A source that is not gone through to its end lets go of the file before its owner closes that.
    with closing(source.rows()) as rows:
        header, matching, reading = _read_rows(
            _filled(rows), schema, isinstance(source, DelimitedText), lambda: progress(file.tell() / size)
        )
    comma = source.comma_may_be_decimal and reading.separators == {","}
    notes = [*source.notes, *([Sentence("batch.note_decimal_comma")] if comma else [])]
    return Table(name, tuple(header), matching, reading.rows, tuple(notes), source.delimiter, comma)


def _read_rows(
    rows: Iterator[tuple[int, list[Cell]]], schema: FeatureSchema, exact: bool, progress: Callable[[], None]
) -> tuple[list[str], Matching, _Reading]:
    first = next(rows, None)
    if first is None:
        raise FileFaultError("batch.fault_empty")
    header = _header(first[1])
    matching = match(header, schema)
    numeric = [
        column.position
        for column in matching.used
        if (feature := schema.by_name.get(str(column.target))) and feature.type != "category"
    ]
    reading = _Reading(len(header), numeric, exact)
    for number, cells in rows:
        reading.take(number, cells)
        if reading.count % BLOCK_ROWS == 0:
            progress()
    reading.finish()
    return header, matching, reading


def _source(file: BinaryIO, schema: FeatureSchema) -> Source:
    """Return the reader for what the file is: what is in it counts, not how it is called."""
    file.seek(0)
    beginning = file.read(8)
    if beginning.startswith(_OLE):
        raise FileFaultError("batch.fault_old_excel")
    return Workbook(file) if beginning.startswith(_ZIP) else DelimitedText(file, known_names(schema))


def _filled(rows: Iterable[tuple[int, list[Cell]]]) -> Iterator[tuple[int, list[Cell]]]:
    """Leave out the rows in which nothing is; raises FileFaultError beyond MOST_CELLS."""
    read = 0
    for number, cells in rows:
        read += len(cells)
        if read > MOST_CELLS:
            raise FileFaultError("batch.fault_too_many_cells", row=number, most=MOST_CELLS)
        if not all(map(is_blank, cells)):
            yield number, cells


def _header(cells: Sequence[Cell]) -> list[str]:
    names = ["" if is_blank(cell) else str(cell).replace("\ufeff", "").strip() for cell in cells]
    while not names[-1]:
        names.pop()
    if len(names) > MOST_COLUMNS:
        raise FileFaultError("batch.fault_too_many_columns", count=len(names), most=MOST_COLUMNS)
    return names


class _Reading:
    """Rows on their way into the table."""

    def __init__(self, width: int, numeric: Sequence[int], exact: bool) -> None:
        self.rows = RowFile()
        self.count = 0
        self.separators: set[str] = set()
        self._width = width
        self._numeric = numeric
        self._exact = exact
        """Whether a row without its last cells is ragged; a spreadsheet leaves out empty ones."""
        self._block: list[Any] = []
        self._ragged: list[tuple[int, int]] = []
        self._ragged_count = 0

    def take(self, number: int, cells: list[Cell]) -> None:
        """Take one row; raises FileFaultError for one too many."""
        self.count += 1
        if self.count > MOST_ROWS:
            raise FileFaultError("batch.fault_too_many_rows", most=MOST_ROWS)
        found = len(cells)
        while len(cells) > self._width and is_blank(cells[-1]):
            cells.pop()
        if len(cells) > self._width or (self._exact and len(cells) < self._width):
            self._ragged_count += 1
            if len(self._ragged) < MOST_LINES_NAMED:
                self._ragged.append((number, found))
            return
        cells += [None] * (self._width - len(cells))
        for position in self._numeric:
            cell = cells[position]
            if isinstance(cell, str):
                self.separators.add(separators_in(cell))
        self._block.append([number, cells])
        if len(self._block) == BLOCK_ROWS:
            self._keep()

    def finish(self) -> None:
        """Keep the last rows; raises FileFaultError when there are none, or ragged ones."""
        self.separators.discard("")
        if self._ragged:
            raise FileFaultError(
                "batch.fault_ragged",
                count=self._ragged_count,
                lines=", ".join(str(number) for number, _ in chain(self._ragged)),
                found=self._ragged[0][1],
                width=self._width,
            )
        if not self.count:
            raise FileFaultError("batch.fault_header_only")
        self._keep()

    def _keep(self) -> None:
        self.rows.put(len(self.rows), self._block)
        self._block = []

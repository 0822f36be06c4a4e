"""Delimited text, row by row: encoding and delimiter found out, and every doubt said in a sentence."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Generator
from typing import BinaryIO, Final

from vigie.ui.batch.columns import simplified
from vigie.ui.batch.sentence import FileFaultError, Sentence
from vigie.ui.batch.values import Cell

DELIMITERS: Final = (",", ";", "\t")
UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CHUNK_BYTES: Final = 1024 * 1024
LONGEST_FIRST_LINE: Final = 256 * 1024
"""Characters; a first line without an end is no header."""
_CONTROL: Final = bytes(set(range(32)) - {*b"\t\n\v\f\r", 0x1A, 0x1B})
"""Bytes that text does not have, in any encoding that is taken."""


class DelimitedText:
    """A file of delimited text. Reading goes from its beginning, once."""

    def __init__(self, file: BinaryIO, known: Collection[str]) -> None:
        """Find out how `file` is written; `known` are the simplified names of the model's inputs.

        Raises FileFaultError when it is no text, or in an encoding that is not taken.
        """
        self._file = file
        self.notes: list[Sentence] = []
        self._encoding = self._decodable()
        file.seek(0)
        with self._text() as text:
            line = _first_line(text)
            self._skipped = 0
            self.delimiter = _declared(line)
            if self.delimiter:  # the line is Excel's own word for the delimiter
                self._skipped = 1
            else:
                self.delimiter = _likely(line, known)
        self.comma_may_be_decimal = self.delimiter != ","

    def rows(self) -> Generator[tuple[int, list[Cell]], None, None]:
        """Yield the line on which each row begins, from 1 on, with its cells.

        Raises FileFaultError where quotes do not close, or something follows them.
        """
        self._file.seek(0)
        with self._text() as text:
            for _ in range(self._skipped):
                text.readline()
            reader = csv.reader(text, delimiter=self.delimiter, strict=True, skipinitialspace=True)
            line = 1 + self._skipped
            try:
                for cells in reader:
                    yield line, list(cells)
                    line = reader.line_num + 1 + self._skipped
            except csv.Error as error:
                raise FileFaultError("batch.fault_quotes", line=line, reason=str(error)) from error

    def _text(self) -> _Borrowed:
        return _Borrowed(self._file, self._encoding)

    def _decodable(self) -> str:
        """Return the encoding; a file is read once for it, so that no doubt comes up halfway."""
        utf8 = codecs.getincrementaldecoder("utf-8")()
        lines, doubtful_line = 1, 0
        self._file.seek(0)
        if self._file.read(2) in UTF16_MARKS:
            raise FileFaultError("batch.fault_utf16")
        self._file.seek(0)
        while chunk := self._file.read(CHUNK_BYTES):
            control = len(chunk) != len(chunk.translate(None, _CONTROL))
            if control:
                raise FileFaultError("batch.fault_binary", line=lines + _lines_before(chunk))
            if not doubtful_line:
                try:
                    utf8.decode(chunk)
                except UnicodeDecodeError as error:
                    doubtful_line = lines + chunk.count(b"\n", 0, max(error.start, 0))
            lines += chunk.count(b"\n")
        if not doubtful_line:
            try:
                utf8.decode(b"", final=True)
                return "utf-8-sig"
            except UnicodeDecodeError:
                doubtful_line = lines
        self._decodes_as_cp1252()
        self.notes.append(Sentence("batch.note_cp1252", {"line": doubtful_line}))
        return "cp1252"

    def _decodes_as_cp1252(self) -> None:
        lines = 1
        self._file.seek(0)
        while chunk := self._file.read(CHUNK_BYTES):
            try:
                chunk.decode("cp1252")
            except UnicodeDecodeError as error:
                line = lines + chunk.count(b"\n", 0, error.start)
                raise FileFaultError("batch.fault_encoding", line=line) from error
            lines += chunk.count(b"\n")


class _Borrowed:
    """The file as text, for a while: closing the text does not close the file."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        file.seek(0)
        self._text = io.TextIOWrapper(file, encoding, newline="")

    def __enter__(self) -> io.TextIOWrapper:
        return self._text

    def __exit__(self, *_: object) -> None:
        self._text.detach()


def _lines_before(chunk: bytes) -> int:
    first = next(position for position, byte in enumerate(chunk) if byte in _CONTROL)
    return chunk.count(b"\n", 0, first)


def _first_line(text: io.TextIOWrapper) -> str:
    """Return the first line in which something is."""
    while line := text.readline(LONGEST_FIRST_LINE):
        if line.strip():
            return line
    return ""


def _declared(line: str) -> str:
    """Return the delimiter that Excel wrote into a first line of its own (sep=;); nothing without one."""
    declaration = line.rstrip("\r\n")
    return declaration[4:] if declaration.startswith("sep=") and declaration[4:] in DELIMITERS else ""


def _likely(line: str, known: Collection[str]) -> str:
    """Return the delimiter that finds most of the model's inputs in the header, then most columns."""

    def found(delimiter: str) -> tuple[int, int]:
        try:
            names = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:
            return 0, 0
        return sum(simplified(name) in known for name in names), len(names)

    return max(DELIMITERS, key=found)

"""Tables of the reference model for the batch page's tests, as people have them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from openpyxl import Workbook
from tests.servers import ROOT

from vigie.schema import FeatureSchema, load_schema
from vigie.ui.batch.sentence import FileFaultError, Sentence
from vigie.ui.batch.table import Table, read_table

SCHEMA: FeatureSchema = load_schema(ROOT / "model" / "lung_cancer")
NAMES = SCHEMA.names
VALID = ["63", "1", *["0"] * 12]
"""A row that the model takes: AGE, GENDER, and twelve answers."""


def text_of(*rows: Sequence[object], delimiter: str = ",") -> bytes:
    """Return rows as delimited text, nothing quoted."""
    return "".join(delimiter.join(map(str, row)) + "\n" for row in rows).encode()


def workbook_of(*rows: Sequence[object], prepare: Callable[[Any], None] | None = None) -> bytes:
    """Return rows as a workbook; `prepare` may change it before it is written."""
    book = Workbook()
    for row in rows:
        book.active.append(list(row))
    if prepare:
        prepare(book)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def table_of(content: bytes, schema: FeatureSchema = SCHEMA) -> Table:
    """Return the table in a file of that content."""
    return read_table(io.BytesIO(content), "cases.csv", schema, lambda _: None)


def fault_of(content: bytes) -> Sentence:
    """Return why a file of that content cannot be used."""
    with pytest.raises(FileFaultError) as refused:
        table_of(content)
    return refused.value.sentence


def cells_of(table: Table) -> list[list[Any]]:
    """Return all cells of a table."""
    return [cells for _, rows in table.rows.blocks() for _, cells in rows]

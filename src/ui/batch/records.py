"""A table's rows as records for the API, and what the model's own declaration says is wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from vigie.schema import Feature, FeatureSchema
from vigie.subject import LONGEST, Subjects
from vigie.ui.batch.sentence import Sentence
from vigie.ui.batch.table import Table
from vigie.ui.batch.values import Cell, is_blank, reader_of, text_in

FIRST_ROWS: Final = 50
"""Rows that the preview begins with, right or wrong."""
MOST_FAULTY: Final = 200
"""Rows with faults that the preview shows."""

Record = dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason why a row would be refused."""

    field: str
    """The input, or the subject's field."""
    why: Sentence


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One row as the file has it."""

    number: int
    """Its number in the file."""
    cells: Sequence[Cell]
    faults: Sequence[Fault]


@dataclass(frozen=True, slots=True)
class Preview:
    """What is known of a table before anything is sent."""

    count: int
    """Rows."""
    faulty: int
    """Rows that the API would refuse."""
    by_field: Mapping[str, int]
    """Faults of each input, the most frequent first."""
    rows: Sequence[PreviewRow]
    """The first rows, and the faulty ones beyond them as far as they are shown."""


class Records:
    """Reads a table's rows; holds no row."""

    def __init__(self, table: Table, schema: FeatureSchema) -> None:
        self._schema = schema
        subjects = Subjects(schema)
        self._model: type[BaseModel] = subjects.model
        self._all = TypeAdapter(list[self._model])  # type: ignore[name-defined]  # made at run time
        self._readers = [
            (
                column.position,
                str(column.target),
                text_in
                if column.target in subjects.names
                else reader_of(schema.by_name[str(column.target)], table.decimal_comma),
            )
            for column in table.matching.used
        ]

    def of(self, cells: Sequence[Cell]) -> Record:
        """Return the record in a row's `cells`; an empty cell is left out, so that the API names it."""
        return {name: read(cells[at]) for at, name, read in self._readers if not is_blank(cells[at])}

    def faults(self, record: Record) -> list[Fault]:
        """Return what the API will refuse `record` for, by the model that the API reads it with."""
        try:
            self._model.model_validate(record)
        except ValidationError as error:
            return [
                Fault(str(detail["loc"][0]), self._why(str(detail["loc"][0]), detail["type"]))
                for detail in error.errors(include_url=False, include_input=False, include_context=False)
            ]
        return []

    def all_faults(self, records: Sequence[Record]) -> list[list[Fault]]:
        """Return the faults of each of `records`."""
        try:
            self._all.validate_python(records)
        except ValidationError:
            return [self.faults(record) for record in records]
        return [[]] * len(records)

    def _why(self, field: str, kind: str) -> Sentence:
        if kind == "missing":
            return Sentence("batch.why_missing")
        feature = self._schema.by_name.get(field)
        return Sentence("batch.why_subject", {"most": LONGEST}) if feature is None else expected(feature)


def expected(feature: Feature) -> Sentence:
    """Return what a value of the feature has to be."""
    low, high = feature.bounds
    match feature.type:
        case "category":
            return Sentence("batch.why_category", {"categories": ", ".join(feature.categories)})
        case "binary":
            return Sentence("batch.why_binary")
        case "integer":
            return Sentence("batch.why_integer", {"low": f"{low:g}", "high": f"{high:g}"})
        case _:
            return Sentence("batch.why_number", {"low": f"{low:g}", "high": f"{high:g}"})


def preview_of(table: Table, records: Records) -> Preview:
    """Return the preview of a `table`; looks at every row."""
    shown: list[PreviewRow] = []
    by_field: Counter[str] = Counter()
    faulty = 0
    for first, rows in table.rows.blocks():
        faults_of_rows = records.all_faults([records.of(cells) for _, cells in rows])
        for index, ((number, cells), faults) in enumerate(zip(rows, faults_of_rows, strict=True), first):
            by_field.update(fault.field for fault in faults)
            faulty += bool(faults)
            if index < FIRST_ROWS or (faults and faulty <= MOST_FAULTY):
                shown.append(PreviewRow(number, cells, faults))
    return Preview(len(table.rows), faulty, dict(by_field.most_common()), shown)

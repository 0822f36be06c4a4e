"""Reads a survey, a CSV in the layout people have it in, against a schema."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vigie.model.answer_coding import Coding, Decoder, SurveyError, decoder_for, evidence, target_decoder
from vigie.model.dataset import Dataset
from vigie.model.feature_matrix import Record
from vigie.schema import FeatureSchema

DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class _Table:
    """The cells of a file, stripped; `rows` are (row number, cells), the header being row 1."""

    file: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def column(self, position: int) -> list[tuple[int, str]]:
        return [(number, cells[position]) for number, cells in self.rows]


def read_survey(file: Path, schema: FeatureSchema) -> Dataset:
    """Read the labelled rows of the CSV `file`.

    The header row names the schema's features and its target, in any order and case, with spaces or
    underscores, stray spaces ignored; other columns are ignored with a notice. Fields are separated by
    commas, semicolons or tabs. How yes/no columns are understood: `vigie.model.answer_coding`. Rows that
    repeat an earlier row of the file, ignored columns included, are dropped with a notice.

    Raises SurveyError naming the column and the row (the header is row 1) of what does not fit.
    """
    table = _read_table(file)
    places, ignored = _match_header(table, schema)
    decoders = _decoders(table, places, schema)
    kept, dropped = _without_duplicates(table)
    notices = []
    if ignored:
        notices.append(f"{file}: columns ignored: {', '.join(ignored)}")
    if dropped:
        shown = ", ".join(map(str, dropped[:10])) + (" …" if len(dropped) > 10 else "")
        notices.append(f"{file}: {len(dropped)} duplicate rows dropped (rows {shown})")
    records: list[Record] = []
    labels: list[str] = []
    for number, cells in table.rows:
        values = {name: decoders[name](cells[place], number) for name, place in places.items()}
        if number in kept:
            labels.append(str(values.pop(schema.target.name)))
            records.append({name: values[name] for name in schema.names})
    return Dataset(records, labels, f"survey {file.name}", notices=tuple(notices))


def _read_table(file: Path) -> _Table:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SurveyError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SurveyError(f"{file}, row {line}: not UTF-8 text; save the file as CSV UTF-8") from error
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    rows: list[list[str]] = []
    try:
        rows.extend(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise SurveyError(f"{file}, row {len(rows) + 1}: not CSV ({error})") from error
    numbered = [
        (number, [cell.strip() for cell in row])
        for number, row in enumerate(rows, start=1)
        if any(cell.strip() for cell in row)
    ]
    if len(numbered) < 2:
        raise SurveyError(f"{file}: needs a header row and at least one row of answers")
    (_, header), *body = numbered
    for number, cells in body:
        if len(cells) != len(header):
            raise SurveyError(
                f"{file}, row {number}: has {len(cells)} fields, the header has {len(header)} columns"
            )
    return _Table(file, header, body)


def _canonical(name: str) -> str:
    return "_".join(name.replace("_", " ").split()).casefold()


def _match_header(table: _Table, schema: FeatureSchema) -> tuple[dict[str, int], list[str]]:
    """Return the position of each column of the schema, and the names of the columns it does not have."""
    wanted = {_canonical(name): name for name in (*schema.names, schema.target.name)}
    places: dict[str, int] = {}
    ignored = []
    for position, title in enumerate(table.header):
        name = wanted.get(_canonical(title))
        if name is None:
            ignored.append(title or f"number {position + 1}, which has no name")
        elif name in places:
            raise SurveyError(f"{table.file}, row 1: column {name} occurs twice")
        else:
            places[name] = position
    missing = [name for name in wanted.values() if name not in places]
    if missing:
        raise SurveyError(
            f"{table.file}, row 1: column {', '.join(missing)} is missing; found: {', '.join(table.header)}"
        )
    return places, ignored


def _decoders(table: _Table, places: Mapping[str, int], schema: FeatureSchema) -> dict[str, Decoder]:
    columns = {name: table.column(place) for name, place in places.items()}
    codings = _codings(columns, schema)
    decoders = {
        feature.name: decoder_for(feature, columns[feature.name], codings, table.file)
        for feature in schema.features
    }
    decoders[schema.target.name] = target_decoder(
        schema.target, columns[schema.target.name], codings, table.file
    )
    return decoders


def _codings(columns: Mapping[str, Sequence[tuple[int, str]]], schema: FeatureSchema) -> frozenset[Coding]:
    """Return the number codings that the file's yes/no columns show beyond doubt."""
    yes_no = (f.name for f in schema.features if f.type == "binary" and not f.values)
    shown = (evidence({cell for _, cell in columns[name]}) for name in yes_no)
    return frozenset(coding for coding in shown if coding is not None)


def _without_duplicates(table: _Table) -> tuple[set[int], list[int]]:
    """Return the numbers of the rows to keep, and of those that repeat an earlier one."""
    first: dict[tuple[str, ...], int] = {}
    dropped = []
    for number, cells in table.rows:
        if first.setdefault(tuple(cell.casefold() for cell in cells), number) != number:
            dropped.append(number)
    return set(first.values()), dropped

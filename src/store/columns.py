"""How mapped fields become columns of a tantivy index.

Each leaf has a typed column of its own, under a generated name, so that no field name can clash with
tantivy's syntax. Keyword terms are kept as hexadecimal UTF-8: its order is that of the text, tantivy's
parser (the only way to a range over text) takes it without escapes, and prefixes and wildcards become
patterns over ASCII.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import tantivy

from vigie.store.dates import NANOS_PER_MS
from vigie.store.documents import Flattened
from vigie.store.mapping import FLOAT_TYPES, Field, Mapping

ID = "_id"
SOURCE = "_source"
SEQUENCE = "_seq"
VERSION = "_version"
PRESENT = "_present"
SEVERAL = "_several"
# Columns without values stand in where a field is not mapped.
NO_KEYWORD = "_no_keyword"
NO_INTEGER = "_no_integer"
NO_FLOAT = "_no_float"

# Unicode's word boundaries (UAX #29) as far as Elasticsearch's standard tokenizer depends on them: letters
# joined by a colon, full stop or apostrophe, digits joined by a comma, full stop, semicolon or apostrophe.
_LETTER = r"[\p{L}\p{M}--[\p{Han}\p{Hiragana}]]"
_WORD = rf"(?:{_LETTER}(?:[:.'’·]{_LETTER})*|\p{{N}}(?:[.,;'’]\p{{N}})*|_)+|[\p{{Han}}\p{{Hiragana}}]"
STANDARD_ANALYZER = (
    tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(_WORD)).filter(tantivy.Filter.lowercase()).build()
)


def encode_term(text: str) -> str:
    """Return a keyword as its indexed term; terms sort as the texts' code points do."""
    return "x" + text.encode().hex()


def decode_term(term: str) -> str:
    """Return the keyword of an indexed term."""
    return bytes.fromhex(term[1:]).decode()


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field's values are.

    `kind` is keyword, text, float or integer (also dates and booleans). `millis` is the column of whole
    milliseconds that histograms and metrics over date_nanos use; for other types it is `name` itself.
    """

    field: Field
    name: str
    kind: str
    millis: str


def columns_of(mapping: Mapping) -> dict[str, Column]:
    """Return the column of each field that is indexed, by the field's path."""
    kept = [mapping.fields[path] for path in sorted(mapping.fields)]
    return {field.path: _column(field, f"f{number}") for number, field in enumerate(kept) if field.searchable}


def _column(field: Field, name: str) -> Column:
    kind = "integer"
    if field.type in ("keyword", "text"):
        kind = field.type
    elif field.type in FLOAT_TYPES:
        kind = "float"
    return Column(field, name, kind, name + "m" if field.type == "date_nanos" else name)


def tantivy_schema(columns: Iterable[Column]) -> tantivy.Schema:
    """Return the schema: the store's own columns and those of the fields.

    Numbers are in columns only: their ranges need no inverted index, which would cost a third of the writing.
    """
    builder = tantivy.SchemaBuilder()
    builder.add_text_field(ID, stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_bytes_field(SOURCE, stored=True)
    builder.add_integer_field(SEQUENCE, indexed=True, fast=True)
    builder.add_integer_field(VERSION, fast=True)
    builder.add_text_field(PRESENT, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(SEVERAL, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(NO_KEYWORD, fast=True, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field(NO_INTEGER, fast=True)
    builder.add_float_field(NO_FLOAT, fast=True)
    for column in columns:
        if column.kind == "keyword":
            builder.add_text_field(column.name, fast=True, tokenizer_name="raw", index_option="basic")
        elif column.kind == "text":
            builder.add_text_field(column.name, tokenizer_name="standard", index_option="position")
        elif column.kind == "float":
            builder.add_float_field(column.name, fast=True)
        else:
            builder.add_integer_field(column.name, fast=True)
            if column.millis != column.name:
                builder.add_integer_field(column.millis, fast=True)
    return builder.build()


def column_values(values: Flattened, columns: dict[str, Column]) -> dict[str, object]:
    """Return a document's values by column name; of several, the smallest comes first."""
    result: dict[str, object] = {}
    several, present = [], []
    for path, found in values.items():
        column = columns.get(path)
        if column is None:
            continue
        name, kind = column.name, column.kind
        if kind == "text":
            result[name] = found
            present.append(name)
        elif isinstance(found, list):
            terms = sorted({encode_term(str(v)) for v in found}) if kind == "keyword" else sorted(found)
            result[name] = terms
            if len(terms) > 1:
                several.append(name)
            if column.millis != name:
                result[column.millis] = [int(value) // NANOS_PER_MS for value in found]
        elif isinstance(found, str):
            result[name] = encode_term(found)
        else:
            result[name] = found
            if column.millis != name:
                result[column.millis] = int(found) // NANOS_PER_MS
    if several:
        result[SEVERAL] = several
    if present:
        result[PRESENT] = present
    return result

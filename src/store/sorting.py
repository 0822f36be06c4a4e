"""Sorting: specifications, `search_after`, and the best documents of one generation in exact order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import tantivy

from vigie.store.columns import SEQUENCE, Column, encode_term
from vigie.store.date_math import parse_instant
from vigie.store.dates import NANOS_PER_MS, DateFormat, date_format
from vigie.store.errors import ShardError, parsing, unknown_field
from vigie.store.full_text import term_of_text
from vigie.store.mapping import DATE_TYPES, FLOAT_TYPES, NUMERIC_TYPES
from vigie.store.query_context import Query, QueryContext, all_of, any_of, none_of
from vigie.store.ranges import Bounds, between, float_range, integer_range

SortValue = int | float | str | None
_OPTIONS = frozenset({"order", "missing", "unmapped_type", "format"})
_MIN_LONG, _MAX_LONG = -(2**63), 2**63 - 1
_EXTREMES = {True: _MAX_LONG, False: _MIN_LONG}
_SORTABLE = NUMERIC_TYPES | DATE_TYPES | {"keyword", "boolean"}


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key as requested; `field` may be `_doc`, the order of writing."""

    field: str
    descending: bool = False
    missing_last: bool = True
    unmapped_type: str | None = None
    format: DateFormat | None = None


@dataclass(frozen=True, slots=True)
class ResolvedKey:
    """A key for one generation: its column (None: not mapped, so every document lacks it) and type."""

    key: SortKey
    column: Column | None
    type: str

    @property
    def name(self) -> str:
        """The column sorted by."""
        return SEQUENCE if self.column is None else self.column.name

    @property
    def is_written_order(self) -> bool:
        """Whether this is `_doc`."""
        return self.key.field == "_doc"


def parse_sort(source: object) -> list[SortKey]:
    """Return the keys of a search's `sort`. Raises for options and kinds of sort not supported."""
    parts = source if isinstance(source, list) else [] if source is None else [source]
    keys: list[SortKey] = []
    for part in parts:
        if isinstance(part, str):
            keys.append(SortKey(part))
        elif isinstance(part, dict):
            keys += [_parse_key(field, options) for field, options in part.items()]
        else:
            raise parsing(f"malformed sort format, unexpected [{part}]")
    if [key.field for key in keys] == ["_score"] and not keys[0].descending:
        return []
    for key in keys:
        if key.field in ("_score", "_geo_distance", "_script"):
            raise parsing(f"[sort] by [{key.field}] is not supported by this store")
    return keys


def _parse_key(field: str, options: object) -> SortKey:
    if isinstance(options, str):
        options = {"order": options}
    if not isinstance(options, dict):
        raise parsing(f"malformed sort of [{field}]")
    for name in options:
        if name not in _OPTIONS:
            raise unknown_field("sort", name)
    order = str(options.get("order", "asc")).lower()
    missing = options.get("missing", "_last")
    if order not in ("asc", "desc"):
        raise parsing(f"[sort] Illegal sort order: {order}")
    if missing not in ("_last", "_first"):
        raise parsing(f"[sort] [missing] of [{missing}] is not supported by this store")
    formats = date_format(options["format"]) if "format" in options else None
    return SortKey(field, order == "desc", missing == "_last", options.get("unmapped_type"), formats)


def resolve(keys: Sequence[SortKey], context: QueryContext) -> list[ResolvedKey]:
    """Return the keys for one generation. Raises as Elasticsearch for unmapped and unsortable fields."""
    return [_resolve(key, context) for key in keys]


def _resolve(key: SortKey, context: QueryContext) -> ResolvedKey:
    if key.field == "_doc":
        return ResolvedKey(key, None, "long")
    if key.field == "_id":
        raise ShardError("illegal_argument_exception", "Fielddata access on the _id field is disallowed")
    field = context.mapping.fields.get(key.field)
    if field is None:
        if key.unmapped_type is None:
            raise ShardError(
                "query_shard_exception",
                f"No mapping found for [{key.field}] in order to sort on",
                index=context.index,
            )
        if key.unmapped_type not in _SORTABLE:
            raise ShardError("illegal_argument_exception", f"No mapper found for type [{key.unmapped_type}]")
        return ResolvedKey(key, None, key.unmapped_type)
    require_doc_values(field.path, context)
    return ResolvedKey(key, context.column(key.field), field.type)


def require_doc_values(path: str, context: QueryContext) -> None:
    """Raise unless the field can be sorted and aggregated: text cannot, nor what has no doc values."""
    field = context.mapping.fields[path]
    if field.type == "text":
        raise ShardError(
            "illegal_argument_exception",
            f"Fielddata is disabled on [{path}] in [{context.index}]. Text fields are not optimised for "
            "operations that require per-document field data like aggregations and sorting, so these "
            "operations are disabled by default. Please use a keyword field instead.",
            index=context.index,
        )
    if not field.doc_values:
        raise ShardError(
            "illegal_argument_exception",
            f"Can't load fielddata on [{path}] because fielddata is unsupported on fields of type "
            f"[{field.type}] without doc values",
            index=context.index,
        )


def shown_value(value: SortValue, resolved: ResolvedKey) -> SortValue:
    """Return a sort value as a hit shows it: the type's extreme for what is missing, dates formatted."""
    kind, key = resolved.type, resolved.key
    if resolved.is_written_order:
        return value
    if kind in DATE_TYPES and key.format is not None:
        if value is None:
            return None
        return key.format.format(int(value) * (NANOS_PER_MS if kind == "date" else 1))
    if value is not None or kind == "keyword":
        return value
    return _missing_value(kind, highest=key.missing_last != key.descending)


def _missing_value(kind: str, *, highest: bool) -> SortValue:
    if kind in FLOAT_TYPES:
        return "Infinity" if highest else "-Infinity"
    lowest = 0 if kind == "date_nanos" else _MIN_LONG
    return _MAX_LONG if highest else lowest


def parse_search_after(values: object, keys: Sequence[ResolvedKey], now: int) -> tuple[SortValue, ...] | None:
    """Return the sort values to continue after, in the form of `Ranked.values`."""
    if values is None:
        return None
    if not isinstance(values, list):
        raise parsing("[search_after] must be an array")
    if not keys:
        raise ShardError("illegal_argument_exception", "Sort must contain at least one field.")
    if len(values) != len(keys):
        raise ShardError(
            "illegal_argument_exception", f"search_after has {len(values)} value(s) but sort has {len(keys)}."
        )
    return tuple(_after_value(value, resolved, now) for value, resolved in zip(values, keys, strict=True))


def _after_value(value: object, resolved: ResolvedKey, now: int) -> SortValue:
    kind, key = resolved.type, resolved.key
    if value is None:
        return None
    if kind == "keyword":
        return term_of_text(value)
    highest = key.missing_last != key.descending
    if not resolved.is_written_order and value in (_missing_value(kind, highest=highest), _EXTREMES[highest]):
        return None
    if kind in DATE_TYPES and isinstance(value, str):
        formats = key.format or (
            resolved.column.field.format if resolved.column else date_format("epoch_millis")
        )
        return parse_instant(value, formats, now, zone=dt.UTC) // (NANOS_PER_MS if kind == "date" else 1)
    try:
        return float(str(value)) if kind in FLOAT_TYPES else int(str(value))
    except ValueError as error:
        raise ShardError(
            "illegal_argument_exception",
            f"Failed to parse search_after value for field [{key.field}]: {value}",
        ) from error


def after_query(after: tuple[SortValue, ...], keys: Sequence[ResolvedKey], context: QueryContext) -> Query:
    """Return the query of documents that come after those sort values."""
    alternatives: list[Query] = []
    equal: list[Query] = []
    for value, resolved in zip(after, keys, strict=True):
        beyond = _beyond(value, resolved, context)
        if beyond is not None:
            alternatives.append(all_of(*equal, beyond))
        equal.append(equal_query(value, resolved, context))
    return any_of(alternatives)


def present_query(resolved: ResolvedKey) -> Query:
    """Return the query of documents that have a value of the key's field."""
    if resolved.is_written_order:
        return Query.all_query()
    return Query.empty_query() if resolved.column is None else Query.exists_query(resolved.name)


def _beyond(value: SortValue, resolved: ResolvedKey, context: QueryContext) -> Query | None:
    key = resolved.key
    if value is None:
        return None if key.missing_last else present_query(resolved)
    strictly = _compared(value, resolved, context, beyond=True)
    return any_of([strictly, none_of(present_query(resolved))]) if key.missing_last else strictly


def equal_query(value: SortValue, resolved: ResolvedKey, context: QueryContext) -> Query:
    """Return the query of documents whose sort value is that one (None: that have none)."""
    if value is None:
        return none_of(present_query(resolved))
    return _compared(value, resolved, context, beyond=False)


def _compared(value: SortValue, resolved: ResolvedKey, context: QueryContext, *, beyond: bool) -> Query:
    """Return the query of documents whose value is equal, or strictly further in the key's order."""
    generation, descending = context.generation, resolved.key.descending
    if resolved.is_written_order:
        low, high = (int(value or 0) + 1, _MAX_LONG) if beyond else (int(value or 0), int(value or 0))
        return Query.range_query(generation.schema, SEQUENCE, tantivy.FieldType.Integer, low, high)
    column = resolved.column
    if column is None:
        return Query.empty_query()
    if column.kind == "keyword":
        if not beyond:
            return Query.term_query(generation.schema, column.name, encode_term(str(value)))
        bounds = (
            Bounds(high=value, includes_high=False) if descending else Bounds(low=value, includes_low=False)
        )
        return between(column, bounds, generation, context.now)
    if column.kind == "float":
        number = float(value or 0.0)
        if not beyond:
            return float_range(column, number, number, generation)
        least, most = (None, number) if descending else (number, None)
        return float_range(column, least, most, generation, includes_low=False, includes_high=False)
    whole = int(value or 0)
    if not beyond:
        return integer_range(column, whole, whole, generation)
    return integer_range(
        column, *((_MIN_LONG, whole - 1) if descending else (whole + 1, _MAX_LONG)), generation
    )

"""Ranges and equality over numbers, dates, booleans and keywords."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tantivy

from vigie.store.columns import Column, encode_term
from vigie.store.date_math import parse_instant
from vigie.store.dates import NANOS_PER_MS, date_format, time_zone
from vigie.store.documents import float_of_type
from vigie.store.errors import JsonObject, ShardError, illegal_argument, parsing
from vigie.store.full_text import term_of_text
from vigie.store.generation import Generation
from vigie.store.mapping import DATE_TYPES, Field

_MIN_LONG, _MAX_LONG = -(2**63), 2**63 - 1
Query = tantivy.Query


@dataclass(frozen=True, slots=True)
class Bounds:
    """The two ends of a range as given (None: open), each with whether it belongs to the range."""

    low: object = None
    high: object = None
    includes_low: bool = True
    includes_high: bool = True
    format: str | None = None
    time_zone: str = "Z"


def bounds_of(parameters: JsonObject) -> Bounds:
    """Return the bounds of a range query's parameters. Raises for an unsupported relation."""
    if parameters.get("relation", "intersects").lower() not in ("intersects", "within", "contains"):
        raise parsing(f"[range] query does not support relation [{parameters['relation']}]")
    low, high = parameters.get("from"), parameters.get("to")
    includes_low = parameters.get("include_lower", True) is not False
    includes_high = parameters.get("include_upper", True) is not False
    if "gte" in parameters or "gt" in parameters:
        includes_low = "gt" not in parameters
        low = parameters.get("gte") if includes_low else parameters["gt"]
    if "lte" in parameters or "lt" in parameters:
        includes_high = "lt" not in parameters
        high = parameters.get("lte") if includes_high else parameters["lt"]
    zone = parameters.get("time_zone", "Z")
    return Bounds(low, high, includes_low, includes_high, parameters.get("format"), zone)


def between(column: Column, bounds: Bounds, generation: Generation, now: int) -> Query:
    """Return the query of documents with a value between the bounds."""
    if column.kind == "keyword":
        return _keyword_range(column, bounds, generation)
    if column.kind == "text":
        raise illegal_argument(
            f"[range] over the text field [{column.field.path}] is not supported by this store"
        )
    if column.kind == "float":
        low = None if bounds.low is None else _float_bound(bounds.low, column.field)
        high = None if bounds.high is None else _float_bound(bounds.high, column.field)
        return float_range(column, low, high, generation, bounds.includes_low, bounds.includes_high)
    if column.field.type in DATE_TYPES:
        return integer_range(column, *_date_bounds(bounds, column.field, now), generation)
    return integer_range(column, *_integer_bounds(bounds, column.field), generation)


def equal_to(column: Column, value: object, generation: Generation, now: int) -> Query:
    """Return the query of documents with that number, boolean or date (all of its unit) as a value."""
    field = column.field
    if field.type in DATE_TYPES:
        return integer_range(column, *_date_bounds(Bounds(value, value), field, now), generation)
    if column.kind == "float":
        number = _float_bound(value, field)
        return float_range(column, number, number, generation)
    number = _number(value, field)
    if number != math.floor(number):
        return Query.empty_query()
    return integer_range(column, int(number), int(number), generation)


def integer_range(column: Column, low: int, high: int, generation: Generation) -> Query:
    """Return the query of documents with a whole number from low to high, both included."""
    low, high = max(low, _MIN_LONG), min(high, _MAX_LONG)
    if low > high:
        return Query.empty_query()
    return Query.range_query(generation.schema, column.name, tantivy.FieldType.Integer, low, high)


def float_range(
    column: Column,
    low: float | None,
    high: float | None,
    generation: Generation,
    includes_low: bool = True,
    includes_high: bool = True,
) -> Query:
    """Return the query of documents with a number between the bounds; None is open."""
    if low is None and high is None:
        return Query.exists_query(column.name)
    # tantivy wants an open end to be an included one.
    includes_low, includes_high = includes_low or low is None, includes_high or high is None
    return Query.range_query(
        generation.schema, column.name, tantivy.FieldType.Float, low, high, includes_low, includes_high
    )


def _keyword_range(column: Column, bounds: Bounds, generation: Generation) -> Query:
    if bounds.low is None and bounds.high is None:
        return Query.exists_query(column.name)
    low = "*" if bounds.low is None else encode_term(term_of_text(bounds.low))
    high = "*" if bounds.high is None else encode_term(term_of_text(bounds.high))
    opening = "[" if bounds.includes_low else "{"
    closing = "]" if bounds.includes_high else "}"
    return generation.parse(f"{column.name}:{opening}{low} TO {high}{closing}", column)


def _date_bounds(bounds: Bounds, field: Field, now: int) -> tuple[int, int]:
    """Return the first and last instant of the range, in the unit of the field's column."""
    formats = field.format if bounds.format is None else date_format(bounds.format)
    zone = time_zone(bounds.time_zone)
    low, high = _MIN_LONG, _MAX_LONG
    unit = NANOS_PER_MS if field.type == "date" else 1
    if bounds.low is not None:
        low = parse_instant(bounds.low, formats, now, round_up=not bounds.includes_low, zone=zone) // unit
        low += not bounds.includes_low
    if bounds.high is not None:
        high = parse_instant(bounds.high, formats, now, round_up=bounds.includes_high, zone=zone) // unit
        high -= not bounds.includes_high
    return low, high


def _integer_bounds(bounds: Bounds, field: Field) -> tuple[int, int]:
    low, high = _MIN_LONG, _MAX_LONG
    if bounds.low is not None:
        number = _number(bounds.low, field)
        low = math.ceil(number) + (not bounds.includes_low and number == math.ceil(number))
    if bounds.high is not None:
        number = _number(bounds.high, field)
        high = math.floor(number) - (not bounds.includes_high and number == math.floor(number))
    return low, high


def _float_bound(value: object, field: Field) -> float:
    number = float(_number(value, field))
    try:
        return float_of_type(number, field.type)
    except OverflowError:
        return math.copysign(math.inf, number)


def _number(value: object, field: Field) -> int | float:
    """Return a query's value as a number. Raises query_shard_exception for anything else."""
    if field.type == "boolean":
        if value in (True, "true"):
            return 1
        if value in (False, "false", ""):
            return 0
        raise ShardError(
            "query_shard_exception",
            f"failed to create query: Can't parse boolean value [{value}], expected [true] or [false]",
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    for convert in (int, float):
        try:
            number = convert(str(value))
        except (ValueError, OverflowError):
            continue
        if math.isfinite(number):
            return number
    raise ShardError("query_shard_exception", f'failed to create query: For input string: "{value}"')

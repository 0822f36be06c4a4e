"""A document against its mapping: checked, converted and flattened to the columns that are indexed."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import orjson

from vigie.store.dates import MAX_DATE_NANOS, NANOS_PER_MS, DateFormatError
from vigie.store.errors import JsonObject, StoreError
from vigie.store.mapping import DATE_TYPES, INTEGER_LIMITS, Field, Leaf, Mapping, ObjectNode

Indexed = int | float | str
Flattened = dict[str, Indexed | list[Indexed]]

# Lucene refuses terms above 32,766 bytes. tantivy would drop, without a word, those above 65,530, and ours
# are hexadecimal: two bytes less.
MAX_TERM_BYTES = 32_764
_STRUCT_CODES = {"float": "f", "half_float": "e"}


class _BadValueError(ValueError):
    """A value that its field cannot take; the text says why."""


def flatten(document: JsonObject, mapping: Mapping, doc_id: str) -> Flattened:
    """Return the value (or several) of each mapped field, by path, converted to what is indexed.

    Integers and booleans become int, dates nanoseconds (`date_nanos`) or milliseconds (`date`), floats are
    rounded to their type's precision. Raises a 400 document_parsing_exception or
    strict_dynamic_mapping_exception.
    """
    values: Flattened = {}
    _flatten_object(document, mapping.root, values, doc_id)
    return values


def _flatten_object(source: JsonObject, node: ObjectNode, values: Flattened, doc_id: str) -> None:
    properties = node.properties
    for name, value in source.items():
        child = properties.get(name)
        if child is None:
            _flatten_unmapped(name, value, node, values, doc_id)
        elif isinstance(child, Leaf):
            _flatten_leaf(value, child, values, doc_id)
        elif child.enabled:
            _flatten_child(value, child, values, doc_id)


def _flatten_child(value: object, node: ObjectNode, values: Flattened, doc_id: str) -> None:
    if isinstance(value, dict):
        _flatten_object(value, node, values, doc_id)
    elif isinstance(value, list):
        for part in value:
            _flatten_child(part, node, values, doc_id)
    elif value is not None:
        raise _unparsable(
            f"object mapping for [{node.path}] tried to parse field [{node.path}] as object, "
            "but found a concrete value"
        )


def _flatten_unmapped(name: str, value: object, node: ObjectNode, values: Flattened, doc_id: str) -> None:
    if not name:
        raise _unparsable("failed to parse: field name cannot be an empty string")
    head, dot, rest = name.partition(".")
    if dot and rest and head in node.properties:
        _flatten_object({head: {rest: value}}, node, values, doc_id)
    elif node.dynamic == "strict":
        within = node.path or "_doc"
        raise StoreError(
            400,
            "strict_dynamic_mapping_exception",
            f"mapping set to strict, dynamic introduction of [{name}] within [{within}] is not allowed",
        )
    elif node.dynamic == "true" and value not in (None, []):
        full = f"{node.path}.{name}" if node.path else name
        raise _unparsable(
            f"field [{full}] is not mapped and dynamic mapping is not supported by this store: "
            "map it, or set [dynamic] to [false] or [strict]"
        )


def _flatten_leaf(value: object, leaf: Leaf, values: Flattened, doc_id: str) -> None:
    if isinstance(value, list):
        for part in value:
            _flatten_leaf(part, leaf, values, doc_id)
        return
    _put(value, leaf.field, values, doc_id)
    for field in leaf.multi_fields:
        _put(value, field, values, doc_id)


def _put(value: object, field: Field, values: Flattened, doc_id: str) -> None:
    """Convert one value and add it to those that the field has."""
    if value is None:
        value = field.null_value
        if value is None:
            return
    try:
        converted = _CONVERTERS[field.type](value, field)
    except _BadValueError as error:
        raise _unparsable(
            f"failed to parse field [{field.path}] of type [{field.type}] in document with id '{doc_id}'. "
            f"Preview of field's value: '{_preview(value)}'",
            caused_by={"type": "illegal_argument_exception", "reason": str(error)},
        ) from error
    if converted is None:
        return
    held = values.get(field.path)
    if held is None:
        values[field.path] = converted
    elif isinstance(held, list):
        held.append(converted)
    else:
        values[field.path] = [held, converted]


def _preview(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _unparsable(reason: str, caused_by: JsonObject | None = None) -> StoreError:
    return StoreError(400, "document_parsing_exception", reason, caused_by=caused_by)


def _to_text(value: object, field: Field) -> str | None:
    if isinstance(value, str):
        text = value
    elif isinstance(value, dict):
        raise _BadValueError("Expected text but found START_OBJECT")
    else:
        text = orjson.dumps(value).decode()
    if field.type == "text":
        return text
    if field.ignore_above is not None and len(text) > field.ignore_above:
        return None
    if len(text) * 4 > MAX_TERM_BYTES and len(text.encode()) > MAX_TERM_BYTES:
        raise _BadValueError(
            f'Document contains at least one immense term in field="{field.path}" (whose UTF8 encoding is '
            "longer "
            f"than the max length {MAX_TERM_BYTES})"
        )
    return text


def _to_number(value: object) -> int | float | None:
    """Return a JSON number or a text of one as a number; None for the empty text."""
    if type(value) is int or type(value) is float:
        return value
    if not isinstance(value, str):
        raise _BadValueError(f"For input value: {_preview(value)}")
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError as error:
        raise _BadValueError(f'For input string: "{value}"') from error


def _to_integer(value: object, field: Field) -> int | None:
    number = value if type(value) is int else _to_number(value)
    if number is None:
        return None
    limit = INTEGER_LIMITS[field.type]
    if not -limit <= number < limit or not math.isfinite(number):
        raise _BadValueError(f"Value [{_preview(value)}] is out of range for type [{field.type}]")
    return int(number)


def _to_float(value: object, field: Field) -> float | None:
    number = _to_number(value)
    if number is None:
        return None
    try:
        converted = float_of_type(float(number), field.type)
    except OverflowError:
        converted = math.inf
    if not math.isfinite(converted):
        raise _BadValueError(f"[{field.type}] supports only finite values, but got [{_preview(value)}]")
    return converted


def float_of_type(number: float, kind: str) -> float:
    """Return the number at the type's precision. Raises OverflowError beyond its range."""
    code = _STRUCT_CODES.get(kind)
    if code is None:
        return number
    rounded: float = struct.unpack(code, struct.pack(code, number))[0]
    return rounded


def _to_boolean(value: object, _: Field) -> int:
    if value is True or value == "true":
        return 1
    if value is False or value in ("false", ""):
        return 0
    raise _BadValueError(f"Failed to parse value [{_preview(value)}] as only [true] or [false] are allowed.")


def _to_date(value: object, field: Field) -> int:
    if isinstance(value, (dict, bool)):
        raise _BadValueError(f"failed to parse date field [{_preview(value)}]")
    text = value if isinstance(value, str) else str(value)
    try:
        instant = field.format.parse(text)
    except DateFormatError as error:
        raise _BadValueError(str(error)) from error
    if field.type == "date":
        return instant // NANOS_PER_MS
    if instant < 0:
        raise _BadValueError(
            f"date[{text}] is before the epoch in 1970 and cannot be stored in nanosecond resolution"
        )
    if instant > MAX_DATE_NANOS:
        raise _BadValueError(f"date[{text}] is after 2262 and cannot be stored in nanosecond resolution")
    return instant


_CONVERTERS: dict[str, Callable[[object, Field], Indexed | None]] = {
    "keyword": _to_text,
    "text": _to_text,
    "boolean": _to_boolean,
    **dict.fromkeys(INTEGER_LIMITS, _to_integer),
    **dict.fromkeys(("float", "half_float", "double"), _to_float),
    **dict.fromkeys(DATE_TYPES, _to_date),
}

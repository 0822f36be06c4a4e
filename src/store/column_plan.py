"""A mapping made ready for many documents: each field's way from JSON to its column, decided once.

Nearly every document has one plain value per field, of the type that its field has. For those the plan does
what `flatten` and `column_values` do together, in a third of the time. At anything else (an object in a list,
a dotted name, a number written as text, a value that is refused) it leaves the whole document to these two,
which alone know what Elasticsearch does then, and how it words a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from vigie.store.columns import PRESENT, SEVERAL, Column, column_values
from vigie.store.dates import MAX_DATE_NANOS, NANOS_PER_MS, DateFormat, DateFormatError
from vigie.store.documents import MAX_TERM_BYTES, flatten
from vigie.store.errors import JsonObject
from vigie.store.mapping import DATE_TYPES, INTEGER_LIMITS, Field, Leaf, ObjectNode
from vigie.store.mapping import Mapping as IndexMapping

Values = dict[str, object]
"""Values of one document by the name of their column."""
_Put = Callable[[object, Values], None]

_LONGEST_TERM: Final = MAX_TERM_BYTES // 4
"""Characters of a text that is no immense term whatever they are."""
_LARGEST_DOUBLE: Final = 1.7976931348623157e308


class _UnusualError(Exception):
    """A value that is not as plain as the plan expects."""


class ColumnPlan:
    """Makes the columns of documents of one mapping."""

    def __init__(self, mapping: IndexMapping, columns: Mapping[str, Column]) -> None:
        self._mapping = mapping
        self._columns = dict(columns)
        self._root = _ObjectPlan(mapping.root, self._columns)

    def values(self, document: JsonObject, doc_id: str) -> Values:
        """Return the document's values by column name.

        Raises what `flatten` does: a 400 for a value that its field cannot take.
        """
        values: Values = {}
        try:
            self._root.put(document, values)
        except _UnusualError:
            return column_values(flatten(document, self._mapping, doc_id), self._columns)
        return values


class _ObjectPlan:
    """The properties of one object."""

    def __init__(self, node: ObjectNode, columns: Mapping[str, Column]) -> None:
        self._ignores = node.dynamic == "false"
        self._puts = {name: _put_of(child, columns) for name, child in node.properties.items()}

    def put(self, source: object, values: Values) -> None:
        """Add the values of the object `source`."""
        if type(source) is not dict:
            if source is None:
                return
            raise _UnusualError
        puts = self._puts
        for name, value in source.items():
            put = puts.get(name)
            if put is not None:
                put(value, values)
            elif not self._ignores or not name or "." in name:
                raise _UnusualError


def _put_of(child: ObjectNode | Leaf, columns: Mapping[str, Column]) -> _Put:
    if isinstance(child, ObjectNode):
        return _ObjectPlan(child, columns).put if child.enabled else _nothing
    puts = [_put_of_field(field, columns.get(field.path)) for field in (child.field, *child.multi_fields)]
    if len(puts) == 1:
        return puts[0]

    def put(value: object, values: Values) -> None:
        for one in puts:
            one(value, values)

    return put


def _nothing(_value: object, _values: Values) -> None:
    """Leave out what is kept in the document only."""


def _put_of_field(field: Field, column: Column | None) -> _Put:
    if field.null_value is not None:
        return _always_unusual
    if column is None:
        return _unusual
    if field.type == "keyword":
        return _keyword(field, column.name)
    if field.type == "text":
        return _text(column.name)
    if field.type == "boolean":
        return _boolean(column.name)
    if field.type == "double":
        return _double(column.name)
    if field.type in INTEGER_LIMITS:
        return _integer(INTEGER_LIMITS[field.type], column.name)
    return _date(field, column) if field.type in DATE_TYPES else _unusual


def _always_unusual(_value: object, _values: Values) -> None:
    raise _UnusualError


def _unusual(value: object, _values: Values) -> None:
    if value is not None:
        raise _UnusualError


def _keyword(field: Field, column: str) -> _Put:
    most = _LONGEST_TERM if field.ignore_above is None else min(field.ignore_above, _LONGEST_TERM)

    def put(value: object, values: Values) -> None:
        if type(value) is str and len(value) <= most:
            values[column] = "x" + value.encode().hex()
        elif type(value) is list and len(value) > 1:
            terms = []
            for part in value:
                if type(part) is not str or len(part) > most:
                    raise _UnusualError
                terms.append("x" + part.encode().hex())
            values[column] = distinct = sorted(set(terms))
            if len(distinct) > 1:
                _add(values, SEVERAL, column)
        elif value is not None:
            raise _UnusualError

    return put


def _text(column: str) -> _Put:
    def put(value: object, values: Values) -> None:
        if type(value) is str:
            values[column] = value
            _add(values, PRESENT, column)
        elif value is not None:
            raise _UnusualError

    return put


def _add(values: Values, name: str, column: str) -> None:
    held = values.setdefault(name, [])
    if isinstance(held, list):
        held.append(column)


def _boolean(column: str) -> _Put:
    def put(value: object, values: Values) -> None:
        if value is True or value is False:
            values[column] = int(value)
        elif value is not None:
            raise _UnusualError

    return put


def _double(column: str) -> _Put:
    def put(value: object, values: Values) -> None:
        if type(value) is float and -_LARGEST_DOUBLE <= value <= _LARGEST_DOUBLE:
            values[column] = value
        elif type(value) is int:
            values[column] = float(value)
        elif value is not None:
            raise _UnusualError

    return put


def _integer(limit: int, column: str) -> _Put:
    def put(value: object, values: Values) -> None:
        if type(value) is int and -limit <= value < limit:
            values[column] = value
        elif value is not None:
            raise _UnusualError

    return put


def _date(field: Field, column: Column) -> _Put:
    name, millis, form = column.name, column.millis, field.format
    counts_nanos = field.type == "date_nanos"

    def put(value: object, values: Values) -> None:
        if type(value) is str:
            instant = _instant(form, value)
            if not counts_nanos:
                values[name] = instant // NANOS_PER_MS
            elif 0 <= instant <= MAX_DATE_NANOS:
                values[name] = instant
                values[millis] = instant // NANOS_PER_MS
            else:
                raise _UnusualError
        elif value is not None:
            raise _UnusualError

    return put


@lru_cache(maxsize=4096)
def _instant(form: DateFormat, text: str) -> int:
    """Return the instant of a date; the documents of one event share theirs."""
    try:
        return form.parse(text)
    except DateFormatError as error:
        raise _UnusualError from error

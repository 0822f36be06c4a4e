"""The plan of a mapping: the same columns and the same refusals as the general way, for any document."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vigie.store.column_plan import ColumnPlan
from vigie.store.columns import column_values, columns_of
from vigie.store.documents import flatten
from vigie.store.errors import StoreError
from vigie.store.mapping import Mapping

PROPERTIES: dict[str, Any] = {
    "keyword": {"type": "keyword", "ignore_above": 4},
    "several": {"type": "keyword", "fields": {"text": {"type": "text"}}},
    "default": {"type": "keyword", "null_value": "none"},
    "text": {"type": "text"},
    "hidden": {"type": "text", "index": False},
    "flag": {"type": "boolean"},
    "byte": {"type": "byte"},
    "long": {"type": "long"},
    "double": {"type": "double"},
    "float": {"type": "float"},
    "nanos": {"type": "date_nanos"},
    "date": {"type": "date", "format": "strict_date||epoch_millis"},
    "kept": {"type": "object", "enabled": False},
    "inner": {"properties": {"keyword": {"type": "keyword"}, "long": {"type": "long"}}},
}
DATES = ("2026-11-20T23:30:45.123456Z", "2026-11-20", "1969-12-31", "1700000000000", "2300-01-01", "soon")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-200, 200),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(("1", "true", "", "x" * 40_000, "é" * 8192, *DATES)),
)
NAMES = st.sampled_from((*PROPERTIES, "unmapped", "inner.keyword", ""))
DOCUMENTS = st.dictionaries(
    NAMES,
    VALUES
    | st.lists(VALUES, max_size=3)
    | st.dictionaries(st.sampled_from(("keyword", "long", "x")), VALUES),
    max_size=6,
)


def outcome(make: Any) -> Any:
    """What comes of a call: its result, or the error it raises."""
    try:
        return make()
    except StoreError as error:
        return error.as_object()


@given(DOCUMENTS, st.sampled_from(("false", "strict", "true")))
def test_any_document(document: dict[str, Any], dynamic: str) -> None:
    """Whatever a document holds, its columns or its refusal are those of `flatten` and `column_values`."""
    mapping = Mapping({"dynamic": dynamic, "properties": PROPERTIES})
    columns = columns_of(mapping)
    plan = ColumnPlan(mapping, columns)
    found = outcome(lambda: plan.values(document, "1"))
    assert found == outcome(lambda: column_values(flatten(document, mapping, "1"), columns))
    assert [type(value) for value in found.values()] == [
        type(value)
        for value in outcome(lambda: column_values(flatten(document, mapping, "1"), columns)).values()
    ]


def test_an_ordinary_document_takes_the_short_way() -> None:
    """A document with one plain value per field is not flattened."""
    mapping = Mapping({"dynamic": "false", "properties": PROPERTIES})
    plan = ColumnPlan(mapping, columns_of(mapping))
    document = {
        "keyword": "a",
        "several": None,
        "text": "b c",
        "flag": True,
        "long": 5,
        "double": 1,
        "nanos": DATES[0],
        "date": DATES[1],
        "kept": {"any": [1]},
        "inner": {"keyword": ["b", "a"]},
        "unmapped": {"x": 1},
    }
    columns = {column.field.path: column.name for column in columns_of(mapping).values()}
    plan._mapping = None  # type: ignore[assignment]  # the long way would fail
    found = plan.values(document, "1")
    assert found[columns["keyword"]] == "x61"
    assert found[columns["inner.keyword"]] == ["x61", "x62"]
    assert found[columns["double"]] == 1.0
    assert found[columns["nanos"]] == 1_795_217_445_123_456_000

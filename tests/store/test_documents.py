"""Flattening documents to indexed values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.store.documents import flatten, float_of_type
from vigie.store.errors import StoreError
from vigie.store.mapping import Mapping

MAPPING = Mapping(
    {
        "dynamic": "false",
        "properties": {
            "k": {"type": "keyword"},
            "t": {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 2}}},
            "l": {"type": "long"},
            "f": {"type": "float"},
            "n": {"type": "date_nanos"},
            "o": {"properties": {"x": {"type": "boolean"}}},
        },
    }
)


def test_values_by_path() -> None:
    """One value stays single, several are a list, a multi-field has its own, null is left out."""
    document = {
        "k": ["a", ["b"]],
        "t": "abc",
        "l": None,
        "n": "1970-01-01T00:00:01.000000002Z",
        "o": [{"x": True}, {"x": "false"}],
        "zork": {"deep": 1},
    }
    assert flatten(document, MAPPING, "1") == {"k": ["a", "b"], "t": "abc", "n": 1_000_000_002, "o.x": [1, 0]}


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_floats_keep_their_32_bits(number: float) -> None:
    """A number that a float can hold is kept, and any is rounded to one that it can hold."""
    assert float_of_type(number, "float") == number
    assert flatten({"f": number}, MAPPING, "1") == {"f": number}


def test_dynamic_true_is_refused_with_the_remedy() -> None:
    """A field that Elasticsearch would map by itself is refused, not stored without its index."""
    mapping = Mapping({"properties": {"o": {"properties": {}}}})
    for document in ({"new": 1}, {"o": {"new": "x"}}):
        with pytest.raises(StoreError) as refused:
            flatten(document, mapping, "1")
        assert refused.value.error_type == "document_parsing_exception"
        assert "dynamic mapping is not supported" in refused.value.reason
    assert flatten({"new": None, "other": []}, mapping, "1") == {}


def test_terms_that_are_too_long_are_refused() -> None:
    """A keyword longer than Lucene's bound is a fault of the document; tantivy would drop it silently."""
    assert flatten({"k": "x" * 32_764}, MAPPING, "1") == {"k": "x" * 32_764}
    with pytest.raises(StoreError, match="failed to parse field \\[k\\]") as refused:
        flatten({"k": "é" * 16_384}, MAPPING, "1")
    assert refused.value.caused_by is not None
    assert "immense term" in refused.value.caused_by["reason"]

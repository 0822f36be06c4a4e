"""Which part of a source is shown."""

from __future__ import annotations

import orjson
import pytest

from vigie.store.errors import StoreError
from vigie.store.source_filter import SourceFilter


def shown(given: object, source: dict[str, object]) -> object:
    """Return what a `_source` parameter shows of a source."""
    found = SourceFilter.parse(given).applied(orjson.dumps(source))
    return None if found is None else orjson.loads(orjson.dumps(found))


def test_lists_are_filtered_inside() -> None:
    """Patterns reach into lists of objects; what is left empty disappears unless it was asked for."""
    source = {"a": [{"x": 1, "y": 2}, {"y": 3}, 5], "b": [], "c": {"d": {}}}
    assert shown("a.x", source) == {"a": [{"x": 1}]}
    assert shown({"excludes": "a.x"}, source) == {"a": [{"y": 2}, {"y": 3}, 5], "b": [], "c": {"d": {}}}
    assert shown({"include": ["b", "c"], "exclude": ["c.d"]}, source) == {"b": [], "c": {}}


def test_what_cannot_be_a_filter() -> None:
    """Other values are refused."""
    for given in (5, [1], {"zork": []}):
        with pytest.raises(StoreError):
            SourceFilter.parse(given)

"""Exact orders by several keys, against Python's own sort."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from vigie.store.engine import Engine
from vigie.store.errors import StoreError
from vigie.store.search import parse_request, search

FIELDS = {
    "n": {"type": "date_nanos"},
    "k": {"type": "keyword"},
    "l": {"type": "long"},
    "f": {"type": "double"},
}


def documents(chance: random.Random) -> list[dict[str, Any]]:
    """Return 120 documents with many ties and gaps."""
    found = []
    for _ in range(120):
        document: dict[str, Any] = {
            "n": f"2026-11-20T00:00:00.00000000{chance.randrange(6)}Z",
            "k": chance.choice(["a", "b", "é", "B", "", "aa"]),
            "l": chance.choice([-5, 0, 3, 2**62]),
            "f": chance.choice([0.1, 0.2, -1e300]),
        }
        found.append({name: value for name, value in document.items() if chance.random() < 0.8})
    return found


def test_every_order_is_exact(engine: Engine, fill: Callable[..., str]) -> None:
    """Random keys, directions, places of missing values and pages give what Python's sort gives."""
    chance = random.Random(11)
    held = documents(chance)
    fill(FIELDS, held)
    index = engine.index("index")
    for _ in range(60):
        keys = chance.sample(sorted(FIELDS), chance.randrange(1, 4))
        ways = [(key, chance.choice(["asc", "desc"]), chance.choice(["_last", "_first"])) for key in keys]
        expected = list(range(len(held)))
        for key, way, missing in reversed(ways):
            present = [n for n in expected if key in held[n]]
            present.sort(key=lambda n: held[n][key], reverse=way == "desc")
            lacking = [n for n in expected if key not in held[n]]
            expected = present + lacking if missing == "_last" else lacking + present
        sort = [{key: {"order": way, "missing": missing}} for key, way, missing in ways]
        size = chance.choice([1, 7, 200])
        start = chance.choice([0, 3])
        answer = search([index], parse_request({"sort": sort, "size": size, "from": start}))
        found = [int(hit["_id"]) - 1 for hit in answer["hits"]["hits"]]
        assert found == expected[start : start + size], sort


@pytest.mark.parametrize("sort", [{"k": "asc"}, {"k": "desc"}])
def test_several_values_are_refused(engine: Engine, fill: Callable[..., str], sort: dict[str, str]) -> None:
    """A sort by a field with several values in a document is refused, unless the query leaves those out."""
    fill(FIELDS, [{"k": ["a", "b"], "l": 1}, {"k": ["c", "c"], "l": 2}])
    index = engine.index("index")
    with pytest.raises(StoreError, match="several values"):
        search([index], parse_request({"sort": [sort]}))
    answer = search([index], parse_request({"sort": [sort], "query": {"term": {"l": 2}}}))
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["2"]

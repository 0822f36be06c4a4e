"""What quality asks: cells and means within groups by day, by term and by a condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from elasticsearch import Elasticsearch

DAYS = ["2026-11-18T23:59:59.999999Z", "2026-11-19T00:00:00Z", "2026-11-21T12:00:00Z"]
GROUPINGS: dict[str, dict[str, Any]] = {
    "day": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d", "min_doc_count": 1}},
    "term": {"terms": {"field": "tag", "size": 50, "order": [{"_key": "asc"}]}},
    "condition": {"filters": {"filters": {"a": {"term": {"tag": "a"}}, "b": {"term": {"tag": "b"}}}}},
}
CELLS = {
    "low": {"range": {"ratio": {"lt": 0.5}}},
    "high": {"range": {"ratio": {"gte": 0.5}}},
    "high odd": {"bool": {"filter": [{"range": {"ratio": {"gte": 0.5}}}, {"term": {"number": 1}}]}},
}


def documents() -> list[dict[str, Any]]:
    """Four documents of each day, two of each tag."""
    return [
        {"@timestamp": at, "tag": tag, "number": number, "ratio": (day + 3 * number) / 10}
        for day, at in enumerate(DAYS, start=1)
        for tag in ("a", "b")
        for number in (0, 1)
    ]


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_cells_and_their_means_are_counted_within_groups(
    es: Elasticsearch, make_index: Callable[..., str], grouping: str
) -> None:
    """Each group has its own cells, and each cell the mean of its own documents; days without any are left out."""
    index = make_index(documents())
    cells = {"filters": {"filters": CELLS}, "aggs": {"mean": {"avg": {"field": "ratio"}}}}
    answer = es.search(
        index=index,
        size=0,
        track_total_hits=False,
        query={"bool": {"filter": [{"exists": {"field": "tag"}}]}},
        aggs={"groups": {**GROUPINGS[grouping], "aggs": {"cells": cells}}},
    )
    found = answer["aggregations"]["groups"]["buckets"]
    groups = found.values() if isinstance(found, dict) else found
    keys = {
        "day": [[1], [2], [3]],
        "term": [[1, 2, 3], [1, 2, 3]],
        "condition": [[1, 2, 3], [1, 2, 3]],
    }[grouping]
    each = 2 if grouping == "day" else 1
    for group, days in zip(groups, keys, strict=True):
        values = [(number, (day + 3 * number) / 10) for day in days for number in (0, 1)] * each
        wanted = {
            "low": [ratio for _, ratio in values if ratio < 0.5],
            "high": [ratio for _, ratio in values if ratio >= 0.5],
            "high odd": [ratio for number, ratio in values if ratio >= 0.5 and number == 1],
        }
        buckets = group["cells"]["buckets"]
        assert {name: one["doc_count"] for name, one in buckets.items()} == {
            name: len(part) for name, part in wanted.items()
        }
        for name, part in wanted.items():
            mean = buckets[name]["mean"]["value"]
            assert mean == (pytest.approx(sum(part) / len(part)) if part else None)


def test_percentiles_of_nothing_have_no_value(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """Two asked, two answered, both null."""
    index = make_index(documents())
    lag = {"percentiles": {"field": "ratio", "percents": [50, 90], "keyed": False}}
    answer = es.search(index=index, size=0, query={"term": {"tag": "none"}}, aggs={"lag": lag})
    assert [one["value"] for one in answer["aggregations"]["lag"]["values"]] == [None, None]

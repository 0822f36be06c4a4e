"""What the windows of predictions ask: the place of the n-th document, and counts between two places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elasticsearch import Elasticsearch

SORT = [{"@timestamp": "asc"}, {"tag": "asc"}, {"number": "asc"}]
TIMES = ["2026-11-20T23:59:59.123456Z", "2026-11-20T23:59:59.123457Z", "2026-11-21T00:00:00Z"]


def documents() -> list[dict[str, Any]]:
    """Two documents of each tag at each instant, in no order."""
    made = [
        {"@timestamp": at, "tag": tag, "number": 2 * round_ + n, "ratio": position / 10, "inner": {"code": 1}}
        for position, (at, round_) in enumerate(zip(TIMES, range(3), strict=True))
        for tag in ("b-1", "a-1")
        for n in (2, 1)
    ]
    return made[::-1]


def key(document: dict[str, Any]) -> tuple[str, str, int]:
    """What documents are sorted by."""
    return document["@timestamp"], document["tag"], document["number"]


def beside(place: tuple[str, str, int], way: str, last: str) -> dict[str, Any]:
    """The query of the documents after a place ("gt") or before it ("lt"), `last` for the third key."""
    at, tag, number = place
    same = {"range": {"@timestamp": {"gte": at, "lte": at}}}
    ways = [
        {"range": {"@timestamp": {way: at}}},
        {"bool": {"filter": [same, {"range": {"tag": {way: tag}}}]}},
        {"bool": {"filter": [same, {"term": {"tag": tag}}, {"range": {"number": {last: number}}}]}},
    ]
    return {"bool": {"should": ways, "minimum_should_match": 1}}


def test_every_place_parts_the_documents_in_two(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """After a place, and up to it: together all, each in its order, whatever keys are equal."""
    index = make_index(documents())
    ordered = sorted(map(key, documents()))
    for skip, place in enumerate(ordered):
        answer = es.search(index=index, size=1, from_=skip, sort=SORT, source=["@timestamp", "tag", "number"])
        assert [key(hit["_source"]) for hit in answer["hits"]["hits"]] == [place]
        for query, expected in (
            (beside(place, "gt", "gt"), ordered[skip + 1 :]),
            (beside(place, "lt", "lte"), ordered[: skip + 1]),
        ):
            found = es.search(index=index, size=100, query={"bool": {"filter": [query]}}, sort=SORT)
            assert [key(hit["_source"]) for hit in found["hits"]["hits"]] == expected


def test_a_place_behind_the_last_has_no_document(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """Skipping all there are finds nothing, and is no error."""
    index = make_index(documents())
    answer = es.search(index=index, size=1, from_=12, sort=SORT, source=False, track_total_hits=False)
    assert answer["hits"]["hits"] == []


def test_a_source_holds_the_fields_asked_for(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """Only those, objects included."""
    index = make_index(documents()[:1])
    (hit,) = es.search(index=index, source=["inner", "number"])["hits"]["hits"]
    assert hit["_source"] == {"inner": {"code": 1}, "number": documents()[0]["number"]}


def test_cells_are_counted_between_two_places(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A bin holds the values from its lower edge on and below its upper one; a mean stands beside them."""
    index = make_index([*documents(), {"@timestamp": TIMES[1], "tag": "c", "number": 9}])
    ordered = sorted(map(key, documents()))
    window = [beside(ordered[1], "gt", "gt"), beside(ordered[-2], "lt", "lte")]
    cells = {
        "low": {"range": {"ratio": {"lt": 0.1}}},
        "middle": {"range": {"ratio": {"gte": 0.1, "lt": 0.2}}},
        "high": {"range": {"ratio": {"gte": 0.2}}},
        "any": {"exists": {"field": "ratio"}},
        "one": {"term": {"tag": "a-1"}},
    }
    answer = es.search(
        index=index,
        size=0,
        track_total_hits=True,
        query={"bool": {"filter": window}},
        aggs={"cells": {"filters": {"filters": cells}}, "mean": {"avg": {"field": "ratio"}}},
    )
    assert answer["hits"]["total"]["value"] == 10
    buckets = answer["aggregations"]["cells"]["buckets"]
    assert {name: one["doc_count"] for name, one in buckets.items()} == {
        "low": 2, "middle": 4, "high": 3, "any": 9, "one": 4,
    }  # fmt: skip
    assert abs(answer["aggregations"]["mean"]["value"] - (4 * 0.1 + 3 * 0.2) / 9) < 1e-9

"""What the ledger asks: many exact counts in one request, and the events of somebody page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elasticsearch import Elasticsearch

LENIENT: dict[str, Any] = {"ignore_unavailable": True, "allow_no_indices": True}
SUMS = {"numbers": {"sum": {"field": "number"}}}


def numbers(first: int, last: int) -> dict[str, Any]:
    """The query for a range of numbers."""
    return {"range": {"number": {"gte": first, "lte": last}}}


def test_counts_and_sums_of_many_filters(
    es: Elasticsearch, prefix: str, make_index: Callable[..., str]
) -> None:
    """Each filter has its own count and sum, over several indices and names that are missing."""
    first = make_index([{"tag": "a", "number": n} for n in range(1, 9)], name="first")
    second = make_index([{"tag": "a", "number": 8}, {"tag": "b", "number": 2**31 - 1}], name="second")
    asked = {
        "whole": {"bool": {"filter": [{"term": {"tag": "a"}}, numbers(1, 8)]}},
        "without": {
            "bool": {
                "filter": [{"term": {"tag": "a"}}, numbers(1, 8)],
                "must_not": [numbers(2, 3), numbers(8, 8)],
            }
        },
        "other": {"bool": {"filter": [{"term": {"tag": "b"}}, numbers(1, 2**31 - 1)]}},
        "none": {"bool": {"filter": [{"term": {"tag": "a"}}, numbers(1, 0)]}},
    }
    answer = es.search(
        index=f"{first},{second},{prefix}-zork",
        size=0,
        query={"bool": {"filter": [{"terms": {"tag": ["a", "b"]}}]}},
        aggs={"asked": {"filters": {"filters": asked}, "aggs": SUMS}},
        **LENIENT,
    )
    buckets = answer["aggregations"]["asked"]["buckets"]
    assert {name: (bucket["doc_count"], bucket["numbers"]["value"]) for name, bucket in buckets.items()} == {
        "whole": (9, 44.0),
        "without": (5, 23.0),
        "other": (1, float(2**31 - 1)),
        "none": (0, 0.0),
    }


def test_filters_over_nothing(es: Elasticsearch, prefix: str) -> None:
    """Where no index is there is no hit, and no aggregation to rely on."""
    aggs = {"asked": {"filters": {"filters": {"a": numbers(1, 2)}}, "aggs": SUMS}}
    answer = es.search(index=f"{prefix}-zork,{prefix}-zork2", size=0, aggs=aggs, **LENIENT)
    assert answer["hits"]["hits"] == []
    buckets = answer.get("aggregations", {}).get("asked", {}).get("buckets", {})
    assert sum(bucket["doc_count"] for bucket in buckets.values()) == 0


def test_hundreds_of_ranges_may_be_left_out(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """One filter takes 300 ranges, and a request several of them."""
    index = make_index([{"number": n} for n in range(1, 1201)])
    odd = [numbers(n, n) for n in range(1, 600, 2)]
    asked = {str(n): {"bool": {"filter": [numbers(1, 600)], "must_not": odd}} for n in range(3)}
    answer = es.search(
        index=index, size=0, aggs={"asked": {"filters": {"filters": asked}, "aggs": SUMS}}, **LENIENT
    )
    for bucket in answer["aggregations"]["asked"]["buckets"].values():
        assert (bucket["doc_count"], bucket["numbers"]["value"]) == (300, float(sum(range(2, 601, 2))))


def test_pages_by_two_keys_over_several_names(
    es: Elasticsearch, prefix: str, make_index: Callable[..., str]
) -> None:
    """search_after goes on after the last pair of keys; documents of one pair may share a page or be passed."""
    documents = [{"tag": tag, "number": n, "message": "x"} for tag in ("a", "b") for n in (1, 2, 2, 3)]
    index = make_index([*documents, {"tag": "c", "message": "without a number"}])
    sort = [{"tag": "asc"}, {"number": "asc"}]
    query = {"bool": {"filter": [{"terms": {"tag": ["a", "b", "c"]}}]}}
    found: list[list[Any]] = []
    after: dict[str, Any] = {}
    while hits := es.search(
        index=f"{index},{prefix}-zork", size=2, query=query, sort=sort, **after, **LENIENT
    )["hits"]["hits"]:
        found += [hit["sort"] for hit in hits]
        after = {"search_after": hits[-1]["sort"]}
        if len(hits) < 2:
            break
    assert {(tag, n) for tag, n in found if tag != "c"} == {(tag, n) for tag in "ab" for n in (1, 2, 3)}


def test_the_documents_of_events(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """One producer's numbers, with index and id of each document."""
    index = make_index([{"tag": tag, "number": n} for tag in ("a", "b") for n in range(1, 5)])
    query = {"bool": {"filter": [{"term": {"tag": "b"}}, {"terms": {"number": [2, 4, 9]}}]}}
    hits = es.search(index=index, size=100, query=query, **LENIENT)["hits"]["hits"]
    assert sorted((hit["_index"], hit["_id"], hit["_source"]["number"]) for hit in hits) == [
        (index, "6", 2),
        (index, "8", 4),
    ]
    es.indices.refresh(index=f"{index},{index}-zork", **LENIENT)

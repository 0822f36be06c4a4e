"""The search request around query and sort: totals, sources, several indices, count and multi-search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError

SOURCE = {"tag": "a", "inner": {"code": 1, "name": "n"}, "raw": [{"x": 1, "y": 2}]}


def test_shape_of_an_answer(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A hit has index, id, score and source; without a sort all match_all hits score 1."""
    index = make_index([{"number": 1}])
    answer = es.search(index=index)
    assert answer["timed_out"] is False
    assert answer["took"] >= 0
    assert (answer["_shards"]["total"], answer["_shards"]["failed"]) == (1, 0)
    assert answer["hits"] == {
        "total": {"value": 1, "relation": "eq"},
        "max_score": 1.0,
        "hits": [{"_index": index, "_id": "1", "_score": 1.0, "_source": {"number": 1}}],
    }


def test_better_matches_come_first(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """Without a sort, hits are ordered by relevance; a filter alone scores nothing."""
    index = make_index(
        [{"message": "fox and many other words here"}, {"message": "fox fox"}, {"message": "dog"}]
    )
    answer = es.search(index=index, query={"match": {"message": "fox"}})
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["2", "1"]
    assert answer["hits"]["max_score"] == answer["hits"]["hits"][0]["_score"] > 0
    filtered = es.search(index=index, query={"bool": {"filter": [{"match": {"message": "fox"}}]}})
    assert [hit["_score"] for hit in filtered["hits"]["hits"]] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (True, SOURCE),
        (False, None),
        ("tag", {"tag": "a"}),
        (["tag", "inner.c*"], {"tag": "a", "inner": {"code": 1}}),
        ("inner", {"inner": {"code": 1, "name": "n"}}),
        ({"excludes": ["inner.name", "raw"]}, {"tag": "a", "inner": {"code": 1}}),
        ({"includes": ["raw.*"], "excludes": ["*.y"]}, {"raw": [{"x": 1}]}),
        (["zork"], {}),
    ],
)
def test_source_filtering(
    es: Elasticsearch, make_index: Callable[..., str], source: Any, expected: dict[str, Any] | None
) -> None:
    """`_source` takes a boolean, a pattern, a list, or includes and excludes over paths."""
    index = make_index([SOURCE])
    assert es.search(index=index, source=source)["hits"]["hits"][0].get("_source") == expected


def test_track_total_hits(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """The total is exact, counted to a bound, or left out."""
    index = make_index([{"number": number} for number in range(5)])
    assert es.search(index=index, track_total_hits=True, size=0)["hits"]["total"] == {
        "value": 5,
        "relation": "eq",
    }
    assert es.search(index=index, track_total_hits=5, size=0)["hits"]["total"] == {
        "value": 5,
        "relation": "eq",
    }
    assert es.search(index=index, track_total_hits=3, size=0)["hits"]["total"] == {
        "value": 3,
        "relation": "gte",
    }
    assert "total" not in es.search(index=index, track_total_hits=False, size=0)["hits"]


def test_unknown_body_key(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A member of the search body that does not exist is refused by name."""
    with pytest.raises(BadRequestError) as refused:
        es.search(index=make_index(), body={"zork": 1})
    assert refused.value.error == "parsing_exception"
    assert "[zork]" in refused.value.body["error"]["reason"]


def test_several_indices(es: Elasticsearch, make_index: Callable[..., str], prefix: str) -> None:
    """Lists, wildcards and exclusions choose indices; a missing name refuses unless that is ignored."""
    first, second = make_index([{"number": 1}], name="a"), make_index([{"number": 2}], name="b")
    assert es.count(index=f"{first},{second}")["count"] == 2
    assert es.count(index=[f"{prefix}-*", f"-{first}"])["count"] == 1
    with pytest.raises(NotFoundError) as refused:
        es.search(index=f"{first},{prefix}-zork")
    assert refused.value.error == "index_not_found_exception"
    ignored = es.search(index=f"{first},{prefix}-zork", ignore_unavailable=True)
    assert ignored["hits"]["total"]["value"] == 1
    assert ignored["_shards"]["total"] == 1


def test_no_index_at_all(es: Elasticsearch, prefix: str) -> None:
    """A wildcard without a match is an empty answer, or a 404 when that is not allowed."""
    answer = es.search(index=f"{prefix}-zork*", aggs={"a": {"avg": {"field": "x"}}}, sort=["x"])
    assert answer["hits"] == {"total": {"value": 0, "relation": "eq"}, "max_score": 0.0, "hits": []}
    assert "aggregations" not in answer
    assert answer["_shards"]["total"] == 0
    assert es.count(index=f"{prefix}-zork*")["count"] == 0
    with pytest.raises(NotFoundError) as refused:
        es.search(index=f"{prefix}-zork*", allow_no_indices=False)
    assert refused.value.error == "index_not_found_exception"


def test_an_empty_index(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """An index without documents answers with no hits and empty aggregations."""
    index = make_index()
    answer = es.search(
        index=index,
        sort=[{"@timestamp": "desc"}],
        aggs={"m": {"max": {"field": "number"}}, "t": {"terms": {"field": "tag"}}},
    )
    assert answer["hits"] == {"total": {"value": 0, "relation": "eq"}, "max_score": None, "hits": []}
    assert answer["aggregations"]["m"] == {"value": None}
    assert answer["aggregations"]["t"]["buckets"] == []


def test_count(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A count takes a query and nothing else."""
    index = make_index([{"number": number} for number in range(5)])
    assert es.count(index=index)["count"] == 5
    assert es.count(index=index, query={"range": {"number": {"gte": 3}}})["count"] == 2
    with pytest.raises(BadRequestError):
        es.count(index=index, body={"size": 1})
    with pytest.raises(BadRequestError):
        es.count(index=index, query={"zork": {}})


def test_get_and_post_search_alike(http: httpx.Client, make_index: Callable[..., str]) -> None:
    """Both methods take a body; size, from and track_total_hits may be in the address."""
    index = make_index([{"number": number} for number in range(3)])
    body = {"query": {"range": {"number": {"gte": 1}}}}
    for method in ("GET", "POST"):
        answer = http.request(method, f"/{index}/_search", json=body, params={"size": "1"})
        assert answer.json()["hits"]["total"]["value"] == 2
        assert len(answer.json()["hits"]["hits"]) == 1


def test_multi_search(es: Elasticsearch, make_index: Callable[..., str], prefix: str) -> None:
    """Each search of a multi-search has its own answer and status; one that cannot be read refuses all."""
    index = make_index([{"number": 1}, {"number": 2}])
    answer = es.msearch(
        searches=[
            {"index": index},
            {"size": 0, "query": {"term": {"number": 1}}},
            {"index": f"{prefix}-zork"},
            {"size": 0},
            {"index": [index], "ignore_unavailable": True},
            {"size": 1, "query": {"term": {"number": "x"}}},
            {},
            {"size": 0, "query": {"ids": {"values": ["zork"]}}},
        ]
    )
    responses = answer["responses"]
    assert [response["status"] for response in responses] == [200, 404, 400, 200]
    assert responses[0]["hits"]["total"]["value"] == 1
    assert responses[1]["error"]["type"] == "index_not_found_exception"
    assert responses[2]["error"]["type"] == "search_phase_execution_exception"
    with pytest.raises(BadRequestError) as refused:
        es.msearch(searches=[{"index": index}, {}, {"index": index}, {"query": {"zork": {}}}])
    assert refused.value.error == "parsing_exception"


def test_result_window_setting(es: Elasticsearch, prefix: str) -> None:
    """max_result_window bounds how far from and size may reach."""
    index = f"{prefix}-small"
    es.indices.create(index=index, settings={"max_result_window": 3}, mappings={"dynamic": "false"})
    assert es.search(index=index, from_=1, size=2)["hits"]["hits"] == []
    with pytest.raises(BadRequestError) as refused:
        es.search(index=index, from_=1, size=3)
    assert refused.value.error == "search_phase_execution_exception"


def test_a_deleted_document_is_gone_from_searches(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """After a delete with refresh no search, count or aggregation sees the document."""
    index = make_index([{"number": 1, "tag": "x"}, {"number": 2, "tag": "x"}])
    es.delete(index=index, id="1", refresh=True)
    answer = es.search(index=index, aggs={"t": {"terms": {"field": "tag"}}})
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["2"]
    assert answer["aggregations"]["t"]["buckets"] == [{"key": "x", "doc_count": 1}]

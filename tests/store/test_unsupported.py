"""What Elasticsearch has and this store has not: a 400 that names it, never silence."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


@pytest.fixture
def index(http: httpx.Client) -> str:
    """An index with a document."""
    fields = {
        "k": {"type": "keyword"},
        "l": {"type": "long"},
        "t": {"type": "text"},
        "n": {"type": "date_nanos"},
    }
    assert http.put("/i", json={"mappings": {"dynamic": False, "properties": fields}}).status_code == 200
    assert http.put("/i/_doc/1", json={"k": "a", "l": 1, "t": "x"}).status_code == 201
    return "i"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"query": {"fuzzy": {"k": "a"}}}, "fuzzy"),
        ({"query": {"term": {"k": {"value": "a", "case_insensitive": True}}}}, "case_insensitive"),
        ({"query": {"match": {"t": {"query": "x", "fuzziness": 1}}}}, "fuzziness"),
        ({"query": {"bool": {"must": [], "minimum_should_match": "2<75%"}}}, "2<75%"),
        ({"query": {"simple_query_string": {"query": "x"}}}, "fields"),
        ({"query": {"simple_query_string": {"query": "x", "fields": ["t"], "flags": "OR"}}}, "flags"),
        ({"query": {"range": {"t": {"gte": "a"}}}}, "text field [t]"),
        ({"query": {"range": {"l": {"gte": 1, "relation": "zork"}}}}, "relation"),
        ({"query": {"range": {"n": {"gte": "x", "format": "EEE"}}}}, "EEE"),
        ({"aggs": {"a": {"global": {}}}}, "global"),
        ({"aggs": {"a": {"terms": {"field": "k", "include": "a"}}}}, "include"),
        ({"aggs": {"a": {"terms": {"field": "k", "min_doc_count": 0}}}}, "min_doc_count"),
        ({"aggs": {"a": {"terms": {"field": "k", "order": {"f>m": "asc"}}}}}, "f>m"),
        (
            {"aggs": {"a": {"date_histogram": {"field": "n", "fixed_interval": "1d", "offset": "1h"}}}},
            "offset",
        ),
        ({"aggs": {"a": {"range": {"field": "l", "ranges": [{"to": "2"}]}}}}, "ranges"),
        ({"aggs": {"a": {"range": {"field": "l", "ranges": [{"mask": 2}]}}}}, "mask"),
        ({"aggs": {"a": {"filters": {"filters": 5}}}}, "filters"),
        ({"aggs": {"a": 5}}, "[a]"),
        ({"highlight": {}}, "highlight"),
        ({"collapse": {}}, "collapse"),
        ({"version": True}, "version"),
        ({"sort": [{"l": {"missing": 5}}]}, "missing"),
        ({"sort": [{"l": {"mode": "max"}}]}, "mode"),
        ({"sort": [{"l": "sideways"}]}, "sideways"),
        ({"sort": ["_score", "l"]}, "_score"),
        ({"sort": [5]}, "5"),
        ({"_source": 5}, "_source"),
        ({"size": "many"}, "size"),
        ({"track_total_hits": "some"}, "some"),
        ({"search_after": 5, "sort": ["l"]}, "search_after"),
    ],
)
def test_search(http: httpx.Client, index: str, body: dict[str, Any], named: str) -> None:
    """Queries, aggregations and options of a search that are not supported are named."""
    answer = http.post(f"/{index}/_search", json=body)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["reason"] or named in answer.text


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("POST", "/i/_update/1", "/i/_update/1"),
        ("POST", "/_scripts/x", "/_scripts/x"),
        ("POST", "/i/_delete_by_query", "_delete_by_query"),
        ("GET", "/i/_search?filter_path=hits", "filter_path"),
        ("GET", "/i/_search?q=k:a", "[q]"),
        ("GET", "/i/_search?scroll=1m", "scroll"),
        ("GET", "/i/_search?routing=1", "routing"),
        ("GET", "/i*/_search?expand_wildcards=none", "expand_wildcards"),
        ("GET", "/i/_search?ignore_unavailable=yes", "yes"),
        ("GET", "/_cat/indices", "format=json"),
        ("GET", "/_cluster/health?wait_for_status=blue", "blue"),
        ("GET", "/_cluster/health?level=shards", "level"),
    ],
)
def test_paths_and_parameters(http: httpx.Client, index: str, method: str, path: str, named: str) -> None:
    """Paths and query parameters that are not supported are named."""
    answer = http.request(method, path)
    assert answer.status_code == 400
    assert named in answer.text


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("PUT", "/i/_doc/2?pipeline=x", b"{}", "pipeline"),
        ("PUT", "/i/_doc/2?require_alias=true", b"{}", "require_alias"),
        ("PUT", "/i/_doc/2?op_type=zork", b"{}", "zork"),
        ("PUT", "/i/_doc/2?version=5&version_type=external", b"{}", "version"),
        ("POST", "/i/_bulk", b'{"update":{"_id":"1"}}\n{"doc":{}}\n', "update is not supported"),
        ("POST", "/i/_bulk", b'{"index":{"_id":"1","routing":"x"}}\n{}\n', "routing"),
        ("POST", "/i/_bulk?filter_path=items.*._id", b'{"index":{}}\n{}\n', "items.*._id"),
        ("POST", "/i/_bulk", b"[]\n", "Malformed action"),
        ("POST", "/i/_bulk", b'{"index":5}\n', "Malformed action"),
        ("POST", "/i/_bulk", b'{"delete":{}}\n', "id is missing"),
        ("POST", "/i/_msearch", b"{}\n", "body line"),
        ("POST", "/i/_msearch", b"{}", "newline"),
        ("POST", "/i/_msearch", b'{"routing":1}\n{}\n', "routing"),
        ("POST", "/i/_msearch", b"[]\n{}\n", "object"),
        ("POST", "/i/_msearch", b"{]\n{}\n", "400"),
        ("POST", "/i/_search", b"[]", "object"),
        ("PUT", "/i/_alias/x", b'{"filter":{"term":{"k":"a"}}}', "filter"),
        ("POST", "/_aliases", b'{"actions":[{"add":{"index":"i"}}]}', "alias"),
        ("POST", "/_aliases", b'{"actions":[{"add":{"index":"i","alias":"x","routing":"1"}}]}', "routing"),
    ],
)
def test_bodies(http: httpx.Client, index: str, method: str, path: str, body: bytes, named: str) -> None:
    """What a body asks for and this store lacks is named, and nothing is written."""
    answer = http.request(method, path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert named in answer.text
    assert http.get(f"/{index}/_count").json()["count"] == 1
    assert http.get("/_alias/x").status_code == 404


def test_a_field_without_an_index_or_doc_values(http: httpx.Client) -> None:
    """A field that is neither is stored and found by nothing; one without doc values is not sorted."""
    fields = {
        "stored": {"type": "keyword", "index": False, "doc_values": False},
        "searched": {"type": "long", "doc_values": False},
    }
    http.put("/j", json={"mappings": {"dynamic": False, "properties": fields}})
    http.put("/j/_doc/1", json={"stored": "x", "searched": 5})
    assert http.post("/j/_count", json={"query": {"term": {"searched": 5}}}).json()["count"] == 1
    assert http.post("/j/_count", json={"query": {"term": {"stored": "x"}}}).json()["count"] == 0
    answer = http.post("/j/_search", json={"sort": ["searched"]})
    assert answer.status_code == 400
    assert "without doc values" in answer.text


def test_two_write_indices(http: httpx.Client, index: str) -> None:
    """An alias has at most one index to write to."""
    http.put("/j", json={"mappings": {"dynamic": False}})
    assert http.put("/i/_alias/w", json={"is_write_index": True}).status_code == 200
    answer = http.put("/j/_alias/w", json={"is_write_index": True})
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "illegal_state_exception"
    assert list(http.get("/_alias/w").json()) == ["i"]

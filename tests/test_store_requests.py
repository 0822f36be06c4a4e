"""The recording door sees what a request asks for: a kind it overlooks would slip past the contract."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.store_requests import signature


@pytest.mark.parametrize(
    ("method", "target", "body", "endpoint", "kinds"),
    [
        ("GET", "/", None, "GET /", set()),
        ("HEAD", "/a,b-*", None, "HEAD /{name}", {"path.wildcard", "path.list"}),
        ("GET", "/_index_template/a?pretty", None, "GET /_index_template/{name}", {"?pretty"}),
        (
            "POST",
            "/a%2Cb/_count?ignore_unavailable=true",
            {"query": {"bool": {"filter": [{"term": {"x": 1}}], "must_not": {"range": {"x": {"gte": 1}}}}}},
            "POST /{name}/_count",
            {"path.list", "?ignore_unavailable", "query.bool.filter", "query.bool.must_not", "query.term", "query.range.gte"},
        ),
        (
            "POST",
            "/a/_search",
            {
                "size": 0,
                "sort": ["_doc", {"x": {"order": "asc", "missing": "_last"}}],
                "aggs": {
                    "f": {
                        "filters": {"filters": {"one": {"exists": {"field": "x"}}}},
                        "aggs": {"p": {"percentiles": {"field": "x", "percents": [50]}}},
                    }
                },
            },
            "POST /{name}/_search",
            {
                "size", "sort", "sort.missing", "agg.filters", "query.exists", "agg.inside", "agg.percentiles",
                "agg.percentiles.field", "agg.percentiles.percents",
            },
        ),
        (
            "PUT",
            "/_component_template/a",
            {
                "template": {
                    "settings": {"index": {"number_of_shards": "1"}},
                    "mappings": {"dynamic": False, "properties": {"x": {"type": "keyword", "ignore_above": 3}}},
                },
                "_meta": {"ours": 1},
            },
            "PUT /_component_template/{name}",
            {
                "template", "settings.number_of_shards", "mapping.dynamic", "mapping.properties",
                "mapping.type.keyword", "mapping.ignore_above", "_meta",
            },
        ),
        (
            "PUT",
            "/_bulk",
            b'{"create":{"_index":"a","_id":"1"}}\n{"x":1}\n{"delete":{"_id":"2"}}\n',
            "PUT /_bulk",
            {"create", "create._index", "create._id", "delete", "delete._id"},
        ),
        ("PUT", "/a/_doc/1?refresh=true", {"query": 1}, "PUT /{name}/_doc/{name}", {"?refresh", "document"}),
        ("POST", "/a/_search", b"{", "POST /{name}/_search", {"malformed"}),
    ],
)  # fmt: skip
def test_a_request_is_its_endpoint_and_its_kinds(
    method: str, target: str, body: Any, endpoint: str, kinds: set[str]
) -> None:
    """Names of ours are left out; clauses, aggregations, options, types, settings and parameters are kept."""
    content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    assert signature(method, target, content) == (endpoint, kinds)

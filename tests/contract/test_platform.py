"""What the platform asks in its own particular way: templates with all its types, lenient counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from elasticsearch import Elasticsearch, NotFoundError

LENIENT: dict[str, Any] = {"ignore_unavailable": True, "allow_no_indices": True}
TYPES: dict[str, Any] = {
    "moment": {"type": "date_nanos"},
    "word": {"type": "keyword", "ignore_above": 5},
    "said": {"type": "text"},
    "whole": {"type": "integer"},
    "large": {"type": "long"},
    "share": {"type": "double"},
    "truth": {"type": "boolean"},
    "kept": {"type": "object", "enabled": False},
    "unsearched": {"type": "text", "index": False},
    "inner": {"properties": {"code": {"type": "integer"}}},
}
DOCUMENT: dict[str, Any] = {
    "moment": "2026-11-20T10:30:45.123456Z",
    "word": "abc",
    "said": "quick brown",
    "whole": 7,
    "large": 2**40,
    "share": 0.5,
    "truth": True,
    "kept": {"any": [{"thing": 1}]},
    "unsearched": "{not json " + "x" * 40_000,
    "inner": {"code": 3},
}
FOUND_BY: list[dict[str, Any]] = [
    {"range": {"moment": {"gte": "2026-11-20T10:30:45.123456Z", "lte": "2026-11-20T10:30:45.123456Z"}}},
    {"term": {"word": "abc"}},
    {"match": {"said": "brown"}},
    {"term": {"whole": 7}},
    {"term": {"large": 2**40}},
    {"range": {"share": {"gte": 0.5, "lte": 0.5}}},
    {"term": {"truth": True}},
    {"term": {"inner.code": 3}},
]
SETTINGS = {"index": {"number_of_shards": "1", "auto_expand_replicas": "0-1"}}


def demand_all_types_work(es: Elasticsearch, index: str) -> None:
    """Store a document with a value of each type, and fail unless each value finds it."""
    es.index(index=index, id="1", document=DOCUMENT, refresh=True)
    for query in FOUND_BY:
        assert es.count(index=index, query=query)["count"] == 1, query
    assert es.get(index=index, id="1")["_source"] == DOCUMENT


def test_a_component_template_brings_settings_and_every_type(es: Elasticsearch, prefix: str) -> None:
    """An index made from a composed template has the component's settings and its fields, of each type."""
    template = {"settings": SETTINGS, "mappings": {"dynamic": False, "properties": TYPES}}
    es.cluster.put_component_template(name=f"{prefix}-common", template=template, version=1)
    es.indices.put_index_template(
        name=f"{prefix}-t", index_patterns=[f"{prefix}-t-*"], composed_of=[f"{prefix}-common"], template={}
    )
    index = f"{prefix}-t-1"
    es.indices.create(index=index)
    demand_all_types_work(es, index)
    (settings,) = (
        body["settings"]["index"] for body in es.indices.get_settings(index=f"{prefix}-t-*").values()
    )
    assert settings["number_of_shards"] == "1"
    assert settings["auto_expand_replicas"] == "0-1"


def test_an_index_templates_own_fields_of_every_type(es: Elasticsearch, prefix: str) -> None:
    """The index template's own part may declare settings and each type too."""
    template = {"settings": SETTINGS, "mappings": {"dynamic": False, "properties": TYPES}}
    es.indices.put_index_template(name=f"{prefix}-t", index_patterns=[f"{prefix}-t-*"], template=template)
    es.indices.create(index=f"{prefix}-t-1")
    demand_all_types_work(es, f"{prefix}-t-1")


def test_fields_of_every_type_are_added_to_an_index(
    es: Elasticsearch, prefix: str, make_index: Callable[..., str]
) -> None:
    """An index that exists takes further fields, and documents written after that are found by them."""
    index = make_index(fields={"first": {"type": "keyword"}})
    es.indices.put_mapping(index=index, properties=TYPES)
    demand_all_types_work(es, index)


def test_a_long_keyword_is_kept_and_not_found(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A value beyond ignore_above stays in the document, and neither term nor exists finds it."""
    index = make_index([{"word": "abcdef"}, {"word": "abcde"}], TYPES)
    assert es.get(index=index, id="1")["_source"] == {"word": "abcdef"}
    assert es.count(index=index, query={"term": {"word": "abcdef"}})["count"] == 0
    assert es.count(index=index, query={"exists": {"field": "word"}})["count"] == 1


def test_counting_over_names_that_may_be_missing(
    es: Elasticsearch, prefix: str, make_index: Callable[..., str]
) -> None:
    """With ignore_unavailable a missing name in a list counts nothing; without it, it is a 404."""
    index = make_index([{"tag": "a", "number": number} for number in range(1, 6)])
    query = {"bool": {"filter": [{"term": {"tag": "a"}}, {"range": {"number": {"gte": 2, "lte": 4}}}]}}
    names = f"{index},{prefix}-zork"
    assert es.count(index=names, query=query, **LENIENT)["count"] == 3
    assert es.count(index=f"{prefix}-zork", query=query, **LENIENT)["count"] == 0
    with pytest.raises(NotFoundError):
        es.count(index=names, query=query)


def test_counting_between_open_bounds(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """gt and lt leave their bounds out of a count."""
    index = make_index([{"number": number} for number in range(1, 6)])
    assert es.count(index=index, query={"range": {"number": {"gt": 1, "lt": 5}}})["count"] == 3


def test_refreshing_names_that_may_be_missing(
    es: Elasticsearch, http: httpx.Client, prefix: str, make_index: Callable[..., str]
) -> None:
    """A lenient refresh refreshes what is there; all names missing is no error, a strict one is a 404."""
    index = make_index()
    es.index(index=index, id="1", document={"tag": "a"})
    es.indices.refresh(index=f"{index},{prefix}-zork", **LENIENT)
    assert es.count(index=index)["count"] == 1
    es.indices.refresh(index=f"{prefix}-zork", **LENIENT)
    with pytest.raises(NotFoundError):
        es.indices.refresh(index=f"{prefix}-zork")

"""The query DSL: what each clause matches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch

DOCUMENTS: list[dict[str, Any]] = [
    {
        "@timestamp": "2026-11-20T10:30:45.123456781Z",
        "day": "2026-11-20T10:30:45.999Z",
        "tag": ["a", "c"],
        "message": "the quick brown fox",
        "number": 1,
        "ratio": 0.5,
        "flag": True,
        "inner": {"code": 1},
    },
    {
        "@timestamp": "2026-11-20T23:59:59.999999999Z",
        "day": "2026-11-20T23:59:59.999Z",
        "tag": "b",
        "message": "lazy dog-house foo_bar v1.2",
        "number": 2,
        "ratio": 1.5,
        "flag": False,
    },
    {
        "@timestamp": "2026-11-21T00:00:00Z",
        "day": "2026-11-21T00:00:00Z",
        "tag": "d/é *",
        "message": "quick quick dog",
        "number": [3, 7],
        "inner": {"name": "n"},
    },
    {"message": "x"},
]
ALL = ["1", "2", "3", "4"]


@pytest.fixture(scope="module")
def index(make_shared_index: Callable[..., str]) -> str:
    """An index with four documents."""
    return make_shared_index(DOCUMENTS)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"match_all": {}}, ALL),
        ({"match_none": {}}, []),
        ({"term": {"tag": "a"}}, ["1"]),
        ({"term": {"tag": {"value": "c"}}}, ["1"]),
        ({"term": {"tag": "d/é *"}}, ["3"]),
        ({"term": {"tag": "A"}}, []),
        ({"term": {"number": "7"}}, ["3"]),
        ({"term": {"number": 1.5}}, []),
        ({"term": {"ratio": 0.5}}, ["1"]),
        ({"term": {"flag": "true"}}, ["1"]),
        ({"term": {"flag": False}}, ["2"]),
        ({"term": {"_id": "2"}}, ["2"]),
        ({"term": {"zork": 1}}, []),
        ({"term": {"message": "quick"}}, ["1", "3"]),
        ({"term": {"message.raw": "quick quick dog"}}, ["3"]),
        ({"term": {"day": "2026-11-20"}}, ["1", "2"]),
        ({"terms": {"tag": ["a", "b", "zork"]}}, ["1", "2"]),
        ({"terms": {"number": [1, "7"]}}, ["1", "3"]),
        ({"terms": {"_id": ["1", "4", "9"]}}, ["1", "4"]),
        ({"terms": {"flag": [True, False]}}, ["1", "2"]),
        ({"terms": {"tag": []}}, []),
        ({"ids": {"values": ["1", "3", "zork"]}}, ["1", "3"]),
        ({"exists": {"field": "tag"}}, ["1", "2", "3"]),
        ({"exists": {"field": "message"}}, ALL),
        ({"exists": {"field": "inner"}}, ["1", "3"]),
        ({"exists": {"field": "zork"}}, []),
        ({"prefix": {"tag": "d/"}}, ["3"]),
        ({"prefix": {"tag": {"value": "b"}}}, ["2"]),
        ({"prefix": {"message": "qu"}}, ["1", "3"]),
        ({"prefix": {"zork": "a"}}, []),
        ({"wildcard": {"tag": "?"}}, ["1", "2"]),
        ({"wildcard": {"tag": {"value": "d*"}}}, ["3"]),
        ({"wildcard": {"tag": "d/? \\*"}}, ["3"]),
        ({"wildcard": {"tag": "*é*"}}, ["3"]),
        ({"wildcard": {"message": "qu*k"}}, ["1", "3"]),
    ],
)
def test_term_level(
    index: str, ids: Callable[..., list[str]], query: dict[str, Any], expected: list[str]
) -> None:
    """Term-level clauses match whole values, of any of a document's values, without analysis."""
    assert ids(index, query) == expected


@pytest.mark.parametrize(
    ("field", "bounds", "expected"),
    [
        ("number", {"gte": 2}, ["2", "3"]),
        ("number", {"gt": 2}, ["3"]),
        ("number", {"gte": 1.5, "lt": "3"}, ["2"]),
        ("number", {"lte": 1}, ["1"]),
        ("number", {"gt": 7}, []),
        ("number", {"gte": 5, "lte": 4}, []),
        ("number", {}, ["1", "2", "3"]),
        ("ratio", {"gt": 0.5}, ["2"]),
        ("ratio", {"gte": 0.5, "lt": 1.5}, ["1"]),
        ("tag", {"gte": "b", "lt": "d/é *"}, ["1", "2"]),
        ("tag", {"gt": "c"}, ["3"]),
        ("tag", {"lte": "a"}, ["1"]),
        ("flag", {"gte": True}, ["1"]),
        ("zork", {"gte": 1}, []),
        ("@timestamp", {"from": "2026-11-20", "to": "2026-11-21", "include_upper": False}, ["1", "2"]),
    ],
)
def test_range(
    index: str, ids: Callable[..., list[str]], field: str, bounds: dict[str, Any], expected: list[str]
) -> None:
    """Ranges compare numbers as numbers, keywords as texts, and leave out what lacks the field."""
    assert ids(index, {"range": {field: bounds}}) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ALL),
        ({"should": []}, ALL),
        ({"must": [{"term": {"tag": "a"}}, {"term": {"number": 1}}]}, ["1"]),
        ({"must": {"term": {"tag": "a"}}, "filter": {"term": {"number": 2}}}, []),
        ({"must_not": {"term": {"tag": "a"}}}, ["2", "3", "4"]),
        ({"must_not": [{"term": {"tag": "a"}}, {"exists": {"field": "number"}}]}, ["4"]),
        ({"should": [{"term": {"tag": "a"}}, {"term": {"tag": "b"}}]}, ["1", "2"]),
        ({"filter": [{"exists": {"field": "tag"}}], "should": [{"term": {"tag": "a"}}]}, ["1", "2", "3"]),
        (
            {
                "must_not": [{"term": {"tag": "a"}}],
                "should": [{"term": {"tag": "a"}}, {"term": {"tag": "b"}}],
            },
            ["2"],
        ),
        (
            {
                "filter": [{"exists": {"field": "tag"}}],
                "should": [{"term": {"tag": "a"}}, {"term": {"tag": "b"}}],
                "minimum_should_match": 1,
            },
            ["1", "2"],
        ),
        ({"should": [{"term": {"tag": t}} for t in "acb"], "minimum_should_match": 2}, ["1"]),
        ({"should": [{"term": {"tag": t}} for t in "acb"], "minimum_should_match": "50%"}, ["1", "2"]),
        ({"should": [{"term": {"tag": t}} for t in "acb"], "minimum_should_match": -1}, ["1"]),
        (
            {"filter": [{"bool": {"should": [{"term": {"tag": "b"}}, {"ids": {"values": ["4"]}}]}}]},
            ["2", "4"],
        ),
    ],
)
def test_bool(index: str, ids: Callable[..., list[str]], body: dict[str, Any], expected: list[str]) -> None:
    """A bool combines its clauses; should is optional beside must or filter unless a minimum is given."""
    assert ids(index, {"bool": body}) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"match": {"message": "quick dog"}}, ["1", "2", "3"]),
        ({"match": {"message": {"query": "quick dog", "operator": "and"}}}, ["3"]),
        ({"match": {"message": "HOUSE"}}, ["2"]),
        ({"match": {"message": "foo"}}, []),
        ({"match": {"message": "V1.2"}}, ["2"]),
        ({"match": {"message": "1.2"}}, []),
        ({"match": {"message": ""}}, []),
        ({"match": {"number": "1"}}, ["1"]),
        ({"match": {"tag": "a"}}, ["1"]),
        ({"match": {"zork": "a"}}, []),
        ({"match_phrase": {"message": "brown fox"}}, ["1"]),
        ({"match_phrase": {"message": "fox brown"}}, []),
        ({"match_phrase": {"message": {"query": "quick fox", "slop": 1}}}, ["1"]),
    ],
)
def test_match(index: str, ids: Callable[..., list[str]], query: dict[str, Any], expected: list[str]) -> None:
    """A match analyses its text as the field's; words break where Unicode says, and case does not count."""
    assert ids(index, query) == expected


@pytest.mark.parametrize(
    ("text", "operator", "expected"),
    [
        ("quick -dog", "and", ["1"]),
        ("quick -dog", "or", ["1", "3", "4"]),
        ("quick + dog", "or", ["3"]),
        ("fox | house", "and", ["1", "2"]),
        ("fox | house quick", "or", ["1", "2", "3"]),
        ("fox | house quick", "and", ["1"]),
        ('"brown fox"', "or", ["1"]),
        ('"fox brown"', "or", []),
        ("qui*", "or", ["1", "3"]),
        ("(quick dog) + fox", "or", ["1"]),
        ("dog-house", "and", ["2"]),
        ("", "or", []),
    ],
)
def test_simple_query_string(
    index: str, ids: Callable[..., list[str]], text: str, operator: str, expected: list[str]
) -> None:
    """The little language of the search box: and, or, not, phrase, prefix and parentheses."""
    query = {"query": text, "fields": ["message"], "default_operator": operator}
    assert ids(index, {"simple_query_string": query}) == expected


def test_simple_query_string_over_several_fields(index: str, ids: Callable[..., list[str]]) -> None:
    """A word may be in any of the fields; fields that are not mapped match nothing."""
    query = {"query": "b fox", "fields": ["tag", "message"]}
    assert ids(index, {"simple_query_string": query}) == ["1", "2"]
    assert ids(index, {"simple_query_string": {"query": "fox", "fields": ["zork"]}}) == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"zork": {}}, "parsing_exception"),
        ({}, "illegal_argument_exception"),
        ({"match_all": {}, "term": {"a": 1}}, "parsing_exception"),
        ({"bool": {"zork": []}}, "x_content_parse_exception"),
        ({"term": {"tag": "a", "number": 1}}, "parsing_exception"),
        ({"term": {"tag": ["a"]}}, "parsing_exception"),
        ({"terms": {"tag": "a"}}, "parsing_exception"),
        ({"range": {"number": {"gte": 1, "zork": 1}}}, "parsing_exception"),
        ({"range": {"number": {"gte": "abc"}}}, "search_phase_execution_exception"),
        ({"term": {"number": "x"}}, "search_phase_execution_exception"),
        ({"term": {"flag": "yes"}}, "search_phase_execution_exception"),
        ({"prefix": {"number": "1"}}, "search_phase_execution_exception"),
        ({"wildcard": {"number": "1*"}}, "search_phase_execution_exception"),
    ],
)
def test_queries_that_make_no_sense(es: Elasticsearch, index: str, query: dict[str, Any], error: str) -> None:
    """An unknown clause or parameter, or a value of the wrong type, is a 400 of its own type."""
    with pytest.raises(BadRequestError) as refused:
        es.search(index=index, query=query)
    assert refused.value.error == error


def test_unknown_query_is_refused_without_any_index(es: Elasticsearch, prefix: str) -> None:
    """A query is checked even when no index matches."""
    with pytest.raises(BadRequestError) as refused:
        es.search(index=f"{prefix}-zork*", query={"zork": {}})
    assert refused.value.error == "parsing_exception"

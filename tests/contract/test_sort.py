"""Sorting and paging: exact orders, missing values, search_after."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch

LONG_MAX, LONG_MIN = 2**63 - 1, -(2**63)
DOCUMENTS: list[dict[str, Any]] = [
    {
        "@timestamp": "2026-11-20T10:30:45.123456781Z",
        "day": "2026-11-20",
        "tag": "b",
        "number": 2,
        "ratio": 0.5,
    },
    {
        "@timestamp": "2026-11-20T10:30:45.123456783Z",
        "day": "2026-11-21",
        "tag": "é",
        "number": 1,
        "ratio": -1.5,
    },
    {
        "@timestamp": "2026-11-20T10:30:45.123456782Z",
        "day": "2026-11-22",
        "tag": "a",
        "number": 2,
        "flag": True,
    },
    {"number": 3},
]


def order(answer: Any) -> list[str]:
    """Return the ids of the hits in their order."""
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def values(answer: Any) -> list[list[Any]]:
    """Return the sort values of the hits in their order."""
    return [hit["sort"] for hit in answer["hits"]["hits"]]


@pytest.fixture(scope="module")
def index(make_shared_index: Callable[..., str]) -> str:
    """Four documents, of which the last lacks most fields."""
    return make_shared_index(DOCUMENTS)


def test_nanoseconds_are_exact(es: Elasticsearch, index: str) -> None:
    """Three instants of one microsecond sort apart; the sort value is the whole number of nanoseconds."""
    answer = es.search(index=index, sort=[{"@timestamp": "desc"}])
    assert order(answer) == ["2", "3", "1", "4"]
    first = 1795170645123456783
    assert values(answer) == [[first], [first - 1], [first - 2], [0]]
    assert values(es.search(index=index, sort=[{"@timestamp": "asc"}]))[3] == [LONG_MAX]
    assert answer["hits"]["max_score"] is None
    assert answer["hits"]["hits"][0]["_score"] is None


@pytest.mark.parametrize(
    ("sort", "expected", "shown"),
    [
        (
            [{"number": "asc"}, {"tag": "asc"}],
            ["2", "3", "1", "4"],
            [[1, "é"], [2, "a"], [2, "b"], [3, None]],
        ),
        (
            [{"number": "desc"}, {"tag": "desc"}],
            ["4", "1", "3", "2"],
            [[3, None], [2, "b"], [2, "a"], [1, "é"]],
        ),
        ([{"tag": "asc"}], ["3", "1", "2", "4"], [["a"], ["b"], ["é"], [None]]),
        ([{"tag": "desc"}], ["2", "1", "3", "4"], [["é"], ["b"], ["a"], [None]]),
        (
            [{"tag": {"order": "asc", "missing": "_first"}}],
            ["4", "3", "1", "2"],
            [[None], ["a"], ["b"], ["é"]],
        ),
        (
            [{"day": "desc"}],
            ["3", "2", "1", "4"],
            [[1795305600000], [1795219200000], [1795132800000], [LONG_MIN]],
        ),
        (
            [{"ratio": "asc"}, {"number": "asc"}],
            ["2", "1", "3", "4"],
            [[-1.5, 1], [0.5, 2], ["Infinity", 2], ["Infinity", 3]],
        ),
        (
            [{"ratio": {"order": "asc", "missing": "_first"}}, "number"],
            ["3", "4", "2", "1"],
            [["-Infinity", 2], ["-Infinity", 3], [-1.5, 1], [0.5, 2]],
        ),
        (
            [{"flag": "desc"}, {"_doc": "asc"}],
            ["3", "1", "2", "4"],
            [[1, 2], [LONG_MIN, 0], [LONG_MIN, 1], [LONG_MIN, 3]],
        ),
        (
            [{"@timestamp": {"order": "asc", "format": "strict_date_optional_time_nanos"}}],
            ["1", "3", "2", "4"],
            [
                [DOCUMENTS[0]["@timestamp"]],
                [DOCUMENTS[2]["@timestamp"]],
                [DOCUMENTS[1]["@timestamp"]],
                [None],
            ],
        ),
    ],
)
def test_orders_and_sort_values(
    es: Elasticsearch, index: str, sort: list[Any], expected: list[str], shown: list[list[Any]]
) -> None:
    """Each type sorts in its own order; what is missing comes last, or first, as the type's extreme."""
    answer = es.search(index=index, sort=sort)
    assert order(answer) == expected
    assert values(answer) == shown


@pytest.mark.parametrize(
    ("sort", "after", "expected"),
    [
        ([{"@timestamp": "asc"}], [1795170645123456781], ["3", "2", "4"]),
        ([{"@timestamp": "asc"}], ["2026-11-20T10:30:45.123456782Z"], ["2", "4"]),
        ([{"@timestamp": "asc"}], [LONG_MAX], []),
        ([{"@timestamp": "desc"}], [1795170645123456782], ["1", "4"]),
        ([{"tag": "asc"}], ["a"], ["1", "2", "4"]),
        ([{"tag": "asc"}], ["aa"], ["1", "2", "4"]),
        ([{"tag": "asc"}], [None], []),
        ([{"tag": "desc"}], ["b"], ["3", "4"]),
        ([{"tag": {"order": "asc", "missing": "_first"}}], [None], ["3", "1", "2"]),
        ([{"number": "asc"}, {"tag": "asc"}], [2, "a"], ["1", "4"]),
        ([{"number": "desc"}, {"tag": "desc"}], [2, "b"], ["3", "2"]),
        ([{"ratio": "asc"}, {"number": "asc"}], [0.5, 2], ["3", "4"]),
        ([{"ratio": "asc"}, {"number": "asc"}], ["Infinity", 2], ["4"]),
    ],
)
def test_search_after(
    es: Elasticsearch, index: str, sort: list[Any], after: list[Any], expected: list[str]
) -> None:
    """A page begins after the given values, ties and missing values included; the total stays the whole."""
    answer = es.search(index=index, sort=sort, search_after=after)
    assert order(answer) == expected
    assert answer["hits"]["total"]["value"] == 4


def test_paging_visits_each_document_once(
    es: Elasticsearch, make_index: Callable[..., str], prefix: str
) -> None:
    """Pages by search_after over several indices meet every document once, in order, whatever the ties."""
    chance = random.Random(7)
    expected: list[tuple[Any, ...]] = []
    for part in range(3):
        documents: list[dict[str, Any]] = []
        for number in range(40):
            document: dict[str, Any] = {"tag": f"t{part:02d}-{number:03d}"}
            if chance.random() < 0.8:
                document["@timestamp"] = f"2026-11-20T10:30:45.00000000{chance.randrange(10)}Z"
            if chance.random() < 0.8:
                document["number"] = chance.randrange(4)
            documents.append(document)
            missing = "@timestamp" not in document, "number" not in document
            instant = -int(document.get("@timestamp", "0Z")[-2])
            expected.append((missing[0], instant, missing[1], document.get("number", 0), document["tag"]))
        make_index(documents, name=str(part))
    found: list[str] = []
    after: list[Any] | None = None
    while True:
        answer = es.search(
            index=f"{prefix}-*",
            sort=[{"@timestamp": "desc"}, {"number": "asc"}, {"tag": "asc"}],
            size=7,
            search_after=after,
        )
        hits = answer["hits"]["hits"]
        if not hits:
            break
        found += [hit["_source"]["tag"] for hit in hits]
        after = hits[-1]["sort"]
    assert found == [row[-1] for row in sorted(expected)]


def test_from_and_size(es: Elasticsearch, index: str) -> None:
    """from skips, size limits, and both together stay inside the order."""
    assert order(es.search(index=index, sort=[{"@timestamp": "desc"}], from_=1, size=2)) == ["3", "1"]
    assert order(es.search(index=index, sort=[{"@timestamp": "desc"}], from_=4)) == []
    assert order(es.search(index=index, size=0)) == []


def test_sort_by_a_field_that_only_some_indices_have(
    es: Elasticsearch, make_index: Callable[..., str], prefix: str
) -> None:
    """unmapped_type sorts an index without the field as if its documents lacked it; else it is refused."""
    make_index(DOCUMENTS)
    make_index([{"other": 1}], fields={"other": {"type": "long"}}, name="other")
    sort = [{"number": {"order": "desc", "unmapped_type": "long"}}, {"tag": {"unmapped_type": "keyword"}}]
    answer = es.search(index=f"{prefix}-*", sort=sort)
    assert values(answer) == [[3, None], [2, "a"], [2, "b"], [1, "é"], [LONG_MIN, None]]
    with pytest.raises(BadRequestError) as refused:
        es.search(index=f"{prefix}-other", sort=[{"number": "desc"}])
    assert refused.value.body["error"]["root_cause"][0]["type"] == "query_shard_exception"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"sort": ["message"]}, "search_phase_execution_exception"),
        ({"sort": ["zork"]}, "search_phase_execution_exception"),
        ({"sort": ["_id"]}, "search_phase_execution_exception"),
        ({"search_after": [1]}, "search_phase_execution_exception"),
        ({"sort": ["number", "tag"], "search_after": [1]}, "search_phase_execution_exception"),
        ({"sort": ["number"], "search_after": ["x"]}, "search_phase_execution_exception"),
        ({"sort": ["number"], "search_after": [1], "from": 1}, "action_request_validation_exception"),
        ({"from": 9999, "size": 2}, "search_phase_execution_exception"),
        ({"size": -1}, "illegal_argument_exception"),
    ],
)
def test_sorts_and_pages_that_make_no_sense(
    es: Elasticsearch, index: str, body: dict[str, Any], error: str
) -> None:
    """Unsortable fields, wrong numbers of values and windows that are too large are refused."""
    with pytest.raises(BadRequestError) as refused:
        es.search(index=index, body=body)
    assert refused.value.error == error

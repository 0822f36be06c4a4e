"""Aggregations: values and shapes, over one index and over several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch

DAY_MS = 86_400_000
NOV_20 = 1795132800000
DOCUMENTS: list[dict[str, Any]] = [
    {
        "@timestamp": "2026-11-20T10:30:45.123456781Z",
        "tag": ["a", "c"],
        "number": 1,
        "ratio": 0.5,
        "flag": True,
    },
    {"@timestamp": "2026-11-20T23:59:59.999999999Z", "tag": "b", "number": 2, "ratio": 1.5, "flag": False},
    {"@timestamp": "2026-11-22T00:00:00Z", "tag": "a", "number": 7, "inner": {"code": 5}, "flag": True},
    {"message": "x", "number": 4},
]


@pytest.fixture(scope="module", params=["one", "two"])
def index(request: pytest.FixtureRequest, make_shared_index: Callable[..., str], module_prefix: str) -> str:
    """The documents in one index, or spread over two: results are the same."""
    if request.param == "one":
        return make_shared_index(DOCUMENTS, name="one")
    make_shared_index(DOCUMENTS[::2], name="two-a")
    make_shared_index(DOCUMENTS[1::2], name="two-b")
    return f"{module_prefix}-two-*"


@pytest.fixture
def aggregate(es: Elasticsearch, index: str) -> Callable[..., Any]:
    """Run one aggregation over the documents and return its result."""

    def run(**body: Any) -> Any:
        return es.search(index=index, size=0, aggs={"x": body})["aggregations"]["x"]

    return run


def counts(result: Any) -> list[tuple[Any, int]]:
    """Return key and count of each bucket."""
    return [(bucket["key"], bucket["doc_count"]) for bucket in result["buckets"]]


@pytest.mark.parametrize(
    ("body", "expected", "others"),
    [
        ({"field": "tag"}, [("a", 2), ("b", 1), ("c", 1)], 0),
        ({"field": "tag", "size": 1}, [("a", 2)], 2),
        ({"field": "tag", "order": {"_key": "desc"}}, [("c", 1), ("b", 1), ("a", 2)], 0),
        ({"field": "tag", "order": {"_count": "asc"}}, [("b", 1), ("c", 1), ("a", 2)], 0),
        ({"field": "tag", "min_doc_count": 2}, [("a", 2)], 0),
        ({"field": "tag", "missing": "none"}, [("a", 2), ("b", 1), ("c", 1), ("none", 1)], 0),
        ({"field": "number", "order": {"_key": "asc"}}, [(1, 1), (2, 1), (4, 1), (7, 1)], 0),
        ({"field": "ratio", "missing": -1}, [(-1.0, 2), (0.5, 1), (1.5, 1)], 0),
        ({"field": "inner.code", "missing": 0}, [(0, 3), (5, 1)], 0),
        ({"field": "zork"}, [], 0),
    ],
)
def test_terms(
    aggregate: Callable[..., Any], body: dict[str, Any], expected: list[tuple[Any, int]], others: int
) -> None:
    """Terms are ordered by count, then key; the rest is counted; what lacks the field may have a bucket."""
    result = aggregate(terms=body)
    assert counts(result) == expected
    assert result["sum_other_doc_count"] == others
    assert result["doc_count_error_upper_bound"] == 0


def test_terms_over_booleans_and_dates(aggregate: Callable[..., Any]) -> None:
    """Booleans and dates have a numeric key and a text."""
    assert aggregate(terms={"field": "flag"})["buckets"] == [
        {"key": 1, "key_as_string": "true", "doc_count": 2},
        {"key": 0, "key_as_string": "false", "doc_count": 1},
    ]
    first = aggregate(terms={"field": "@timestamp", "order": {"_key": "asc"}})["buckets"][0]
    assert first == {"key": 1795170645123, "key_as_string": "2026-11-20T10:30:45.123Z", "doc_count": 1}


@pytest.mark.parametrize(
    ("sub", "path", "expected"),
    [
        ({"max": {"field": "number"}}, "m", ["a", "b", "c"]),
        ({"stats": {"field": "number"}}, "m.avg", ["a", "b", "c"]),
        ({"percentiles": {"field": "number"}}, "m.50", ["a", "b", "c"]),
        ({"sum": {"field": "number"}}, "m.value", ["a", "b", "c"]),
    ],
)
def test_terms_by_a_metric(
    aggregate: Callable[..., Any], sub: dict[str, Any], path: str, expected: list[str]
) -> None:
    """Buckets can be ordered by a metric inside them, in both directions."""
    descending = aggregate(terms={"field": "tag", "order": {path: "desc"}}, aggs={"m": sub})
    assert [bucket["key"] for bucket in descending["buckets"]] == expected
    ascending = aggregate(terms={"field": "tag", "order": [{path: "asc"}]}, aggs={"m": sub})
    assert [bucket["key"] for bucket in ascending["buckets"]] == ["c", "b", "a"]


def test_terms_is_exact_over_many_values(
    es: Elasticsearch, make_index: Callable[..., str], prefix: str
) -> None:
    """Counts of the most frequent terms are right although each index has other favourites."""
    make_index([{"tag": f"only-a-{n}"} for n in range(30)] + [{"tag": "both"}] * 2, name="a")
    make_index([{"tag": f"only-b-{n}"} for n in range(30)] + [{"tag": "both"}] * 2, name="b")
    aggs = {"x": {"terms": {"field": "tag", "size": 2, "shard_size": 100}}}
    result = es.search(index=f"{prefix}-*", size=0, aggs=aggs)["aggregations"]["x"]
    assert counts(result) == [("both", 4), ("only-a-0", 1)]
    assert result["sum_other_doc_count"] == 59


def test_date_histogram_fills_gaps(aggregate: Callable[..., Any]) -> None:
    """Days without documents between the first and the last are there with zero, unless told otherwise."""
    result = aggregate(date_histogram={"field": "@timestamp", "fixed_interval": "1d"})
    assert result["buckets"] == [
        {"key_as_string": "2026-11-20T00:00:00.000Z", "key": NOV_20, "doc_count": 2},
        {"key_as_string": "2026-11-21T00:00:00.000Z", "key": NOV_20 + DAY_MS, "doc_count": 0},
        {"key_as_string": "2026-11-22T00:00:00.000Z", "key": NOV_20 + 2 * DAY_MS, "doc_count": 1},
    ]
    sparse = aggregate(date_histogram={"field": "@timestamp", "fixed_interval": "1d", "min_doc_count": 1})
    assert counts(sparse) == [(NOV_20, 2), (NOV_20 + 2 * DAY_MS, 1)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"calendar_interval": "day"}, [("2026-11-20T00:00:00.000Z", 2), ("2026-11-22T00:00:00.000Z", 1)]),
        (
            {"calendar_interval": "hour"},
            [
                ("2026-11-20T10:00:00.000Z", 1),
                ("2026-11-20T23:00:00.000Z", 1),
                ("2026-11-22T00:00:00.000Z", 1),
            ],
        ),
        ({"calendar_interval": "1w"}, [("2026-11-16T00:00:00.000Z", 3)]),
        ({"calendar_interval": "month"}, [("2026-11-01T00:00:00.000Z", 3)]),
        ({"calendar_interval": "quarter"}, [("2026-10-01T00:00:00.000Z", 3)]),
        ({"calendar_interval": "1y"}, [("2026-01-01T00:00:00.000Z", 3)]),
        (
            {"calendar_interval": "day", "time_zone": "Europe/Paris"},
            [
                ("2026-11-20T00:00:00.000+01:00", 1),
                ("2026-11-21T00:00:00.000+01:00", 1),
                ("2026-11-22T00:00:00.000+01:00", 1),
            ],
        ),
        (
            {"calendar_interval": "month", "time_zone": "America/New_York"},
            [("2026-11-01T00:00:00.000-04:00", 3)],
        ),
        (
            {"fixed_interval": "12h", "time_zone": "+05:30"},
            [
                ("2026-11-20T12:00:00.000+05:30", 1),
                ("2026-11-21T00:00:00.000+05:30", 1),
                ("2026-11-22T00:00:00.000+05:30", 1),
            ],
        ),
        (
            {"fixed_interval": "90m", "time_zone": "Europe/Paris"},
            [
                ("2026-11-20T10:30:00.000+01:00", 1),
                ("2026-11-21T00:00:00.000+01:00", 1),
                ("2026-11-22T00:00:00.000+01:00", 1),
            ],
        ),
        (
            {"fixed_interval": "7d", "format": "yyyy-MM-dd"},
            [("2026-11-19", 3)],
        ),
    ],
)
def test_date_histogram_intervals(
    aggregate: Callable[..., Any], body: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    """Calendar and fixed intervals cut in their time zone, weeks on Monday, also where clocks change."""
    result = aggregate(date_histogram={"field": "@timestamp", "min_doc_count": 1, **body})
    assert [(bucket["key_as_string"], bucket["doc_count"]) for bucket in result["buckets"]] == expected


def test_daylight_saving_days_have_23_and_25_hours(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """Local days keep their documents on the days when clocks change."""
    instants = [
        "2026-03-28T23:30:00Z",
        "2026-03-29T21:30:00Z",
        "2026-10-24T22:30:00Z",
        "2026-10-25T22:30:00Z",
    ]
    index = make_index([{"day": instant} for instant in instants])
    body = {"field": "day", "calendar_interval": "day", "time_zone": "Europe/Paris", "min_doc_count": 1}
    result = es.search(index=index, size=0, aggs={"x": {"date_histogram": body}})["aggregations"]["x"]
    assert [(bucket["key_as_string"], bucket["doc_count"]) for bucket in result["buckets"]] == [
        ("2026-03-29T00:00:00.000+01:00", 2),
        ("2026-10-25T00:00:00.000+02:00", 2),
    ]


@pytest.mark.parametrize(
    "bounds",
    [
        {"min": "2026-11-19", "max": "2026-11-23"},
        {"min": NOV_20 - 5, "max": NOV_20 + 3 * DAY_MS},
    ],
)
def test_extended_bounds(aggregate: Callable[..., Any], bounds: dict[str, Any]) -> None:
    """Extended bounds add empty buckets up to their ends."""
    result = aggregate(
        date_histogram={"field": "@timestamp", "fixed_interval": "1d", "extended_bounds": bounds}
    )
    expected = [(NOV_20 + day * DAY_MS, count) for day, count in ((-1, 0), (0, 2), (1, 0), (2, 1), (3, 0))]
    assert counts(result) == expected


def test_extended_bounds_without_documents(aggregate: Callable[..., Any]) -> None:
    """A field that is not mapped still has the buckets of the bounds."""
    body = {
        "field": "zork",
        "fixed_interval": "1d",
        "extended_bounds": {"min": "2026-11-19", "max": "2026-11-20"},
    }
    assert counts(aggregate(date_histogram=body)) == [(NOV_20 - DAY_MS, 0), (NOV_20, 0)]
    assert aggregate(date_histogram={"field": "zork", "fixed_interval": "1d"})["buckets"] == []


def test_histogram_order_and_keyed(aggregate: Callable[..., Any]) -> None:
    """Buckets may be ordered by key or count, or named by their keys."""
    body = {"field": "@timestamp", "fixed_interval": "1d", "min_doc_count": 1}
    assert counts(aggregate(date_histogram={**body, "order": {"_key": "desc"}})) == [
        (NOV_20 + 2 * DAY_MS, 1),
        (NOV_20, 2),
    ]
    assert counts(aggregate(date_histogram={**body, "order": {"_count": "asc"}})) == [
        (NOV_20 + 2 * DAY_MS, 1),
        (NOV_20, 2),
    ]
    keyed = aggregate(date_histogram={**body, "keyed": True})["buckets"]
    assert {name: bucket["doc_count"] for name, bucket in keyed.items()} == {
        "2026-11-20T00:00:00.000Z": 2,
        "2026-11-22T00:00:00.000Z": 1,
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"interval": 2}, [(0.0, 1), (2.0, 1), (4.0, 1), (6.0, 1)]),
        ({"interval": 3}, [(0.0, 2), (3.0, 1), (6.0, 1)]),
        ({"interval": 2, "offset": 1, "min_doc_count": 1}, [(1.0, 2), (3.0, 1), (7.0, 1)]),
        (
            {"interval": 5, "extended_bounds": {"min": -5, "max": 12}},
            [(-5.0, 0), (0.0, 3), (5.0, 1), (10.0, 0)],
        ),
    ],
)
def test_histogram(
    aggregate: Callable[..., Any], body: dict[str, Any], expected: list[tuple[float, int]]
) -> None:
    """Numbers fall into even intervals; gaps and bounds are filled."""
    assert counts(aggregate(histogram={"field": "number", **body})) == expected


def test_range(aggregate: Callable[..., Any]) -> None:
    """Ranges take their lower end and leave the upper; they may overlap and be named."""
    ranges = [{"to": 2}, {"from": 2, "to": 5, "key": "mid"}, {"from": 1.5}]
    result = aggregate(range={"field": "number", "ranges": ranges}, aggs={"s": {"sum": {"field": "number"}}})
    assert {bucket.pop("key"): bucket for bucket in result["buckets"]} == {
        "*-2.0": {"to": 2.0, "doc_count": 1, "s": {"value": 1.0}},
        "mid": {"from": 2.0, "to": 5.0, "doc_count": 2, "s": {"value": 6.0}},
        "1.5-*": {"from": 1.5, "doc_count": 3, "s": {"value": 13.0}},
    }
    keyed = aggregate(
        range={"field": "number", "keyed": True, "ranges": [{"to": 2}, {"from": 2, "key": "up"}]}
    )
    assert keyed["buckets"] == {"*-2.0": {"to": 2.0, "doc_count": 1}, "up": {"from": 2.0, "doc_count": 3}}
    assert counts(aggregate(range={"field": "zork", "ranges": [{"to": 2}]})) == [("*-2.0", 0)]


def test_filter_filters_and_missing(aggregate: Callable[..., Any]) -> None:
    """Buckets of queries: one, named, anonymous, with the rest, and of documents without a field."""
    assert aggregate(filter={"term": {"tag": "a"}}, aggs={"m": {"max": {"field": "number"}}}) == {
        "doc_count": 2,
        "m": {"value": 7.0},
    }
    named = {"filters": {"a": {"term": {"tag": "a"}}, "none": {"match_none": {}}}, "other_bucket_key": "rest"}
    assert aggregate(filters=named)["buckets"] == {
        "a": {"doc_count": 2},
        "none": {"doc_count": 0},
        "rest": {"doc_count": 2},
    }
    anonymous = {"filters": [{"term": {"tag": "b"}}, {"exists": {"field": "tag"}}]}
    assert aggregate(filters=anonymous)["buckets"] == [{"doc_count": 1}, {"doc_count": 3}]
    assert aggregate(missing={"field": "tag"}) == {"doc_count": 1}
    assert aggregate(missing={"field": "zork"}) == {"doc_count": 4}


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("avg", {"field": "number"}, {"value": 3.5}),
        ("min", {"field": "number"}, {"value": 1.0}),
        ("max", {"field": "ratio"}, {"value": 1.5}),
        ("sum", {"field": "number"}, {"value": 14.0}),
        ("avg", {"field": "ratio", "missing": 10}, {"value": 5.5}),
        ("stats", {"field": "number"}, {"count": 4, "min": 1.0, "max": 7.0, "avg": 3.5, "sum": 14.0}),
        ("value_count", {"field": "tag"}, {"value": 4}),
        ("value_count", {"field": "@timestamp"}, {"value": 3}),
        ("cardinality", {"field": "tag"}, {"value": 3}),
        ("cardinality", {"field": "number"}, {"value": 4}),
        ("cardinality", {"field": "tag", "missing": "none"}, {"value": 4}),
        ("avg", {"field": "zork"}, {"value": None}),
        ("sum", {"field": "zork"}, {"value": 0.0}),
        ("stats", {"field": "zork"}, {"count": 0, "min": None, "max": None, "avg": None, "sum": 0.0}),
        ("value_count", {"field": "zork"}, {"value": 0}),
        ("cardinality", {"field": "zork"}, {"value": 0}),
        ("sum", {"field": "flag"}, {"value": 2.0, "value_as_string": "true"}),
        ("max", {"field": "day"}, {"value": None}),
    ],
)
def test_metrics(
    aggregate: Callable[..., Any], kind: str, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Single numbers over all values; nothing to count is null, or zero for a sum or a count."""
    assert aggregate(**{kind: body}) == expected


def test_metrics_over_dates(aggregate: Callable[..., Any]) -> None:
    """Dates are milliseconds with a text beside them."""
    assert aggregate(min={"field": "@timestamp"}) == {
        "value": 1795170645123.0,
        "value_as_string": "2026-11-20T10:30:45.123Z",
    }
    stats = aggregate(stats={"field": "@timestamp"})
    assert (stats["count"], stats["max_as_string"]) == (3, "2026-11-22T00:00:00.000Z")


def test_percentiles(aggregate: Callable[..., Any]) -> None:
    """Percentiles interpolate between the values; without values they are null."""
    result = aggregate(percentiles={"field": "number", "percents": [0, 50, 75, 99.9, 100]})
    assert list(result["values"]) == ["0.0", "50.0", "75.0", "99.9", "100.0"]
    assert list(result["values"].values()) == pytest.approx([1.0, 3.0, 4.75, 6.991, 7.0])
    default = aggregate(percentiles={"field": "number"})
    assert list(default["values"]) == ["1.0", "5.0", "25.0", "50.0", "75.0", "95.0", "99.0"]
    listed = aggregate(percentiles={"field": "number", "percents": [50], "keyed": False})
    assert listed == {"values": [{"key": 50.0, "value": 3.0}]}
    assert aggregate(percentiles={"field": "zork", "percents": [50]}) == {"values": {"50.0": None}}


def test_percentiles_of_many_values(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """Over a thousand values percentiles are within one percent of the exact ones."""
    index = make_index([{"ratio": float(number * number % 997)} for number in range(1000)])
    exact = sorted(float(number * number % 997) for number in range(1000))
    aggs = {"x": {"percentiles": {"field": "ratio", "percents": [50, 95, 99]}}}
    found = es.search(index=index, size=0, aggs=aggs)["aggregations"]["x"]["values"]
    for percent in (50, 95, 99):
        assert found[f"{percent}.0"] == pytest.approx(exact[round(percent / 100 * 999)], rel=0.01)


def test_nested_groupings(aggregate: Callable[..., Any]) -> None:
    """Groupings nest in groupings, query buckets inside and around them, metrics at each level."""
    result = aggregate(
        date_histogram={"field": "@timestamp", "calendar_interval": "day", "min_doc_count": 1},
        aggs={
            "yes": {"filter": {"term": {"flag": True}}, "aggs": {"tags": {"terms": {"field": "tag"}}}},
            "tags": {
                "terms": {"field": "tag"},
                "aggs": {
                    "sizes": {
                        "range": {"field": "number", "ranges": [{"to": 2}, {"from": 2}]},
                        "aggs": {"top": {"max": {"field": "number"}}},
                    },
                    "mean": {"avg": {"field": "number"}},
                },
            },
            "middle": {"percentiles": {"field": "number", "percents": [50]}},
        },
    )
    first, last = result["buckets"]
    assert first["yes"]["doc_count"] == 1
    assert counts(first["yes"]["tags"]) == [("a", 1), ("c", 1)]
    assert last["yes"]["doc_count"] == 1
    assert first["middle"]["values"]["50.0"] == 1.5
    assert counts(first["tags"]) == [("a", 1), ("b", 1), ("c", 1)]
    by_tag = {bucket["key"]: bucket for bucket in first["tags"]["buckets"]}
    assert by_tag["b"]["mean"]["value"] == 2.0
    sizes = [(bucket["doc_count"], bucket["top"]["value"]) for bucket in by_tag["b"]["sizes"]["buckets"]]
    assert sizes == [(0, None), (1, 2.0)]


def test_aggregations_see_the_query_and_not_the_page(es: Elasticsearch, index: str) -> None:
    """Aggregations are over all documents that match the query, whatever size and search_after say."""
    answer = es.search(
        index=index,
        query={"exists": {"field": "tag"}},
        size=1,
        sort=[{"number": "asc"}],
        search_after=[2],
        aggs={"s": {"sum": {"field": "number"}, "meta": {"unit": "pieces"}}},
    )
    assert answer["aggregations"]["s"] == {"meta": {"unit": "pieces"}, "value": 10.0}
    assert [hit["sort"] for hit in answer["hits"]["hits"]] == [[7]]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"zork": {"field": "tag"}}, "parsing_exception"),
        ({}, "parsing_exception"),
        ({"terms": {"field": "tag"}, "avg": {"field": "number"}}, "parsing_exception"),
        ({"terms": {"field": "tag", "zork": 1}}, "x_content_parse_exception"),
        ({"terms": {"field": "tag", "size": 0}}, "x_content_parse_exception"),
        ({"terms": {"field": "tag", "order": {"zork": "asc"}}}, "search_phase_execution_exception"),
        ({"terms": {"field": "message"}}, "search_phase_execution_exception"),
        ({"avg": {"field": "number", "zork": 1}}, "x_content_parse_exception"),
        ({"avg": {"field": "tag"}}, "search_phase_execution_exception"),
        ({"avg": {}}, "illegal_argument_exception"),
        (
            {"avg": {"field": "number"}, "aggs": {"y": {"avg": {"field": "number"}}}},
            "illegal_argument_exception",
        ),
        ({"date_histogram": {"field": "@timestamp"}}, "search_phase_execution_exception"),
        ({"date_histogram": {"field": "tag", "fixed_interval": "1d"}}, "search_phase_execution_exception"),
        ({"date_histogram": {"field": "@timestamp", "calendar_interval": "2d"}}, "x_content_parse_exception"),
        ({"date_histogram": {"field": "@timestamp", "fixed_interval": "day"}}, "x_content_parse_exception"),
        ({"date_histogram": {"field": "@timestamp", "interval": "day"}}, "x_content_parse_exception"),
        (
            {"date_histogram": {"field": "@timestamp", "fixed_interval": "1ms"}},
            "search_phase_execution_exception",
        ),
        ({"histogram": {"field": "number", "interval": 0}}, "x_content_parse_exception"),
        ({"histogram": {"field": "tag", "interval": 1}}, "search_phase_execution_exception"),
        ({"range": {"field": "number", "ranges": []}}, "search_phase_execution_exception"),
        ({"percentiles": {"field": "tag"}}, "search_phase_execution_exception"),
        ({"filter": {"zork": {}}}, "parsing_exception"),
    ],
)
def test_aggregations_that_make_no_sense(
    aggregate: Callable[..., Any], body: dict[str, Any], error: str
) -> None:
    """Unknown kinds and parameters, and fields of the wrong type, are a 400 of their own type."""
    with pytest.raises(BadRequestError) as refused:
        aggregate(**body)
    assert refused.value.error == error

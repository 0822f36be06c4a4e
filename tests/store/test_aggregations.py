"""Aggregations beyond what tantivy does by itself."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vigie.store.engine import Engine
from vigie.store.errors import StoreError
from vigie.store.search import parse_request, search

FIELDS = {
    "n": {"type": "date_nanos"},
    "k": {"type": "keyword"},
    "l": {"type": "long"},
    "f": {"type": "double"},
}


def aggregate(engine: Engine, *names: str, **aggs: Any) -> Any:
    """Return the aggregations' results over those indices."""
    return search([engine.index(name) for name in names], parse_request({"size": 0, "aggs": aggs}))[
        "aggregations"
    ]


def test_more_distinct_values_than_tantivy_allows(engine: Engine, fill: Callable[..., str]) -> None:
    """Beyond 65,000 buckets the work is split, and cardinality stays exact; percentiles are within 1 %."""
    numbers = [number * 3 for number in range(66_000)]
    fill({"l": {"type": "long"}}, [{"l": number} for number in numbers])
    result = aggregate(
        engine,
        "index",
        p={"percentiles": {"field": "l", "percents": [10, 50, 99]}},
        c={"cardinality": {"field": "l"}},
        t={"terms": {"field": "l", "size": 1, "order": {"_key": "desc"}}},
    )
    assert result["c"]["value"] == 66_000
    assert list(result["p"]["values"].values()) == pytest.approx(
        np.percentile(numbers, [10, 50, 99]), rel=0.01
    )
    assert result["t"]["buckets"] == [{"key": numbers[-1], "doc_count": 1}]
    assert result["t"]["sum_other_doc_count"] == 65_999


def test_results_are_those_of_plain_python(engine: Engine, fill: Callable[..., str]) -> None:
    """Nested groupings over two indices equal sums and percentiles computed from the documents."""
    chance = random.Random(3)
    held = [
        {
            "n": f"2026-11-{chance.randrange(20, 23)}T{chance.randrange(24):02d}:00:00Z",
            "k": chance.choice("abc"),
            "f": chance.lognormvariate(2, 1),
        }
        for _ in range(400)
    ]
    fill(FIELDS, held[:150], name="one")
    fill(FIELDS, held[150:], name="two")
    metrics = {"p": {"percentiles": {"field": "f", "percents": [50, 95]}}, "s": {"stats": {"field": "f"}}}
    by_key = {"terms": {"field": "k", "order": {"_key": "asc"}}, "aggs": metrics}
    days = {"date_histogram": {"field": "n", "calendar_interval": "day"}, "aggs": {"keys": by_key}}
    result = aggregate(engine, "one", "two", days=days)["days"]["buckets"]
    assert [bucket["key_as_string"][:10] for bucket in result] == ["2026-11-20", "2026-11-21", "2026-11-22"]
    for bucket in result:
        for inner in bucket["keys"]["buckets"]:
            values = [
                document["f"]
                for document in held
                if document["n"][:10] == bucket["key_as_string"][:10] and document["k"] == inner["key"]
            ]
            assert inner["doc_count"] == inner["s"]["count"] == len(values)
            assert inner["s"]["avg"] == pytest.approx(np.mean(values))
            assert inner["s"]["max"] == max(values)
            assert list(inner["p"]["values"].values()) == pytest.approx(np.percentile(values, [50, 95]))


def test_percentiles_of_many_are_sketched(engine: Engine, fill: Callable[..., str]) -> None:
    """From 20,001 documents on they are within a hundredth, in large and small buckets, over two indices."""
    chance = random.Random(5)
    held = [{"k": "many", "f": chance.lognormvariate(0, 2)} for _ in range(30_000)]
    held += [{"k": "below zero", "f": -chance.lognormvariate(0, 1)} for _ in range(3000)]
    held += [{"k": "few", "f": number} for number in (0.5, 20.0, 7.0)] + [{"k": "none"}]
    chance.shuffle(held)
    fill(FIELDS, held[:25_000], name="one")
    fill(FIELDS, held[25_000:], name="two")
    percents = [1, 50, 90, 99, 99.9]
    asked = {"percentiles": {"field": "f", "percents": percents, "keyed": False}}
    whole = aggregate(engine, "one", "two", p=asked, by={"terms": {"field": "k"}, "aggs": {"p": asked}})
    found = {"": whole["p"], **{bucket["key"]: bucket["p"] for bucket in whole["by"]["buckets"]}}
    for key, answer in found.items():
        values = [one["f"] for one in held if "f" in one and key in ("", one["k"])]
        if key == "none":
            assert [each["value"] for each in answer["values"]] == [None] * 5
            continue
        for each in answer["values"]:
            # a hundredth of the value, and a thousandth of the ranks of each index
            low, high = np.percentile(values, np.clip([each["key"] - 0.2, each["key"] + 0.2], 0, 100))
            if key == "few":
                low = high = np.percentile(values, each["key"])
            assert low - 0.011 * abs(low) <= each["value"] <= high + 0.011 * abs(high), (key, each)


def test_percentiles_of_many_times_are_exact(engine: Engine, fill: Callable[..., str]) -> None:
    """A hundredth of the time since 1970 would be months."""
    fill(FIELDS, [{"n": 1_760_000_000_000 + number} for number in range(20_001)])
    answer = aggregate(engine, "index", p={"percentiles": {"field": "n", "percents": [50]}})
    assert answer["p"]["values"]["50.0"] == 1_760_000_010_000


def test_percentiles_count_repeated_values(engine: Engine, fill: Callable[..., str]) -> None:
    """A value that occurs often weighs as often."""
    chance = random.Random(5)
    numbers = [chance.choice([1, 1, 1, 5, 9, 100]) for _ in range(57)]
    fill(FIELDS, [{"l": number} for number in numbers])
    percents = [0.0, 12.5, 50.0, 63.0, 99.0, 100.0]
    result = aggregate(engine, "index", p={"percentiles": {"field": "l", "percents": percents}})["p"][
        "values"
    ]
    assert list(result.values()) == pytest.approx(np.percentile(numbers, percents))


def test_a_field_that_one_index_lacks(engine: Engine, fill: Callable[..., str]) -> None:
    """Documents of an index without the field count as missing there, and nowhere else."""
    fill({"k": {"type": "keyword"}, "l": {"type": "long"}}, [{"k": "a", "l": 1}], name="one")
    fill({"l": {"type": "long"}}, [{"l": 2}, {"l": 3}], name="two")
    result = aggregate(
        engine,
        "one",
        "two",
        t={"terms": {"field": "k", "missing": "none"}, "aggs": {"s": {"sum": {"field": "l"}}}},
        m={"missing": {"field": "k"}},
    )
    assert [(bucket["key"], bucket["s"]["value"]) for bucket in result["t"]["buckets"]] == [
        ("none", 5.0),
        ("a", 1.0),
    ]
    assert result["m"]["doc_count"] == 2


def test_documents_count_once_per_term(engine: Engine, fill: Callable[..., str]) -> None:
    """Repeated keywords of a document are one."""
    documents = [{"k": ["x", "x", "y"]}, {"k": ["y"]}]
    fill(FIELDS, documents)
    result = aggregate(engine, "index", t={"terms": {"field": "k"}}, v={"value_count": {"field": "k"}})
    counts = Counter({bucket["key"]: bucket["doc_count"] for bucket in result["t"]["buckets"]})
    assert counts == Counter({"x": 1, "y": 2})
    assert result["v"]["value"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {"terms": {"field": "l"}},
        {"histogram": {"field": "l", "interval": 2}},
        {"date_histogram": {"field": "n", "fixed_interval": "1d"}},
    ],
)
def test_several_numbers_in_a_document_are_refused(
    engine: Engine, fill: Callable[..., str], body: dict[str, Any]
) -> None:
    """tantivy would count such a document once per value, so that the aggregation is refused."""
    fill(FIELDS, [{"l": [1, 2], "n": ["2026-01-01", "2026-01-02"]}])
    with pytest.raises(StoreError, match="several values"):
        aggregate(engine, "index", x=body)
    assert aggregate(engine, "index", x={"sum": {"field": "l"}})["x"]["value"] == 3.0

"""Dates in ranges: notations, missing parts, date math, time zones, nanoseconds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch

INSTANTS = ["2026-11-20T10:30:45.123456781Z", "2026-11-20T23:59:59.999999999Z", "2026-11-21T00:00:00Z"]
MILLIS = 1795170645123


@pytest.fixture(scope="module")
def index(make_shared_index: Callable[..., str]) -> str:
    """Three instants, as date_nanos and as date."""
    return make_shared_index([{"@timestamp": instant, "day": instant} for instant in INSTANTS])


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"lte": "2026-11-20"}, ["1", "2"]),
        ({"lt": "2026-11-20"}, []),
        ({"gt": "2026-11-20"}, ["3"]),
        ({"gte": "2026-11-20"}, ["1", "2", "3"]),
        ({"lt": "2026-11-21"}, ["1", "2"]),
        ({"lte": "2026-11"}, []),
        ({"lt": "2026-12"}, ["1", "2", "3"]),
        ({"gte": "2026-11-20||/d", "lte": "2026-11-20||/d"}, ["1"]),
        ({"gt": "2026-11-20||/d"}, ["2", "3"]),
        ({"gte": "2026-11-20T11:00:00Z||-1h"}, ["1", "2", "3"]),
        ({"gte": "2026-11-20||+1d"}, ["3"]),
        ({"gte": "2026-10-31||+1M-11d+1d"}, ["1", "2", "3"]),
        ({"lte": "2026-11-20T10:30:45.123Z"}, []),
        ({"lte": "2026-11-20T10:30:45.123456781Z"}, ["1"]),
        ({"lt": "2026-11-20T10:30:45.123456781Z"}, []),
        ({"gt": "2026-11-20T10:30:45.123456780Z", "lt": "2026-11-20T10:30:45.123456782Z"}, ["1"]),
        ({"lte": MILLIS}, ["1"]),
        ({"gt": MILLIS}, ["2", "3"]),
        ({"gte": str(MILLIS), "lte": str(MILLIS + 1), "format": "epoch_millis"}, ["1"]),
        ({"lte": "20/11/2026", "format": "dd/MM/yyyy"}, ["1", "2"]),
        ({"gte": "2026-11-21", "time_zone": "+01:00"}, ["2", "3"]),
        ({"gte": "2026-11-21", "time_zone": "Europe/Paris"}, ["2", "3"]),
        ({"gte": "2026-11-20T23:00:00", "time_zone": "-05:00"}, []),
        ({"gte": "2026-11-21T00:00:00+01:00"}, ["2", "3"]),
    ],
)
def test_ranges_over_nanoseconds(
    index: str, ids: Callable[..., list[str]], bounds: dict[str, Any], expected: list[str]
) -> None:
    """Missing times and roundings go up for lte and gt, down for gte and lt, exact to the nanosecond."""
    assert ids(index, {"range": {"@timestamp": bounds}}) == expected


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"lte": "2026-11-20T10:30:45.123Z"}, ["1"]),
        ({"lte": "2026-11-20T10:30"}, ["1"]),
        ({"lt": "2026-11-20T10:30"}, []),
        ({"lte": "2026-11-20T10"}, ["1"]),
        ({"lte": "2026-11-20||/d"}, ["1", "2"]),
        ({"gt": MILLIS}, ["2", "3"]),
        ({"gte": "1795170645", "format": "epoch_second"}, ["1", "2", "3"]),
    ],
)
def test_ranges_over_milliseconds(
    index: str, ids: Callable[..., list[str]], bounds: dict[str, Any], expected: list[str]
) -> None:
    """A date field counts milliseconds and reads hours and minutes without seconds."""
    assert ids(index, {"range": {"day": bounds}}) == expected


def test_now(make_index: Callable[..., str], ids: Callable[..., list[str]]) -> None:
    """now is the present; steps and roundings move from it."""
    now = dt.datetime.now(dt.UTC)
    moments = [now - dt.timedelta(days=3), now - dt.timedelta(minutes=2), now + dt.timedelta(hours=1)]
    index = make_index([{"@timestamp": moment.isoformat()} for moment in moments])
    assert ids(index, {"range": {"@timestamp": {"gte": "now-5m", "lte": "now"}}}) == ["2"]
    assert ids(index, {"range": {"@timestamp": {"gt": "now"}}}) == ["3"]
    assert ids(index, {"range": {"@timestamp": {"lt": "now-1d/d"}}}) == ["1"]
    assert ids(index, {"range": {"@timestamp": {"gte": "now-1w/d", "lt": "now-1d/d"}}}) == ["1"]


@pytest.mark.parametrize(
    "value", ["yesterday", "now-1x", "now*2", "2026-11-20T10:30", "2026-11-20T25:00:00Z"]
)
def test_dates_that_cannot_be_read(es: Elasticsearch, index: str, value: str) -> None:
    """A text that is no date of the field's format is refused."""
    with pytest.raises(BadRequestError) as refused:
        es.search(index=index, query={"range": {"@timestamp": {"gte": value}}})
    assert refused.value.error == "search_phase_execution_exception"
    assert refused.value.body["error"]["root_cause"][0]["type"] == "parse_exception"

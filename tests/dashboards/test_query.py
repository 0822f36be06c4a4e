"""Queries: intervals as Kibana chooses them, conditions, nesting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vigie.dashboards.kql import kql
from vigie.dashboards.query import clause_of, interval_of, panel_query
from vigie.dashboards.specification import Condition, Specification

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "span", "interval"),
    [
        ("auto", timedelta(minutes=15), "30s"),
        ("auto", timedelta(hours=1), "1m"),
        ("auto", timedelta(hours=24), "30m"),
        ("auto", timedelta(days=7), "3h"),
        ("auto", timedelta(days=90), "1d"),
        ("1h", timedelta(hours=24), "1h"),
        ("1h", timedelta(days=7), "3h"),
        ("1m", timedelta(hours=1), "1m"),
        ("1m", timedelta(hours=3), "5m"),
        ("1d", timedelta(days=365_000), "365d"),
    ],
)
def test_intervals_give_a_chart_that_can_be_read(asked: str, span: timedelta, interval: str) -> None:
    """About 50 buckets when nothing is asked; what is asked up to 100, then the next round one."""
    assert interval_of(asked, span) == interval


@pytest.mark.parametrize(
    ("conditions", "text", "clauses"),
    [
        ([{"field": "status", "is": "ok"}], 'status: "ok"', [{"terms": {"status": ["ok"]}}]),
        (
            [{"field": "status", "is": ["ok", "shed"]}, {"field": "number", "is_not": 3}],
            'status: ("ok" or "shed") and not number: 3',
            [{"terms": {"status": ["ok", "shed"]}}, {"bool": {"must_not": [{"terms": {"number": [3]}}]}}],
        ),
        (
            [{"field": "batch_id", "exists": False}, {"field": "path", "exists": True}],
            "not batch_id: * and path: *",
            [{"bool": {"must_not": [{"exists": {"field": "batch_id"}}]}}, {"exists": {"field": "path"}}],
        ),
        (
            [{"field": "label", "is": 'a "b" \\ c'}, {"field": "profiled", "is": True}],
            'label: "a \\"b\\" \\\\ c" and profiled: true',
            [{"terms": {"label": ['a "b" \\ c']}}, {"terms": {"profiled": [True]}}],
        ),
        ([], "", []),
    ],
)
def test_a_condition_reads_the_same_in_both_languages(
    conditions: list[dict[str, object]], text: str, clauses: list[object]
) -> None:
    """Kibana's KQL and the store's query say the same."""
    found = [Condition.model_validate(one) for one in conditions]
    assert kql(found) == text
    assert clause_of(found) == {"bool": {"filter": clauses}}


def test_the_split_is_outside_the_time(specification: Specification) -> None:
    """Series are the first terms of the whole time, each cut by time, as Lens asks it."""
    panel = next(panel for _, panel in specification.panels if panel.id == "throughput")
    query = panel_query(panel, UNTIL - timedelta(hours=1), UNTIL, "mine-")
    assert query.index == "mine-ml-api-perfs"
    assert query.interval_seconds == 60
    terms = query.body["aggs"]["by_1"]
    assert terms["terms"] == {"field": "producer", "size": 10, "order": [{"_key": "asc"}]}
    histogram = terms["aggs"]["by_0"]["date_histogram"]
    assert histogram["fixed_interval"] == "1m"
    assert histogram["extended_bounds"] == {"min": 1795129200000, "max": 1795132799999}
    assert query.body["query"]["bool"]["filter"][0] == {
        "range": {"@timestamp": {"gte": "2026-11-19T23:00:00+00:00", "lt": "2026-11-20T00:00:00+00:00"}}
    }


def test_a_panel_without_buckets_asks_for_the_count_alone(specification: Specification) -> None:
    """Counting needs no aggregation; the total is exact."""
    panel = next(panel for _, panel in specification.panels if panel.id == "predictions_answered")
    query = panel_query(panel, UNTIL - timedelta(hours=1), UNTIL)
    assert "aggs" not in query.body
    assert query.body["track_total_hits"] is True
    assert query.interval_seconds is None

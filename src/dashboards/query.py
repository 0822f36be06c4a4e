"""From a panel to its search request, answered alike by the embedded store and Elasticsearch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from vigie.dashboards.specification import (
    TIME_FIELD,
    Buckets,
    Condition,
    Metric,
    Panel,
    RangeBuckets,
    TermsBuckets,
    TimeBuckets,
)

AUTO_BUCKETS: Final = 50
MOST_BUCKETS: Final = 100
"""Kibana's own defaults (histogram:barTarget and histogram:maxBars)."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ROUND: Final = {
    "1s": 5, "5s": 7.5, "10s": 15, "30s": 45, "1m": 180, "5m": 540, "10m": 1200, "30m": 2700, "1h": 7200,
    "3h": 21600, "12h": 86400, "1d": 604800, "7d": 1814400, "30d": 31536000, "365d": math.inf,
}  # fmt: skip
"""Round interval → the seconds of a bucket below which Kibana takes it when it chooses by itself."""
_METRIC_AGGREGATIONS: Final = {
    "average": "avg",
    "sum": "sum",
    "minimum": "min",
    "maximum": "max",
    "unique_count": "cardinality",
    "counter_rate": "max",
}
VALUE: Final = "value"
"""Name of the aggregation inside a metric's own filter."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """A panel's search, ready to send."""

    index: str
    """Alias, with prefix."""
    body: Json
    interval_seconds: int | None
    """Length of a bucket by time; None when the panel has none."""


def panel_query(
    panel: Panel,
    since: datetime,
    until: datetime,
    prefix: str = "",
    conditions: Sequence[Condition] = (),
) -> PanelQuery:
    """Return the search of `panel` over [since, until), both with an offset from UTC.

    `prefix` goes before the index; `conditions` narrow it further, as a dashboard's controls do.
    """
    interval = None if panel.time is None else interval_of(panel.time.interval, until - since)
    bounds = {"gte": since.isoformat(), "lt": until.isoformat()}
    filters = [{"range": {"@timestamp": bounds}}, *map(_clause, [*panel.where, *conditions])]
    body: Json = {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": filters}}}
    aggregations = {metric.id: part for metric in panel.metrics if (part := _metric(metric))}
    window = {"min": _milliseconds(since), "max": _milliseconds(until) - 1}
    for name, buckets in reversed(nested(panel)):
        own = _grouping(panel, buckets, interval, window)
        aggregations = {name: {**own, **({"aggs": aggregations} if aggregations else {})}}
    if aggregations:
        body["aggs"] = aggregations
    return PanelQuery(f"{prefix}{panel.index}", body, None if interval is None else seconds(interval))


def nested(panel: Panel) -> list[tuple[str, Buckets]]:
    """Return the buckets with their aggregations' names, outermost first.

    The split of a chart with axes is outermost, so that its terms are the first of the whole time.
    """
    named = [(f"by_{number}", buckets) for number, buckets in enumerate(panel.buckets)]
    return named[::-1] if panel.time is not None and len(named) > 1 else named


def interval_of(asked: str, span: timedelta) -> str:
    """Return the interval of a date histogram over `span`: as asked, wider when it gives too many buckets."""
    if asked == "auto":
        wanted = span.total_seconds() / AUTO_BUCKETS
        return next(one for one, below in _ROUND.items() if wanted < below)
    if span.total_seconds() / seconds(asked) <= MOST_BUCKETS:
        return asked
    wider = (one for one in _ROUND if seconds(one) >= span.total_seconds() / MOST_BUCKETS)
    return next(wider, "365d")


def seconds(interval: str) -> int:
    """Return the length of an interval such as `5m`, in seconds."""
    return int(interval[:-1]) * _UNITS[interval[-1]]


def clause_of(conditions: Sequence[Condition]) -> Json:
    """Return the query of documents that fulfil every condition."""
    return {"bool": {"filter": [_clause(condition) for condition in conditions]}}


def _clause(condition: Condition) -> Json:
    if condition.exists is not None:
        there = {"exists": {"field": condition.field}}
        return there if condition.exists else {"bool": {"must_not": [there]}}
    if condition.none_of:
        return {"bool": {"must_not": [{"terms": {condition.field: list(condition.none_of)}}]}}
    return {"terms": {condition.field: list(condition.one_of)}}


def _grouping(panel: Panel, buckets: Buckets, interval: str | None, window: Mapping[str, int]) -> Json:
    match buckets:
        case TimeBuckets():
            histogram: Json = {"field": buckets.field, "fixed_interval": interval, "min_doc_count": 0}
            if buckets.field == TIME_FIELD:
                histogram["extended_bounds"] = dict(window)
            return {"date_histogram": histogram}
        case TermsBuckets():
            by = {metric.id: metric for metric in panel.metrics}.get(buckets.order)
            path = "_key" if by is None else "_count" if by.operation == "count" else by.id
            order = [{path: "desc" if buckets.descending else "asc"}]
            if path != "_key":
                order.append({"_key": "asc"})
            return {"terms": {"field": buckets.field, "size": buckets.size, "order": order}}
        case RangeBuckets(edges=edges):
            ranges = [{"from": low, "to": high} for low, high in pairwise(edges)]
            return {"range": {"field": buckets.field, "ranges": [*ranges, {"from": edges[-1]}]}}


def _metric(metric: Metric) -> Json | None:
    """Return the metric's aggregation; None when the bucket's own count is the answer."""
    own: Json | None = None
    if metric.operation == "percentile":
        own = {"percentiles": {"field": metric.field, "percents": [metric.percentile], "keyed": False}}
    elif metric.field is not None:
        own = {_METRIC_AGGREGATIONS[metric.operation]: {"field": metric.field}}
    if metric.among:
        part: Json = {VALUE: {"filter": clause_of(metric.where)}}
        return {"filter": clause_of(metric.among), "aggs": part}
    if not metric.where:
        return own
    return {"filter": clause_of(metric.where), **({"aggs": {VALUE: own}} if own else {})}


def _milliseconds(when: datetime) -> int:
    return round(when.timestamp() * 1000)

"""From the store's answer to the rows of a panel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vigie.dashboards.query import VALUE, PanelQuery, nested
from vigie.dashboards.specification import Buckets, Metric, Panel, RangeBuckets

Key = str | int | float
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One bucket (the only one of a panel without buckets)."""

    keys: tuple[Key, ...]
    """One per `panel.buckets`: milliseconds since 1970 of a time, a term, or the lower edge of a range."""
    values: Mapping[str, float | None]
    """Metric's id → value; None where there is nothing to measure."""


def panel_rows(panel: Panel, query: PanelQuery, answer: Json) -> list[Row]:
    """Return the rows of `panel` from the store's `answer` to `query`, in the order of the answer."""
    levels = nested(panel)
    root = {"doc_count": answer["hits"]["total"]["value"], **answer.get("aggregations", {})}
    rows = list(_rows(panel, root, levels, {}))
    if query.interval_seconds is not None:
        for metric in panel.metrics:
            if metric.operation == "counter_rate":
                rows = _rates(panel, rows, metric.id, query.interval_seconds)
    return rows


def _rows(
    panel: Panel, bucket: Json, levels: list[tuple[str, Buckets]], keys: Mapping[str, Key]
) -> Iterator[Row]:
    if not levels:
        ordered = tuple(keys[f"by_{number}"] for number in range(len(panel.buckets)))
        yield Row(ordered, {metric.id: _value(metric, bucket) for metric in panel.metrics})
        return
    (name, buckets), *inner = levels
    for part in bucket.get(name, {"buckets": ()})["buckets"]:
        key = part["from"] if isinstance(buckets, RangeBuckets) else part["key"]
        yield from _rows(panel, part, inner, {**keys, name: key})


def _value(metric: Metric, bucket: Json) -> float | None:
    own: Json = bucket if metric.operation == "count" and not metric.where else bucket[metric.id]
    match metric.operation:
        case "count":
            return int(own["doc_count"])
        case "share":
            part, whole = (own[VALUE], own) if metric.among else (own, bucket)
            return part["doc_count"] / whole["doc_count"] if whole["doc_count"] else None
    if metric.where:
        own = own[VALUE]
    value = own["values"][0]["value"] if metric.operation == "percentile" else own["value"]
    return None if value is None else float(value)


def _rates(panel: Panel, rows: list[Row], metric: str, interval_seconds: int) -> list[Row]:
    """Replace a counter's values by its growth per minute, series by series, as Lens does.

    A counter below its last value began again at 0; where the last value is not known there is no rate.
    """
    position = next(number for number, one in enumerate(panel.buckets) if one is panel.time)
    last: dict[tuple[Key, ...], float | None] = {}
    result = []
    for row in rows:
        series = row.keys[:position] + row.keys[position + 1 :]
        before, now = last.get(series), row.values[metric]
        last[series] = now
        rate = None
        if before is not None and now is not None:
            rate = (now - before if now >= before else now) * 60 / interval_seconds
        result.append(replace(row, values={**row.values, metric: rate}))
    return result

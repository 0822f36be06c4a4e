"""From a panel's rows to its chart, a Vega-Lite specification; pure functions.

Metrics and tables have no chart; every chart's numbers are also shown as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from vigie.dashboards.chart_over_time import OverTime
from vigie.dashboards.chart_parts import Json, Language, axis_format, framed, number_format, tooltips, written
from vigie.dashboards.result import Key, Row
from vigie.dashboards.specification import Metric, Panel, RangeBuckets

HEAT: Final = ("#E6F0F7", "#B3D3E8", "#74AFD3", "#2F86B9", "#0B4F7D")
"""One hue from light to dark, which any colour vision reads as more."""
SERIES_COLOURS: Final = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#A63603", "#7453B0", "#56B4E9", "#882255",
    "#7F7F7F", "#B15928",
)  # fmt: skip
"""For series that are values of a field, whose meaning the specification does not know."""
DEFAULT_COLOUR: Final = "total"


@dataclass(frozen=True, slots=True)
class ChartContext:
    """How the charts of one page are drawn."""

    colours: Mapping[str, str]
    """The specification's: meaning → colour."""
    zone: ZoneInfo
    """Display time zone: times on axes and in tooltips are its wall clock."""
    since: datetime
    until: datetime
    language: Language = "en"
    height: int = 200
    """In pixels, axes and legend included."""
    name: Callable[[str, Key], str] = lambda _, key: str(key)
    """Field and one of its values → how people call it."""


def has_chart(panel: Panel) -> bool:
    """Whether `panel` is drawn; the others are a number or a table."""
    return panel.chart not in {"metric", "table"}


def chart(panel: Panel, rows: Sequence[Row], context: ChartContext, interval_seconds: int | None) -> Json:
    """Return the Vega-Lite specification of `panel` with `rows`; `interval_seconds` is that of its query.

    Raises ValueError for a panel that is no chart.
    """
    if panel.chart == "heatmap":
        content = _heatmap(panel, rows, context)
    elif panel.time is not None:
        content = _over_time(panel, rows, context, interval_seconds or 60)
    elif has_chart(panel):
        content = _by_category(panel, rows, context)
    else:
        raise ValueError(f"panel {panel.id}: a {panel.chart} is not drawn")
    return framed(content, context.language, panel.title, context.height)


def _over_time(panel: Panel, rows: Sequence[Row], context: ChartContext, interval_seconds: int) -> Json:
    position = next(number for number, one in enumerate(panel.buckets) if one is panel.time)
    split = next((one for one in panel.buckets if one is not panel.time), None)
    series: dict[str, tuple[str, Metric]] = {}
    points: list[tuple[int, str, float | None]] = []
    for row in rows:
        start = int(row.keys[position])
        for metric in panel.metrics:
            label = metric.label
            if split is not None:
                label = context.name(split.field, row.keys[1 - position])
                label = f"{label} · {metric.label}" if len(panel.metrics) > 1 else label
            colour = _colour(metric, context) if split is None else SERIES_COLOURS[len(series) % 10]
            series.setdefault(label, (colour, metric))
            points.append((start, label, row.values[metric.id]))
    if split is None:
        series = {metric.label: (_colour(metric, context), metric) for metric in panel.metrics}
    return OverTime(panel, series, points, interval_seconds, context.zone).content(
        context.since, context.until, context.colours.get("reference", "#000000")
    )


def _by_category(panel: Panel, rows: Sequence[Row], context: ChartContext) -> Json:
    """Bars by the values or ranges of a field, upright or lying; those of several metrics side by side."""
    (buckets, *_), (metric, *_) = panel.buckets, panel.metrics
    labels = range_labels(buckets, context.language) if isinstance(buckets, RangeBuckets) else None
    names = [
        labels[float(row.keys[0])] if labels else context.name(buckets.field, row.keys[0]) for row in rows
    ]
    values = [
        {"k": name, "s": one.label, "v": row.values[one.id]}
        for name, row in zip(names, rows, strict=True)
        for one in panel.metrics
    ]
    several = len(panel.metrics) > 1
    lying = panel.chart == "bar_horizontal"
    category: Json = {
        "field": "k",
        "type": "nominal",
        "sort": None,
        "title": None if lying else buckets.label,
        "axis": {"labelAngle": 0, "ticks": False, "labelLimit": 190 if lying else 150},
    }
    scale = {"scale": {"domain": list(panel.axis_bounds)}} if panel.axis_bounds else {}
    size: Json = {
        "field": "v",
        "type": "quantitative",
        "title": panel.axis,
        "axis": value_axis(metric, values),
        **scale,
    }
    return {
        "data": {"values": values},
        "transform": [{"calculate": written("v", metric.unit, metric.decimals), "as": "t"}],
        "mark": {"type": "bar", "color": _colour(metric, context), "cornerRadiusEnd": 2},
        "encoding": {
            ("y" if lying else "x"): category,
            ("x" if lying else "y"): size,
            **(_side_by_side(panel.metrics, context, lying=lying) if several else {}),
            "tooltip": tooltips(
                [("k", buckets.label), *([("s", " "), ("t", " ")] if several else [("t", metric.label)])]
            ),
        },
    }


def _side_by_side(metrics: Sequence[Metric], context: ChartContext, *, lying: bool) -> Json:
    labels = [one.label for one in metrics]
    colours = {"domain": labels, "range": [_colour(one, context) for one in metrics]}
    return {
        ("yOffset" if lying else "xOffset"): {"field": "s", "type": "nominal", "sort": labels},
        "color": {"field": "s", "type": "nominal", "scale": colours, "title": None, "legend": {}},
    }


def _heatmap(panel: Panel, rows: Sequence[Row], context: ChartContext) -> Json:
    across, down = panel.buckets
    (metric,) = panel.metrics
    values = [
        {
            "x": context.name(across.field, row.keys[0]),
            "y": context.name(down.field, row.keys[1]),
            "o": str(row.keys[1]),
            "v": row.values[metric.id],
        }
        for row in rows
    ]
    axis: Json = {
        "domain": False,
        "ticks": False,
        "labelAngle": 0,
        "labelOverlap": True,
        "labelSeparation": 3,
    }
    legend = {"orient": "right", "gradientLength": 120, "format": number_format(metric.unit, metric.decimals)}
    return {
        "data": {"values": values},
        "transform": [{"calculate": written("v", metric.unit, metric.decimals), "as": "t"}],
        "mark": {"type": "rect", "cornerRadius": 2},
        "encoding": {
            "x": {
                "field": "x",
                "type": "ordinal",
                "title": across.label,
                "axis": axis,
                "scale": {"paddingInner": 0.06},
            },
            "y": {
                "field": "y",
                "type": "ordinal",
                "title": None,
                "axis": axis,
                "scale": {"paddingInner": 0.08},
                "sort": {"field": "o"},
            },
            "color": {
                "field": "v",
                "type": "quantitative",
                "scale": {"range": list(HEAT), "zero": True},
                "legend": {**legend, "tickMinStep": 1} if metric.operation == "count" else legend,
            },
            "tooltip": tooltips([("x", across.label), ("y", down.label), ("t", metric.label)]),
        },
    }


def value_axis(metric: Metric, values: Sequence[Json]) -> Json:
    """Return the axis of a metric's `values`: whole numbers where there are no others."""
    return {
        "format": axis_format(metric.unit == "%", (value["v"] for value in values)),
        "tickCount": 5,
        **({"tickMinStep": 1} if metric.operation == "count" else {}),
    }


def range_labels(buckets: RangeBuckets, language: Language) -> dict[float, str]:
    """Return how each range is called, by its lower edge: `10–20`, the last one `90 +`."""
    edges = [f"{edge:g}".replace(".", "," if language == "fr" else ".") for edge in buckets.edges]
    ends = [f"{low}–{high}" for low, high in pairwise(edges)] + [f"{edges[-1]}\u00a0+"]
    return dict(zip(buckets.edges, ends, strict=True))


def _colour(metric: Metric, context: ChartContext) -> str:
    return context.colours.get(metric.colour or DEFAULT_COLOUR, SERIES_COLOURS[0])

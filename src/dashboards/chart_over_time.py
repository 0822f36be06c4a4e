"""Charts over time: lines, areas and bars of one or several series, read off by one column at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from vigie.dashboards.chart_parts import (
    SERIES_CHOICE,
    TEXT,
    Json,
    axis_format,
    dimmed,
    short,
    shown_ms,
    time_axis,
    tooltips,
    written,
)
from vigie.dashboards.specification import TIME_FIELD, Metric, Panel

LINES: Final = frozenset({"line", "area"})
_GAP: Final = 0.04
"""Part of its time that a bar leaves free on either side."""
_BRUSH: Final[Json] = {
    "name": "brush",
    "select": {
        "type": "interval",
        "encodings": ["x"],
        # A finger scrolls the page.
        "on": "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!",
        "translate": False,
        "zoom": False,
        "mark": {"fill": TEXT, "fillOpacity": 0.15, "stroke": None},
    },
}
"""Drag over the chart: the page narrows its time to what was chosen."""


@dataclass(frozen=True, slots=True)
class OverTime:
    """One chart's data."""

    panel: Panel
    series: Mapping[str, tuple[str, Metric]]
    """Label → colour and what is measured, in the order of legend and stack."""
    points: Sequence[tuple[int, str, float | None]]
    """Start of the bucket in milliseconds since 1970, series, value; None is a gap."""
    interval_seconds: int
    zone: ZoneInfo

    def content(self, since: datetime, until: datetime, reference_colour: str) -> Json:
        """Return the layers of the chart over [since, until)."""
        x = self._x(since, until)
        layers = [self._marks(x)]
        if self.panel.reference is not None:
            layers += self._reference(reference_colour)
        return {"layer": [*layers, self._columns(x)]}

    def _x(self, since: datetime, until: datetime) -> Json:
        step = self.interval_seconds * 1000
        starts = [start for start, _, _ in self.points]
        first, last = round(since.timestamp() * 1000), round(until.timestamp() * 1000)
        if starts:
            own = self._own_time()
            first = min(first, *starts) if own else min(starts)
            last = max(max(starts) + step, last) if own else max(starts) + step
        ends = {"domainMin": shown_ms(first, self.zone), "domainMax": shown_ms(last, self.zone)}
        return {
            "field": "x",
            "type": "temporal",
            "scale": {"type": "utc", **ends, "nice": False, "padding": 0},
            "axis": time_axis((last - first) / 1000),
        }

    def _own_time(self) -> bool:
        """Whether the chart's time is the one that the page is asked for."""
        return self.panel.time is not None and self.panel.time.field == TIME_FIELD

    def _y(self) -> Json:
        metric = self.panel.metrics[0]
        percent = metric.unit == "%" or self.panel.chart == "bar_percentage_stacked"
        whole = all(one.decimals == 0 and one.unit != "%" for one in self.panel.metrics)
        axis: Json = {"format": axis_format(percent, (value for _, _, value in self.points)), "tickCount": 5}
        if whole and not percent:
            axis["tickMinStep"] = 1
        scale: Json = {"zero": True}
        if self.panel.axis_bounds is not None:
            scale = {"domain": list(self.panel.axis_bounds)}
        elif not any(value for _, _, value in self.points):
            scale = {"domain": [0, 1]}
        return {
            "field": "v",
            "type": "quantitative",
            "title": self.panel.axis,
            "axis": axis,
            "scale": scale,
            "stack": self._stack(),
        }

    def _stack(self) -> str | None:
        return {
            "bar": "zero",
            "bar_stacked": "zero",
            "area": "zero",
            "bar_percentage_stacked": "normalize",
        }.get(self.panel.chart)

    def _marks(self, x: Json) -> Json:
        labels, colours = list(self.series), [colour for colour, _ in self.series.values()]
        several = len(labels) > 1
        encoding: Json = {
            "x": x,
            "y": self._y(),
            "color": {
                "field": "s",
                "type": "nominal",
                "scale": {"domain": labels, "range": colours},
                "legend": {} if several else None,
            },
            "order": {"field": "n"},
        }
        if self.panel.chart not in LINES:
            encoding["x2"] = {"field": "e"}
        if several:
            encoding["opacity"] = dimmed(0.75 if self.panel.chart == "area" else 1.0)
        params = [SERIES_CHOICE] if several else []
        if self._own_time():
            params.append(_BRUSH)
        return {
            "data": {"values": self._values()},
            "mark": self._mark(),
            "encoding": encoding,
            **({"params": params} if params else {}),
        }

    def _mark(self) -> Json:
        match self.panel.chart:
            case "line":
                # Between two gaps a value stands alone: only its point shows it.
                return {
                    "type": "line",
                    "clip": True,
                    "point": {"size": 14, "filled": True},
                    "interpolate": "linear",
                }
            case "area":
                return {"type": "area", "clip": True, "line": {"strokeWidth": 1.5}}
        return {"type": "bar", "orient": "vertical", "clip": True}

    def _values(self) -> list[Json]:
        number = {label: position for position, label in enumerate(self.series)}
        step = self.interval_seconds * 1000
        values = []
        for start, label, value in self.points:
            at = shown_ms(start, self.zone)
            place: Json
            if self.panel.chart in LINES:
                place = {"x": at + step // 2}
            else:
                place = {"x": round(at + _GAP * step), "e": round(at + (1 - _GAP) * step)}
            values.append({**place, "s": label, "n": number[label], "v": short(value)})
        return values

    def _columns(self, x: Json) -> Json:
        """One column per bucket, lit under the pointer, which tells every series at once."""
        time = "" if self.panel.time is None else self.panel.time.label
        lines = [("t", time), *((f"t{number}", label) for number, label in enumerate(self.series))]
        texts = [{"calculate": self._time_text(), "as": "t"}]
        texts += [
            {"calculate": written(f"v{number}", metric.unit, metric.decimals), "as": f"t{number}"}
            for number, (_, metric) in enumerate(self.series.values())
        ]
        lit = {"condition": {"param": "hover", "empty": False, "value": 0.1}, "value": 0}
        return {
            "data": {"values": self._by_bucket()},
            "transform": texts,
            "params": [
                {"name": "hover", "select": {"type": "point", "on": "pointerover", "clear": "pointerout"}}
            ],
            "mark": {"type": "rect", "clip": True, "color": TEXT},
            "encoding": {
                "x": {**x, "scale": {"type": "utc"}},  # the domain is the marks'
                "x2": {"field": "e"},
                "fillOpacity": lit,
                "tooltip": tooltips(lines),
            },
        }

    def _by_bucket(self) -> list[Json]:
        number = {label: position for position, label in enumerate(self.series)}
        rows: dict[int, Json] = {}
        for start, label, value in self.points:
            at = shown_ms(start, self.zone)
            row = rows.setdefault(start, {"x": at, "e": at + self.interval_seconds * 1000})
            row[f"v{number[label]}"] = short(value)
        return list(rows.values())

    def _time_text(self) -> str:
        if self.interval_seconds % 86400 == 0:
            return "utcFormat(datum.x, '%a %d %b %Y')"
        clock = "%H:%M" if self.interval_seconds % 60 == 0 else "%H:%M:%S"
        return f"utcFormat(datum.x, '%a %d %b {clock}') + '–' + utcFormat(datum.e, '{clock}')"

    def _reference(self, colour: str) -> list[Json]:
        reference = self.panel.reference
        assert reference is not None
        data = {"values": [{"v": reference.value, "l": reference.label}]}
        y = {**self._y(), "stack": None}
        return [
            {
                "data": data,
                "mark": {"type": "rule", "color": colour, "strokeDash": [5, 4], "strokeWidth": 1.2},
                "encoding": {"y": y},
            },
            {
                "data": data,
                "mark": {
                    "type": "text",
                    "align": "right",
                    "baseline": "bottom",
                    "dx": -2,
                    "dy": -3,
                    "x": "width",
                },
                "encoding": {"y": y, "text": {"field": "l"}},
            },
        ]

"""What all charts have in common: frame, axes, time in the display time zone, tooltips, the locale."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

Json = dict[str, Any]
Language = Literal["en", "fr"]

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
TEXT: Final = "#475569"
GRID: Final = "#E2E8F0"
"""Colours of a light page; a dark one mirrors the lightness of the whole drawing."""
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_DAY_SECONDS: Final = 86400
_UNIT: Final = re.compile(r"[^'\\\x00-\x1f]+")
"""What can stand in an expression as it is."""
_MILLION: Final = 1e6
_NO_BACKSLASH: Final = "\u2216"

_FRENCH: Final[Json] = {
    "formatLocale": {
        "decimal": ",",
        "thousands": "\u202f",
        "grouping": [3],
        "currency": ["", "\u00a0€"],
        "percent": "\u00a0%",
    },
    "timeFormatLocale": {
        "dateTime": "%A %e %B %Y à %X",
        "date": "%d/%m/%Y",
        "time": "%H:%M:%S",
        "periods": ["", ""],
        "days": ["dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"],
        "shortDays": ["dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."],
        "months": [
            "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
            "novembre", "décembre",
        ],
        "shortMonths": [
            "janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc.",
        ],
    },
}  # fmt: skip


def framed(content: Mapping[str, Any], language: Language, description: str, height: int = 200) -> Json:
    """Return `content` (a Vega-Lite unit or layers) as a whole specification.

    It fills the width of its place, has no background and the page's font, and writes numbers and times in
    `language`; `description` is what a screen reader says. `height` is in pixels, axes and legend included.
    """
    locale = _FRENCH if language == "fr" else {}
    return {
        "$schema": SCHEMA,
        "description": description,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": None,
        "padding": {"left": 2, "right": 6, "top": 4, "bottom": 2},
        "usermeta": {"embedOptions": {"renderer": "svg", "actions": False, **locale}},
        "config": _CONFIG,
        **content,
    }


_CONFIG: Final[Json] = {
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": TEXT,
        "titleColor": TEXT,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "domainColor": "#94A3B8",
        "tickColor": "#94A3B8",
        "gridColor": GRID,
        "labelLimit": 150,
        "titleLimit": 260,
    },
    "axisX": {"grid": False, "labelOverlap": True},
    # Written across, above its axis: upright it would not fit a low chart.
    "axisLeft": {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom", "titleX": 0, "titleY": -7},
    "aria": False,
    "legend": {
        "orient": "bottom",
        "labelColor": TEXT,
        "labelFontSize": 11,
        "columns": 3,
        "labelLimit": 160,
        "symbolSize": 70,
        "title": None,
        "padding": 0,
        "offset": 6,
    },
    "line": {"strokeWidth": 1.8},
    "text": {"color": TEXT, "fontSize": 11},
}


def shown_ms(milliseconds: float, zone: ZoneInfo) -> int:
    """Return the moment as milliseconds whose UTC reading is the wall clock of `zone`.

    Browsers draw in UTC or in their own zone, never in a third one. In the hour that a clock is put back
    points of both readings share their place.
    """
    wall = datetime.fromtimestamp(milliseconds / 1000, zone).replace(tzinfo=UTC)
    return round(wall.timestamp() * 1000)


def time_axis(span_seconds: float) -> Json:
    """Return a time axis for a chart over `span_seconds`: the hour, at midnight the day."""
    day = "utcFormat(datum.value, '%a %d')"
    if span_seconds > 40 * _DAY_SECONDS:
        expression = "utcFormat(datum.value, '%d %b')"
    elif span_seconds > 6 * _DAY_SECONDS:
        expression = day
    else:
        midnight = "utchours(datum.value) == 0 && utcminutes(datum.value) == 0"
        clock = "%H:%M:%S" if span_seconds <= 180 else "%H:%M"
        expression = f"{midnight} ? {day} : utcFormat(datum.value, '{clock}')"
    return {"title": None, "labelExpr": expression, "tickCount": {"expr": "max(3, floor(width / 70))"}}


def number_format(unit: str, decimals: int) -> str:
    """Return the d3 format of a value: grouped thousands, or a percentage of a ratio."""
    return f".{decimals}%" if unit == "%" else f",.{decimals}f"


def written(field: str, unit: str, decimals: int) -> str:
    """Return the expression that writes `field` with its unit; a dash where there is nothing."""
    suffix = f" + '\u00a0{unit}'" if unit != "%" and _UNIT.fullmatch(unit) else ""
    formatted = f"format(datum['{field}'], '{number_format(unit, decimals)}')"
    return f"isValid(datum['{field}']) ? {formatted}{suffix} : '–'"


def tooltips(titled: Sequence[tuple[str, str]]) -> list[Json]:
    """Return the lines of a tooltip: (field, title) of texts.

    Vega-Lite writes titles into an expression and leaves backslashes as they are, so they have none.
    """
    return [
        {"field": field, "type": "nominal", "title": title.replace("\\", _NO_BACKSLASH)}
        for field, title in titled
    ]


def axis_format(percent: bool, values: Iterable[float | None]) -> str:
    """Return the d3 format of an axis: percentages of ratios, else grouped digits, in millions 4M."""
    if percent:
        return ".0%"
    return "~s" if max((abs(value) for value in values if value), default=0) >= _MILLION else ",~f"


def short(value: float | None) -> float | None:
    """Return `value` with no more digits than a chart can tell."""
    return round(value, 6) if isinstance(value, float) else value


def dimmed(full: float = 1.0) -> Json:
    """Return an opacity that leaves only the series chosen in the legend."""
    return {"condition": {"param": "series", "value": full}, "value": 0.12}


SERIES_CHOICE: Final[Json] = {
    "name": "series",
    "select": {"type": "point", "fields": ["s"]},
    "bind": "legend",
}
"""Click on a legend's entry: that series alone, with shift more of them."""

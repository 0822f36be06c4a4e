"""Bar charts of the benchmarks' results, as SVG beside the page that shows them.

A result names what to show under `bars`: title, unit, and rows of {group, name, value}. A picture says in
its first line which figures it was drawn from, so that its freshness can be told without drawing it again:
what a text measures depends on the fonts of the machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

WIDTH = 460
BAR = 17
OWN = "Vigie"
"""Bars whose name begins so stand out."""
OWN_COLOUR, OTHER_COLOUR = "#1f6f8b", "#b8c4cc"


def first_line(bars: Mapping[str, Any]) -> str:
    """Return the comment that tells which figures a picture shows."""
    digest = hashlib.sha256(json.dumps(bars, sort_keys=True).encode()).hexdigest()
    return f"<!-- drawn by `make reference` from figures of SHA-256 {digest} -->\n"


def draw(bars: Mapping[str, Any]) -> str:
    """Return the picture."""
    import vl_convert  # a browser's engine in a wheel: only where something is drawn

    svg: str = vl_convert.vegalite_to_svg(chart(bars))
    return f"{first_line(bars)}{svg}\n"


def chart(bars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chart as a Vega-Lite specification: one bar per row, one block per group."""
    names = [*dict.fromkeys(row["name"] for row in bars["rows"])]
    groups = [*dict.fromkeys(row["group"] for row in bars["rows"])]
    y = {"field": "name", "type": "nominal", "sort": names, "axis": {"title": None, "labelLimit": 260}}
    x = {"field": "value", "type": "quantitative", "axis": {"title": bars["unit"], "tickCount": 5}}
    own = {"test": f"indexof(datum.name, '{OWN}') === 0", "value": OWN_COLOUR}
    bar = {"mark": {"type": "bar"}, "encoding": {"color": {"condition": own, "value": OTHER_COLOUR}}}
    label = {
        "mark": {"type": "text", "align": "left", "dx": 3, "fontSize": 10},
        "encoding": {"text": {"field": "shown", "type": "nominal"}},
    }
    rows = [{**row, "shown": _shown(row["value"])} for row in bars["rows"]]
    layers = {"width": WIDTH, "height": {"step": BAR}, "layer": [bar, label], "encoding": {"x": x, "y": y}}
    common = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": bars["title"], "anchor": "start"},
        "data": {"values": rows},
        "config": {"view": {"stroke": None}},
    }
    if len(groups) < 2:
        return {**common, **layers}
    row = {"field": "group", "type": "nominal", "sort": groups, "header": {"title": None, "labelAngle": 0}}
    return {**common, "facet": {"row": row}, "spec": layers}


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

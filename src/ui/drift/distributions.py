"""Distributions as pictures: the share of each bin or level, in training and now, one over the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]
TRAINING_COLOUR: Final = "#A9B6C6"
NOW_COLOUR: Final = "#0F766E"
CHART_HEIGHT: Final = 190


@dataclass(frozen=True, slots=True)
class Cell:
    """One bin or level: its share of the training rows and of the window's."""

    name: str
    training: float
    now: float


def distribution(cells: Sequence[Cell], training: str, now: str, axis: str) -> Json:
    """Return the layers that draw the shares of `now` over those of `training`, cell by cell."""
    values = [
        {"c": cell.name, "s": name, "v": value}
        for cell in cells
        for name, value in ((training, cell.training), (now, cell.now))
    ]
    colour = {"domain": [training, now], "range": [TRAINING_COLOUR, NOW_COLOUR]}

    def bars(name: str, width: float) -> Json:
        return {
            "transform": [{"filter": {"field": "s", "equal": name}}],
            "mark": {"type": "bar", "width": {"band": width}},
        }

    return {
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": "c",
                "type": "nominal",
                "sort": [cell.name for cell in cells],
                "title": None,
                "axis": {"labelAngle": -30 if len(cells) > 4 else 0, "labelLimit": 80},
            },
            "y": {
                "field": "v",
                "type": "quantitative",
                "title": axis,
                "axis": {"format": ".0%", "tickCount": 4},
                "scale": {"zero": True},
            },
            "color": {"field": "s", "type": "nominal", "scale": colour},
            "tooltip": [
                {"field": "c", "type": "nominal", "title": " "},
                {"field": "s", "type": "nominal", "title": " "},
                {"field": "v", "type": "quantitative", "format": ".1%", "title": axis},
            ],
        },
        "layer": [bars(training, 0.86), bars(now, 0.46)],
    }

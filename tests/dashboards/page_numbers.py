"""The numbers of panels, read from the HTML of a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from vigie.dashboards.specification import Panel, RangeBuckets, TermsBuckets, TimeBuckets

Values = dict[str, float | None]
Rows = list[tuple[list[str], dict[str, str]]]
"""Keys of a row, and metric → value, as texts."""
Shown = dict[tuple[Any, ...], Values]
"""Keys of a row → metric → value."""


class PanelReader(HTMLParser):
    """Reads the tables and single numbers of every panel by their `data-` attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.panels: dict[str, Rows] = {}
        self._rows: Rows = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element holds."""
        data = {name: value or "" for name, value in attrs if name.startswith("data-")}
        if "data-panel" in data:
            self._rows = self.panels.setdefault(data["data-panel"], [])
        if tag == "tr" or (tag == "p" and "data-panel" in data):
            self._rows.append(([], {}))
        if "data-key" in data:
            self._rows[-1][0].append(data["data-key"])
        if "data-metric" in data:
            self._rows[-1][1][data["data-metric"]] = data["data-value"]


def read(html: str) -> dict[str, Rows]:
    """Return the rows of every panel in `html` as texts."""
    reader = PanelReader()
    reader.feed(html)
    return reader.panels


def shown(html: str, panel: Panel) -> Shown:
    """Return what the page shows of `panel`, its keys and values as the store's rows have them."""
    return typed(panel, read(html).get(panel.id, []))


def typed(panel: Panel, rows: Rows) -> Shown:
    """Return rows of texts as keys and values; the row of the column heads has none."""
    return {
        tuple(_key(buckets, key) for buckets, key in zip(panel.buckets, keys, strict=True)): {
            name: float(value) if value else None for name, value in values.items()
        }
        for keys, values in rows
        if values
    }


def _key(buckets: TimeBuckets | TermsBuckets | RangeBuckets, key: str) -> Any:
    match buckets:
        case TimeBuckets():
            return int(key)
        case RangeBuckets():
            return float(key)
        case _:
            return int(key) if re.fullmatch(r"-?\d+", key) and buckets.field == "status_code" else key

"""Rows from answers, where the stores' data leave a case out."""

from __future__ import annotations

from typing import Any

from tests.dashboards.test_specification import SMALL, changed, panel

from vigie.dashboards.query import PanelQuery
from vigie.dashboards.result import Row, panel_rows
from vigie.dashboards.specification import Panel, parse_specification
from vigie.schema import FeatureSchema


def counter_panel(schema: FeatureSchema) -> Panel:
    """A panel of one counter by path and time."""
    content = changed(
        lambda c: panel(c)["metrics"][0].update(operation="counter_rate", field="indexed", id="rate")
    )
    ((_, found),) = parse_specification(content, schema, "here").panels
    return found


def answer(series: dict[str, list[float | None]]) -> dict[str, Any]:
    """An answer with the counter's largest value per minute of each path."""
    buckets = [
        {
            "key": path,
            "doc_count": 1,
            "by_0": {
                "buckets": [
                    {"key": minute * 60000, "doc_count": 1, "rate": {"value": value}}
                    for minute, value in enumerate(values)
                ]
            },
        }
        for path, values in series.items()
    ]
    return {"hits": {"total": {"value": 3}}, "aggregations": {"by_1": {"buckets": buckets}}}


def test_a_counter_becomes_a_rate_per_minute_of_its_own_series(schema: FeatureSchema) -> None:
    """Growth per minute; from 0 again after a restart; none where the last value is not known."""
    query = PanelQuery("i", {}, 30)
    rows = panel_rows(counter_panel(schema), query, answer({"a": [10, 25, 5, None, 7, 9], "b": [1, 1]}))
    assert [row.values["rate"] for row in rows] == [None, 30, 10, None, None, 4, None, 0]
    assert rows[1] == Row((60000, "a"), {"rate": 30})


def test_no_index_yet_is_no_row(schema: FeatureSchema) -> None:
    """An answer without aggregations, as from a wildcard that matches no index, has no rows."""
    empty = {"hits": {"total": {"value": 0}}}
    assert panel_rows(counter_panel(schema), PanelQuery("i", {}, 60), empty) == []
    assert panel(SMALL)["id"] == "latency"

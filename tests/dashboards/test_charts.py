"""From rows to Vega-Lite: what is drawn is what was measured, and Vega takes it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import vl_convert
from tests.servers import ROOT

from vigie.dashboards.charts import SERIES_COLOURS, ChartContext, chart, has_chart, range_labels
from vigie.dashboards.query import panel_query
from vigie.dashboards.result import Key, Row
from vigie.dashboards.specification import (
    Panel,
    RangeBuckets,
    TermsBuckets,
    TimeBuckets,
    load_specification,
)
from vigie.schema import load_schema

SPECIFICATION = load_specification(
    ROOT / "kibana" / "panels.yaml", load_schema(ROOT / "model" / "lung_cancer")
)
PANELS = {panel.id: panel for _, panel in SPECIFICATION.panels}
DRAWN = {name: panel for name, panel in PANELS.items() if has_chart(panel)}
SINCE = datetime(2026, 11, 17, 10, tzinfo=UTC)
UNTIL = SINCE + timedelta(hours=4)
HOUR_MS = 3_600_000
PARIS = ZoneInfo("Europe/Paris")
Json = dict[str, Any]


def context(**changed: Any) -> ChartContext:
    """How the charts of these tests are drawn."""
    given = {"colours": SPECIFICATION.colours, "zone": PARIS, "since": SINCE, "until": UNTIL}
    return ChartContext(**{**given, **changed})


def interval(panel: Panel) -> int | None:
    """Seconds of a bucket by time."""
    return panel_query(panel, SINCE, UNTIL).interval_seconds


def made_up(panel: Panel, *terms: str) -> list[Row]:
    """Rows with distinct values, the second one without any."""

    def keys(buckets: TimeBuckets | TermsBuckets | RangeBuckets) -> list[Key]:
        if isinstance(buckets, TimeBuckets):
            step = (interval(panel) or 60) * 1000
            first = int(SINCE.timestamp() * 1000) // step * step
            return [*range(first, int(UNTIL.timestamp() * 1000), step)]
        if isinstance(buckets, RangeBuckets):
            return [*buckets.edges]
        return [*(terms or ("one", "two", "three"))]

    number = itertools.count(1)
    return [
        Row(each, {metric.id: None if place == 1 else next(number) / 7 for metric in panel.metrics})
        for place, each in enumerate(itertools.product(*map(keys, panel.buckets)))
    ]


def compiled(specification: Mapping[str, Any]) -> Json:
    """Return the Vega that Vega-Lite makes of it; an error of Vega-Lite is a ValueError."""
    found = vl_convert.vegalite_to_vega({**specification, "width": 400}, vl_version="6.4")
    return dict(found if isinstance(found, dict) else json.loads(found))


def marks(specification: Json) -> Json:
    """The layer with the series, or the whole of a chart without layers."""
    return dict(specification.get("layer", [specification])[0])


@pytest.mark.parametrize("panel", DRAWN.values(), ids=lambda panel: panel.id)
def test_vega_takes_every_chart_and_its_values(panel: Panel) -> None:
    """Each panel's chart compiles, holds each value once, in its place, and a gap as a gap."""
    rows = made_up(panel)
    drawn = chart(panel, rows, context(), interval(panel))
    assert compiled(drawn)["marks"]
    values = [one["v"] for one in marks(drawn)["data"]["values"]]
    wanted = [row.values[metric.id] for row in rows for metric in panel.metrics]
    assert [None if one is None else pytest.approx(one, abs=1e-6) for one in wanted] == values
    assert (None in values) == (len(rows) > 1)


@pytest.mark.parametrize("panel", DRAWN.values(), ids=lambda panel: panel.id)
def test_an_axis_says_its_unit_and_begins_at_zero(panel: Panel) -> None:
    """The one axis of values has the specification's title, and zero or the declared bounds."""
    if panel.chart == "heatmap":
        return
    encoding = marks(chart(panel, made_up(panel), context(), interval(panel)))["encoding"]
    size = encoding["x" if panel.chart == "bar_horizontal" else "y"]
    assert size["title"] == panel.axis
    if panel.axis_bounds is not None:
        assert size["scale"]["domain"] == list(panel.axis_bounds)
    else:
        assert size.get("scale", {}).get("zero", True) is True
    assert size["axis"]["format"] == (
        ".0%" if panel.metrics[0].unit == "%" or panel.chart == "bar_percentage_stacked" else ",~f"
    )


def test_a_series_has_the_colour_of_its_meaning() -> None:
    """Colours and order are the specification's."""
    panel = PANELS["request_status"]
    colour = marks(chart(panel, made_up(panel), context(), interval(panel)))["encoding"]["color"]["scale"]
    assert colour["domain"] == ["ok", "refused", "shed", "failed"]
    assert colour["range"] == [SPECIFICATION.colours[name] for name in ("ok", "refused", "shed", "failed")]


def test_values_of_a_field_are_series_of_their_own() -> None:
    """A split makes one series per value, called as people call it, in colours that differ."""
    panel = PANELS["drift_over_time"]
    drawn = chart(panel, made_up(panel), context(name=lambda field, key: f"{field} {key}"), interval(panel))
    colour = marks(drawn)["encoding"]["color"]["scale"]
    assert colour["domain"] == ["drift.feature one", "drift.feature two", "drift.feature three"]
    assert colour["range"] == list(SERIES_COLOURS[:3])


def test_times_are_the_wall_clock_of_the_display_time_zone() -> None:
    """11:00 in Paris is drawn at 11:00, whatever the browser's zone; in summer and winter."""
    panel = PANELS["predictions_per_hour"]
    rows = [Row((int(SINCE.timestamp() * 1000),), {"predictions": 3})]
    first = marks(chart(panel, rows, context(), 3600))["data"]["values"][0]
    wall = datetime(2026, 11, 17, 11, tzinfo=UTC).timestamp() * 1000
    assert wall < first["x"] < first["e"] < wall + HOUR_MS
    summer = datetime(2026, 7, 1, 10, tzinfo=UTC)
    times = context(since=summer, until=summer + timedelta(hours=1))
    scale = marks(chart(panel, [], times, 3600))["encoding"]["x"]["scale"]
    assert scale["domainMin"] == datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp() * 1000
    assert scale["type"] == "utc"


def test_the_time_shown_is_the_time_asked_for() -> None:
    """Without a point at either end the axis still spans the time, and the first bucket is whole."""
    panel = PANELS["latency_over_time"]
    middle = int((SINCE + timedelta(hours=2)).timestamp() * 1000)
    rows = [Row((middle,), dict.fromkeys(("mean", "p50", "p95", "p99"), 1.0))]
    scale = marks(chart(panel, rows, context(zone=UTC_ZONE), 300))["encoding"]["x"]["scale"]
    assert (scale["domainMin"], scale["domainMax"]) == (
        SINCE.timestamp() * 1000,
        UNTIL.timestamp() * 1000,
    )


UTC_ZONE = ZoneInfo("UTC")


def test_another_time_than_the_pages_has_the_span_of_its_buckets() -> None:
    """Accuracy by the day of the prediction shows those days, and is not for narrowing the page's time."""
    panel = PANELS["accuracy_by_prediction_time"]
    day = 24 * HOUR_MS
    start = int(datetime(2026, 11, 10, tzinfo=UTC).timestamp() * 1000)
    rows = [Row((start + day * number,), {"accuracy": 0.5}) for number in range(3)]
    drawn = marks(chart(panel, rows, context(zone=UTC_ZONE), 86400))
    scale = drawn["encoding"]["x"]["scale"]
    assert (scale["domainMin"], scale["domainMax"]) == (start, start + 3 * day)
    assert "params" not in drawn
    own = PANELS["latency_over_time"]
    assert [one["name"] for one in marks(chart(own, made_up(own), context(), 300))["params"]] == [
        "series",
        "brush",
    ]


def test_a_column_tells_every_series_at_once() -> None:
    """The tooltip of a bucket has its time and each series with its unit, in the legend's order."""
    panel = PANELS["latency_over_time"]
    drawn = chart(panel, made_up(panel), context(), interval(panel))
    column = drawn["layer"][-1]
    assert [line["title"] for line in column["encoding"]["tooltip"]] == ["Time", "Mean", "p50", "p95", "p99"]
    assert len(column["data"]["values"]) * 4 == len(marks(drawn)["data"]["values"])
    assert "'\u00a0ms'" in column["transform"][1]["calculate"]


def test_stacks_stack_and_shares_add_up() -> None:
    """Stacked bars stand on one another, percentages fill the whole, plain bars and lines do neither."""
    stacks = {
        name: marks(chart(PANELS[name], made_up(PANELS[name]), context(), interval(PANELS[name])))[
            "encoding"
        ]["y"]["stack"]
        for name in ("request_status", "answer_share", "latency_over_time")
    }
    assert stacks == {"request_status": "zero", "answer_share": "normalize", "latency_over_time": None}


def test_an_area_is_drawn_too() -> None:
    """Every type of the specification has its chart, the one that no panel uses now as well."""
    panel = PANELS["events_stored"].model_copy(update={"chart": "area"})
    drawn = chart(panel, made_up(panel), context(), interval(panel))
    assert marks(drawn)["mark"]["type"] == "area"
    assert compiled(drawn)["marks"]


@pytest.mark.parametrize("name", ["predictions_answered", "response_time_by_path"])
def test_what_is_no_chart_is_refused(name: str) -> None:
    """Numbers and tables are HTML; asking for their chart is an error that names the panel."""
    with pytest.raises(ValueError, match=name):
        chart(PANELS[name], [], context(), None)


def test_ranges_are_named_by_their_edges() -> None:
    """From each edge up to the next, the last one open, with the language's comma."""
    buckets = RangeBuckets(by="ranges", field="f", label="F", edges=(0, 0.5, 10))
    assert range_labels(buckets, "en") == {0: "0–0.5", 0.5: "0.5–10", 10: "10\u00a0+"}
    assert range_labels(buckets, "fr")[0.5] == "0,5–10"


def test_french_writes_numbers_and_days_in_french() -> None:
    """Decimals, thousands, months are those of the reader; English keeps Vega's own."""
    panel = PANELS["latency_over_time"]
    french = chart(panel, made_up(panel), context(language="fr"), 300)["usermeta"]["embedOptions"]
    assert french["formatLocale"]["decimal"] == ","
    assert french["timeFormatLocale"]["shortMonths"][1] == "févr."
    english = chart(panel, made_up(panel), context(), 300)["usermeta"]["embedOptions"]
    assert "formatLocale" not in english


@pytest.mark.parametrize("hostile", ["');alert(1)//", '"]}', "</script><img src=x>", "a\\", "{{x}}"])
@pytest.mark.parametrize("name", ["features_present", "drift_over_time", "busy_hours"])
def test_a_hostile_value_is_text_in_the_picture(name: str, hostile: str) -> None:
    """Values of a field end up in data and titles, never in an expression: Vega compiles and shows them as text."""
    panel = PANELS[name]
    drawn = chart(panel, made_up(panel, hostile, "two"), context(), interval(panel))
    expressions = [
        one["calculate"] for layer in drawn.get("layer", [drawn]) for one in layer.get("transform", ())
    ]
    assert [one for one in expressions if hostile in one] == []
    picture = vl_convert.vegalite_to_svg({**drawn, "width": 400}, vl_version="6.4")
    assert "<img" not in picture
    assert "<script" not in picture


def test_millions_are_written_short() -> None:
    """An axis of large numbers stays readable."""
    panel = PANELS["lag_over_time"]
    rows = [Row((int(SINCE.timestamp() * 1000),), {"maximum": 5e8})]
    assert marks(chart(panel, rows, context(), 60))["encoding"]["y"]["axis"]["format"] == "~s"

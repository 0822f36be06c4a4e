"""The numbers of a panel as they are read, with the raw value beside them."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from vigie.dashboards.result import Row
from vigie.dashboards.specification import Metric, Panel
from vigie.ui.dashboards.panel_numbers import Cell, Wording, numbers_of, time_text, value_cell
from vigie.ui.language import Language

PARIS = ZoneInfo("Europe/Paris")
START = 1_794_909_600_000  # 2026-11-17 10:00 in UTC


def metric(**about: Any) -> Metric:
    """A metric of milliseconds."""
    return Metric.model_validate(
        {
            "id": "mean",
            "label": "Mean",
            "operation": "average",
            "field": "latency_ms",
            "unit": "ms",
            "decimals": 2,
        }
        | about
    )


@pytest.mark.parametrize(
    ("language", "about", "value", "text"),
    [
        ("en", {}, 1234.5678, "1,234.57"),
        ("fr", {}, 1234.5678, "1\u202f234,57"),
        ("en", {"unit": "%", "decimals": 1}, 0.1234, "12.3%"),
        ("fr", {"unit": "%", "decimals": 1}, 0.1234, "12,3\u00a0%"),
        ("en", {"decimals": 0}, 3, "3"),
    ],
)
def test_a_value_is_written_as_its_reader_writes_it(
    language: Language, about: dict[str, Any], value: float, text: str
) -> None:
    """Decimals, thousands and percent by language; the raw value is kept whole."""
    cell = value_cell(metric(**about), value, language)
    assert cell == Cell(text, repr(value), "mean")


def test_nothing_is_a_dash_and_no_number() -> None:
    """What was not measured is not 0."""
    assert value_cell(metric(), None, "en") == Cell("–", "", "mean")


def test_a_number_alone_has_its_unit() -> None:
    """In a table the unit stands in the column's head."""
    assert value_cell(metric(), 3.7, "en", unit=True).text == "3.70\u00a0ms"


@pytest.mark.parametrize(
    ("language", "seconds", "text"),
    [
        ("en", 3600, "2026-11-17 11:00"),
        ("fr", 3600, "17/11/2026 11:00"),
        ("en", 30, "2026-11-17 11:00:00"),
        ("en", 86400, "2026-11-17"),
    ],
)
def test_a_time_is_as_fine_as_its_buckets(language: Language, seconds: int, text: str) -> None:
    """By the wall clock of the display time zone."""
    assert time_text(START, language, PARIS, seconds) == text


def test_a_table_has_a_row_per_bucket_in_the_answers_order() -> None:
    """Keys first, then the metrics, each cell with what it was made from."""
    panel = Panel.model_validate(
        {
            "id": "p", "title": "T", "description": "D.", "index": "i", "chart": "bar_stacked", "axis": "A",
            "buckets": [{"by": "time"}, {"by": "terms", "field": "f", "label": "Field", "size": 3}],
            "metrics": [metric().model_dump()], "width": 24, "height": 12,
        }
    )  # fmt: skip
    wording = Wording("en", PARIS, lambda field, key: f"{field}={key}")
    table = numbers_of(
        panel, [Row((START, "b"), {"mean": 1.0}), Row((START, "a"), {"mean": None})], wording, 60
    )
    assert [column.text for column in table.columns] == ["Time", "Field", "Mean (ms)"]
    assert [column.metric for column in table.columns] == ["", "", "mean"]
    assert table.rows == (
        (Cell("2026-11-17 11:00", str(START)), Cell("f=b", "b"), Cell("1.00", "1.0", "mean")),
        (Cell("2026-11-17 11:00", str(START)), Cell("f=a", "a"), Cell("–", "", "mean")),
    )

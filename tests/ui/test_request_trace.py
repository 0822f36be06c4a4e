"""What a trace shows: stages that add up, metrics with units, lines in order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.ui.logs.entries import LogEntry
from vigie.ui.trace.request import (
    METRICS,
    merged,
    metrics_of,
    number_of,
    stored_lines,
    streamed_lines,
    waterfall,
)

STAGES = {"validate_ms": 1.0, "queue_ms": 0.0, "features_ms": 2.0, "predict_ms": 3.0, "serialise_ms": 1.0}


def test_stages_stand_one_after_the_other_and_fill_the_latency() -> None:
    """Each begins where the one before ends; what no stage accounts for is the rest."""
    bars = waterfall(STAGES, 10.0)
    assert [(bar.name, bar.duration_ms) for bar in bars] == [
        ("validate", 1.0), ("queue", 0.0), ("features", 2.0), ("predict", 3.0), ("serialise", 1.0), ("rest", 3.0),
    ]  # fmt: skip
    assert [bar.left for bar in bars] == [0, 10, 10, 30, 60, 70]
    assert sum(bar.width for bar in bars) == 100


@given(st.lists(st.floats(0, 1e6), min_size=5, max_size=5), st.floats(0, 1e7))
def test_bars_never_leave_their_track(durations: list[float], latency: float) -> None:
    """Whatever was measured, the last bar ends at the whole."""
    bars = waterfall(dict(zip(STAGES, durations, strict=True)), latency)
    for before, after in pairwise(bars):
        assert after.left == pytest.approx(before.left + before.width)
    assert bars[-1].left + bars[-1].width <= 100.000001


@pytest.mark.parametrize("stages", [None, {}, [], "x", {"validate_ms": "1"}, {"validate_ms": True}])
def test_without_measured_stages_there_are_no_bars(stages: Any) -> None:
    """Nothing is drawn from what is no number."""
    assert waterfall(stages, 5.0) == []


def test_metrics_keep_their_order_and_say_what_was_not_measured() -> None:
    """Six of the eight are numbers; one that is null was not measured."""
    given_metrics = {"latency_ms": 1.5, "function_calls": None, "memory_delta_mb": -0.25, "cpu_time_ms": "1"}
    found = {name: value for name, value, _ in metrics_of(given_metrics)}
    assert list(found) == list(METRICS)
    assert (found["latency_ms"], found["memory_delta_mb"]) == (1.5, -0.25)
    assert found["function_calls"] is found["cpu_time_ms"] is None


@pytest.mark.parametrize("value", [None, True, "1", float("nan"), float("inf"), [], {}])
def test_what_is_no_number_is_none(value: Any) -> None:
    """A flag is no number either."""
    assert number_of(value) is None


def test_lines_of_both_places_come_once_and_in_order() -> None:
    """A line that is in the store and still in the stream is one line; requests are no lines."""

    def document(number: int, second: int, doc_type: str = "log") -> dict[str, Any]:
        source = {
            "doc_type": doc_type,
            "producer": "p",
            "number": number,
            "@timestamp": f"2026-11-20T10:00:0{second}Z",
        }
        return {"source": {**source, "message": f"m{number}", "level": "INFO"}}

    def streamed(number: int, second: int, kind: str = "log") -> dict[str, Any]:
        data = {"kind": kind, "producer": "p", "number": number}
        return {
            "id": f"{number}-0",
            "timestamp": f"2026-11-20T10:00:0{second}Z",
            "message": f"m{number}",
            "data": data,
        }

    stored = stored_lines(
        {"ml-api-logs": [document(2, 2), document(1, 1), document(9, 0, "request")], "ml-api-perfs": []}
    )
    lines = merged(stored, streamed_lines([streamed(3, 3), streamed(2, 2), streamed(8, 1, "prediction")]))
    assert [entry.message for entry in lines] == ["m1", "m2", "m3"]
    assert stored_lines(None) == []


def test_an_entry_is_the_same_in_the_stream_and_in_the_store() -> None:
    """Its key, texts and data do not depend on where it was read."""
    data = {"kind": "log", "producer": "p", "number": 7, "service": "api"}
    streamed = LogEntry.streamed(
        {"id": "1-0", "timestamp": "2026-11-20T10:00:00Z", "level": "INFO", "message": "m", "data": data}
    )
    source = {name: value for name, value in data.items() if name != "kind"}
    stored = LogEntry.stored(
        {**source, "doc_type": "log", "@timestamp": "2026-11-20T10:00:00Z", "level": "INFO", "message": "m",
         "hour_of_day": "10", "day_of_week": "5 Fri"}
    )  # fmt: skip
    assert (streamed.key, streamed.timestamp, streamed.level, streamed.message, streamed.kind) == (
        stored.key, stored.timestamp, stored.level, stored.message, stored.kind,
    )  # fmt: skip
    assert {**stored.data, "kind": "log"} == streamed.data
    nobodys = LogEntry.streamed(
        {"id": "5-0", "timestamp": None, "level": 3, "message": ["x"], "data": "text"}
    )
    assert (nobodys.key, nobodys.timestamp, nobodys.level, nobodys.message) == ("5-0", "", "3", '["x"]')

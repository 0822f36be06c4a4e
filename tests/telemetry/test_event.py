"""The event's line, what is kept of refused input, and what becomes of values JSON cannot hold."""

from __future__ import annotations

import sys

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.telemetry.event import (
    REJECTED_INPUT_BYTES,
    Event,
    abridged,
    level_of,
    message_line,
    rejected,
    status_of,
    storable,
)
from vigie.telemetry.parsed_event import event_in


@pytest.mark.parametrize(
    ("code", "status", "level"),
    [
        (200, "ok", "INFO"),
        (304, "ok", "INFO"),
        (400, "refused", "WARNING"),
        (422, "refused", "WARNING"),
        (429, "shed", "WARNING"),
        (503, "shed", "ERROR"),
        (500, "failed", "ERROR"),
        (504, "failed", "ERROR"),
    ],
)
def test_status_and_level_of_a_code(code: int, status: str, level: str) -> None:
    """Each HTTP code has one status and one level."""
    assert (status_of(code), level_of(code)) == (status, level)


def test_message_line_of_a_prediction() -> None:
    """The line has the layout of the contract, input as JSON, result with its probability."""
    line = message_line(
        "0190-a",
        "POST",
        "/predict",
        200,
        44.6,
        {"AGE": 63},
        {"prediction": 1, "label": "YES", "probability": 0.93},
    )
    assert line == '[0190-a] POST /predict - 200 - 45ms - {"AGE":63} - YES 0.9300'


def test_message_line_of_other_requests() -> None:
    """What a request has none of is a dash, a text is shown as it is, a regression shows its number."""
    assert message_line("t", "GET", "/logs", 200, 0.2) == "[t] GET /logs - 200 - 0ms - - - -"
    refused = message_line("t", "POST", "/predict", 422, 1.0, "{not json", "AGE: out of range")
    assert refused == "[t] POST /predict - 422 - 1ms - {not json - AGE: out of range"
    number = message_line("t", "POST", "/predict", 200, 1.0, {"a": 1}, {"prediction": 0.0, "label": None})
    assert number.endswith("- 0.0")


def test_message_line_shows_what_json_cannot() -> None:
    """An input value unknown to JSON does not break the line."""
    assert '{"x":"(1+2j)"}' in message_line("t", "POST", "/predict", 200, 1.0, {"x": 1 + 2j})


def test_rejected_keeps_json_as_its_value() -> None:
    """A short JSON body is kept as the value it says."""
    assert rejected(b'{"AGE": -1, "x": [1, null]}') == {"AGE": -1, "x": [1, None]}


def test_rejected_keeps_anything_else_as_cut_text() -> None:
    """What is not JSON, or too long, is kept as text of at most 4096 bytes."""
    assert rejected(b"AGE=63") == "AGE=63"
    long = orjson.dumps({"x": "y" * 5000})
    assert rejected(long) == long[:4096].decode()


def test_rejected_keeps_a_body_as_text_that_would_nest_the_event_too_deeply() -> None:
    """An event of ours is never refused for its depth: 62 levels fit into it, one more is text."""
    for levels, whole in ((62, True), (63, False), (300, False)):
        body = b"[" * levels + b"]" * levels
        kept = rejected(body)
        assert kept == (orjson.loads(body) if whole else body.decode())
        assert event_in(orjson.dumps({"data": {"rejected_input": kept}})) is not None


@given(st.binary(max_size=5000))
def test_rejected_is_always_storable(raw: bytes) -> None:
    """Whatever bytes arrive, what is kept can be written as JSON, and text stays within its bound."""
    kept = rejected(raw)
    orjson.dumps(kept)
    if isinstance(kept, str):
        assert len(kept.encode()) <= REJECTED_INPUT_BYTES


class _Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_storable_gives_each_value_a_place() -> None:
    """Values that JSON has none for become the nearest it has."""
    given_value = {
        "set": {1},
        3: (1, 2.5),
        "big": 2**70,
        "surrogate": "a\ud800",
        "broken": _Broken(),
        "numpy": [np.int64(3), np.float32(0.5), np.float64(0.25)],
        "flag": True,
        "none": None,
    }
    assert orjson.loads(orjson.dumps(storable(given_value))) == {
        "set": [1],
        "3": [1, 2.5],
        "big": str(2**70),
        "surrogate": "a?",
        "broken": "<_Broken>",
        "numpy": [3, 0.5, 0.25],
        "flag": True,
        "none": None,
    }


def test_storable_ends_a_value_that_holds_itself() -> None:
    """A cycle is cut instead of running into the recursion limit."""
    endless: list[object] = []
    endless.append(endless)
    text = orjson.dumps(storable(endless))
    assert text.count(b"[") == 64 < sys.getrecursionlimit()


def test_abridged_keeps_identity_and_figures() -> None:
    """An event too large keeps what names and counts it, and says that it was cut."""
    event: Event = {
        "timestamp": "2026-11-20T10:30:45.123456Z",
        "level": "WARNING",
        "message": "m" * 5000,
        "data": {
            "kind": "request",
            "producer": "p",
            "number": 7,
            "status_code": 422,
            "rejected_input": "x" * 100_000,
            "input_data": {"AGE": 1},
        },
    }
    small = abridged(event, 123_456)
    assert small["message"] == "m" * 1000 + " … (abridged from 123456 bytes)"
    assert small["data"] == {
        "kind": "request",
        "producer": "p",
        "number": 7,
        "status_code": 422,
        "rejected_input": "x" * 1000,
    }

"""What a foreign event is, told from its text or its entry of /logs_api."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigie.logs_pipeline.bridges.foreign_event import completed, from_list, from_page, identity
from vigie.telemetry.stream.admission import LARGEST_EVENT_BYTES, Candidate, Listed

EVENT: dict[str, Any] = {
    "timestamp": "2026-11-20T10:30:45.123456Z",
    "level": "INFO",
    "message": "hello",
    "data": {"kind": "log", "x": 1},
}


def of_list(event: object) -> Candidate:
    """The event as it is taken from the list."""
    raw = event if isinstance(event, bytes) else orjson.dumps(event)
    return from_list(Listed(len(raw), hashlib.sha1(raw).hexdigest(), raw))


def of_page(event: dict[str, Any], producer: str = "", number: int = 0) -> Candidate:
    """The event as a page shows it."""
    return from_page({"id": "1-1", "producer": producer, "number": number, **event})


def test_a_complete_event_is_taken_as_it_is() -> None:
    """Nothing is rewritten: the text of the list itself goes into the stream."""
    assert of_list(EVENT).event == b""
    assert orjson.loads(of_page(EVENT).event) == EVENT


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"data": {"producer": "p", "number": 3}}, ("p", 3)),
        ({"producer": "p", "number": 3, "data": {}}, ("p", 3)),
        ({"producer": "", "number": 0, "data": {"producer": "p", "number": 3}}, ("", 0)),
        ({"data": {"producer": "host:80@x_y.z-1", "number": 2**31 - 1}}, ("host:80@x_y.z-1", 2**31 - 1)),
        ({"data": {"producer": "p", "number": 2**31}}, ("", 0)),
        ({"data": {"producer": "p", "number": 0}}, ("", 0)),
        ({"data": {"producer": "p", "number": True}}, ("", 0)),
        ({"data": {"producer": "p", "number": "3"}}, ("", 0)),
        ({"data": {"producer": "p", "number": 3.0}}, ("", 0)),
        ({"data": {"producer": "p" * 129, "number": 3}}, ("", 0)),
        ({"data": {"producer": "a b", "number": 3}}, ("", 0)),
        ({"data": {"producer": "p\n", "number": 3}}, ("", 0)),
        ({"data": {"producer": "é", "number": 3}}, ("", 0)),
        ({"data": {"producer": 7, "number": 3}}, ("", 0)),
        ({"data": {"number": 3}}, ("", 0)),
        ({"data": [1]}, ("", 0)),
        ({}, ("", 0)),
    ],
)
def test_the_identity_is_bounded(event: dict[str, Any], expected: tuple[str, int]) -> None:
    """What cannot be kept is as good as none; what /logs_api says of an entry goes before its data."""
    assert identity(event) == expected


@pytest.mark.parametrize(
    ("data", "added"),
    [
        ({}, {"kind": "log"}),
        ({"path": "/predict", "method": "POST"}, {"kind": "request"}),
        ({"result": {"prediction": 1}}, {"kind": "prediction", "status": "ok"}),
        ({"result": {"prediction": 1}, "status": "failed"}, {"kind": "prediction"}),
        ({"kind": "service", "service": "x"}, {}),
    ],
)
def test_the_kind_is_told_from_the_data(data: dict[str, Any], added: dict[str, str]) -> None:
    """A foreign program need not know the platform's kinds."""
    assert completed({**EVENT, "data": data})["data"] == {**data, **added}


def test_an_event_without_data_gets_an_empty_one() -> None:
    """Timestamp, level and message make a log."""
    event = {name: value for name, value in EVENT.items() if name != "data"}
    assert orjson.loads(of_list(event).event) == {**event, "data": {"kind": "log"}}


def test_the_same_event_has_one_fingerprint_by_both_ways() -> None:
    """The order of its keys, spaces and further keys make no difference; any other content does."""
    data = {"x": 1, "kind": "log"}
    text = f' {{"more": 1, "data": {orjson.dumps(data).decode()}, "message": "hello", "level": "INFO", '
    text += f'"timestamp": "{EVENT["timestamp"]}"}}'
    same = {of_list(EVENT).fingerprint, of_list(text.encode()).fingerprint, of_page(EVENT).fingerprint}
    assert len(same) == 1
    assert of_list({**EVENT, "message": "hallo"}).fingerprint not in same
    assert of_list({**EVENT, "data": {"kind": "log", "x": 2}}).fingerprint not in same


@pytest.mark.parametrize("raw", [b"not JSON", b"[1, 2]", b"", b"3", b'{"x": NaN}', b"\xff\xfe"])
def test_what_is_no_event_goes_on_as_it_is(raw: bytes) -> None:
    """It is the filter that says why it is dead; /logs_api shows it as text, from which it comes back."""
    taken = of_list(raw)
    assert (taken.producer, taken.number, taken.event) == ("", 0, b"")
    shown = {"timestamp": None, "level": None, "message": raw.decode("utf-8", "replace"), "data": {}}
    assert of_page(shown).event == raw.decode("utf-8", "replace").encode()
    if raw.isascii():
        assert of_page(shown).fingerprint == taken.fingerprint


def test_what_is_no_event_keeps_the_number_it_was_written_under() -> None:
    """A broken event of a numbered producer is dead under its own number, here as there."""
    shown = {"timestamp": None, "level": None, "message": "broken", "data": {}}
    found = of_page(shown, "p", 9)
    assert (found.producer, found.number, found.event) == ("p", 9, b"broken")


def test_an_event_that_is_too_large_is_not_read() -> None:
    """It is told by its SHA-1; one of a page is cut so that it is too large all the same."""
    found = from_list(Listed(9_999_999, "abc", None))
    assert (found.token, found.number, found.fingerprint, found.event) == ("abc", 0, "sha1:abc", b"")
    large = of_page({**EVENT, "message": "x" * LARGEST_EVENT_BYTES})
    assert len(large.event) == LARGEST_EVENT_BYTES + 1


parts = st.sampled_from(["timestamp", "level", "message", "data", "producer", "number"])


def deep(levels: int) -> bytes:
    """An event whose data has so many levels."""
    start = orjson.dumps({name: EVENT[name] for name in ("timestamp", "level", "message")})[:-1]
    return start + b',"data":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


@pytest.mark.parametrize("levels", [64, 253, 254, 300, 700, 1020, 1023, 5000])
def test_an_event_nested_too_deeply_goes_on_as_it_is(levels: int) -> None:
    """By both ways: from the list as its own bytes, from a page as the JSON that it was."""
    raw = deep(levels)
    taken = of_list(raw)
    assert (taken.producer, taken.number, taken.event) == ("", 0, b"")
    assert taken.fingerprint == of_list(raw).fingerprint != of_list(raw + b" ").fingerprint
    if levels < 800:  # beyond, Python's own recursion is at its end: the letter names the entry
        shown = of_page(orjson.loads(raw), "p", 9)
        assert (shown.producer, shown.number) == ("p", 9)
        assert orjson.loads(shown.event) == orjson.loads(raw)
    assert of_list(deep(63)).event != b"", "it is an event, to which its kind was added"


def test_what_fails_on_one_event_is_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of our own costs one event its documents, and stops none behind it; two stay two."""

    def fail(_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("vigie.logs_pipeline.bridges.foreign_event.completed", fail)
    raw = orjson.dumps(EVENT)
    assert of_list(raw).event == b""
    assert of_list(raw).fingerprint == hashlib.sha256(raw).hexdigest()[:32]
    first, second = (from_page({**EVENT, "id": token}) for token in ("1-1", "1-2"))
    assert first.event == b"the entry 1-1 of the page cannot be written as JSON"
    assert first.fingerprint != second.fingerprint


@settings(deadline=None)  # a busy machine stalls
@given(st.integers(1, 1022), st.integers(1, 1022), parts, st.sampled_from([(b"[", b"]"), (b'{"a":', b"}")]))
def test_no_depth_anywhere_can_break_the_bridge(
    levels: int, other: int, part: str, kind: tuple[bytes, bytes]
) -> None:
    """Whichever part is nested however deeply, alone or beside another, list and page make a candidate."""
    value = orjson.loads(kind[0] * levels + (b"1" if kind[0] != b"[" else b"") + kind[1] * levels)
    for event in ({part: value}, {**EVENT, part: value}, {"message": value, "data": {}}):
        shown = from_page({"id": "1-1", **event})
        assert shown.token == "1-1"
        assert 0 <= shown.number < 2**31
    raw = deep(other)[:-1] + b',"' + part.encode() + b'":' + kind[0] * levels + kind[1] * levels + b"}"
    assert from_list(Listed(len(raw), "token", raw)).token == "token"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)  # a busy machine stalls
@given(st.dictionaries(parts, json_values) | json_values | st.binary())
def test_nothing_that_is_pushed_can_break_the_bridge(pushed: object) -> None:
    """Any JSON and any bytes become a candidate whose number is in bounds."""
    try:
        raw = pushed if isinstance(pushed, bytes) else orjson.dumps(pushed)
    except orjson.JSONEncodeError:
        return
    found = from_list(Listed(len(raw), "token", raw))
    assert 0 <= found.number < 2**31
    assert (found.number > 0) == (found.producer != "")
    event = orjson.loads(raw) if not isinstance(pushed, bytes) else None
    if isinstance(event, dict):
        shown = from_page({"id": "1-1", **event})
        assert 0 <= shown.number < 2**31

"""What of a text is an event, and what is shown as text."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigie.telemetry.parsed_event import DEEPEST, NoEventError, as_text, event_in, event_of, nested_deeper


def nested(levels: int, kind: str = '{"a":') -> bytes:
    """JSON of so many levels."""
    return (kind * levels + "1" + {"{": "}", "[": "]"}[kind[0]] * levels).encode()


def test_an_object_of_the_deepest_nesting_is_an_event() -> None:
    """The bound itself is inside; one level more is none, and the reason names the bound."""
    assert event_in(nested(DEEPEST)) == orjson.loads(nested(DEEPEST))
    assert event_in(nested(DEEPEST + 1)) is None
    with pytest.raises(NoEventError, match=f"nested deeper than {DEEPEST} levels"):
        event_of(nested(DEEPEST + 1))


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"not JSON", b"[1]", b"1", b"null", nested(5000), nested(3, "[")]
)
def test_what_is_no_object_is_no_event(raw: bytes) -> None:
    """It is shown as its text, whatever its bytes are."""
    assert event_in(raw) is None
    assert as_text(raw).encode("utf-8", "replace").decode() == raw.decode("utf-8", "replace")


def test_many_brackets_make_no_depth() -> None:
    """A wide event, and one whose texts hold brackets, is an event all the same."""
    wide = {"a": [{} for _ in range(500)], "b": "[{" * 500}
    assert event_in(orjson.dumps(wide)) == wide


@settings(deadline=None)  # a busy machine stalls
@given(st.integers(1, 200), st.integers(0, 200))
def test_depth_is_counted_in_levels(levels: int, bound: int) -> None:
    """Lists and objects count alike; a value that is neither has no level."""
    assert nested_deeper(orjson.loads(nested(levels)), bound) == (levels > bound)
    assert nested_deeper(orjson.loads(nested(levels, "[")), bound) == (levels > bound)
    assert not nested_deeper("text", bound)


@settings(deadline=None)  # a busy machine stalls
@given(st.binary() | st.integers(1, 1100).map(nested))
def test_what_is_an_event_can_be_written_again(raw: bytes) -> None:
    """Whatever the bytes are: an object that orjson writes, or nothing."""
    event = event_in(raw)
    assert event is None or orjson.loads(orjson.dumps(event)) == event

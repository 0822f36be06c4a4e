"""The text of an event read as JSON: one answer, for all who show, move or index it, to what an event is.

A text that orjson reads may be nested so deeply that neither orjson nor pydantic can write it again, so one
limit holds everywhere; what is no event is shown as its text.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

DEEPEST: Final = 64
"""Levels of objects and lists that an event may have; orjson writes 254, pydantic 255."""


class NoEventError(ValueError):
    """The text is no event; the message says why."""


def event_of(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`. Raises NoEventError: no JSON, no object, or nested too deeply."""
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise NoEventError(f"the event is not JSON: {error}") from error
    if not isinstance(event, dict):
        raise NoEventError("the event is not a JSON object")
    # Counting is cheap, and spares nearly every event the walk.
    if raw.count(b"{") + raw.count(b"[") > DEEPEST and nested_deeper(event, DEEPEST):
        raise NoEventError(f"the event is nested deeper than {DEEPEST} levels")
    return event


def event_in(raw: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `raw`; None when there is no event in it."""
    try:
        return event_of(raw)
    except NoEventError:
        return None


def as_text(raw: bytes) -> str:
    """Return how a text that is no event is shown."""
    return raw.decode("utf-8", "replace")


def nested_deeper(value: object, levels: int) -> bool:
    """Whether the JSON value `value` has more than `levels` levels of objects and lists."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)

"""What a foreign event is: its identity, its fingerprint, and the form in which it is written.

Pure functions: the text of an event, or an entry of `/logs_api`, in; a Candidate out. Nothing is refused
here, and nothing raises: what is not an event, or cannot be handled as one, is admitted as it is, and the
filter makes it a dead letter with its reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from vigie.telemetry.parsed_event import DEEPEST, event_in, nested_deeper
from vigie.telemetry.stream.admission import LARGEST_EVENT_BYTES, Candidate, Listed
from vigie.telemetry.stream.keys import NUMBER_LIMIT

Fields = Mapping[str, Any]

PRODUCER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}", re.ASCII)
"""Names a foreign producer may have: they are part of keys in Redis and of every document's id."""
_TEXTS: Final = ("timestamp", "level", "message")
PARTS: Final = (*_TEXTS, "data")
"""What of an event is stored, and what /logs_api shows of it."""


def from_list(listed: Listed) -> Candidate:
    """Return the event of the list as it asks to be admitted; a rewritten one only where it has to be."""
    if listed.event is None:
        return Candidate(listed.sha1, "", 0, f"sha1:{listed.sha1}", b"")
    try:
        return _of_list(listed.sha1, listed.event)
    except Exception:  # noqa: BLE001 - whatever it is, one event must not stop those behind it
        return _no_event(listed.sha1, listed.event)


def from_page(entry: Fields) -> Candidate:
    """Return an entry of /logs_api (id, producer, number and the event's four parts) in the same way."""
    token = str(entry["id"])
    event: Fields | None
    try:
        event, written = _of_page({name: entry.get(name) for name in PARTS})
    except Exception:  # noqa: BLE001 - as above; the entry's id tells it from others of its kind
        event, written = None, f"the entry {token} of the page cannot be written as JSON".encode()
    written = written[: LARGEST_EVENT_BYTES + 1]
    producer, number = own_number(entry)
    return Candidate(token, producer, number, fingerprint(event, written), written)


def identity(event: Fields) -> tuple[str, int]:
    """Return the producer and number that an event carries, at the top or in `data`; "" and 0 without."""
    data = event.get("data")
    if "producer" not in event and isinstance(data, dict):
        return own_number(data)
    return own_number(event)


def own_number(fields: Fields) -> tuple[str, int]:
    """Return the producer and number among `fields`, or "" and 0 where one of them cannot be kept."""
    producer, number = fields.get("producer"), fields.get("number")
    if not isinstance(producer, str) or not PRODUCER_NAME.fullmatch(producer):
        return "", 0
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number < NUMBER_LIMIT:
        return "", 0
    return producer, number


def fingerprint(event: Fields | None, raw: bytes) -> str:
    """Return the same text for the same event: of its four parts where it has them, else of all its bytes."""
    if event is not None and isinstance(event.get("timestamp"), str) and isinstance(event.get("data"), dict):
        parts = {name: event.get(name) for name in PARTS}
        raw = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(raw).hexdigest()[:32]


def completed(event: Fields) -> Fields:
    """Return `event` with the `data.kind` and `data.status` that a foreign program leaves out.

    An event with a result is an answered prediction, one with a path a request, any other a log. What has
    them, or will be a dead letter, is returned as it is.
    """
    data = event.get("data", {})
    if not isinstance(data, dict) or not all(isinstance(event.get(name), str) for name in _TEXTS):
        return event
    added: dict[str, Any] = {}
    if "kind" not in data:
        predicted = isinstance(data.get("result"), dict)
        other = "request" if isinstance(data.get("path"), str) else "log"
        added["kind"] = "prediction" if predicted else other
        if predicted and "status" not in data:
            added["status"] = "ok"
    if not added and "data" in event:
        return event
    return {**event, "data": {**data, **added}}


def _of_list(token: str, raw: bytes) -> Candidate:
    event = event_in(raw)
    if event is None:
        return _no_event(token, raw)
    producer, number = identity(event)
    complete = completed(event)
    written = b"" if complete is event else orjson.dumps(complete)
    return Candidate(token, producer, number, fingerprint(event, raw), written)


def _no_event(token: str, raw: bytes) -> Candidate:
    return Candidate(token, "", 0, fingerprint(None, raw), b"")


def _of_page(event: Fields) -> tuple[Fields | None, bytes]:
    """Return the event (None: it is none) and what to write of it. Raises whatever goes wrong."""
    if event["timestamp"] is None and event["level"] is None and event["data"] == {}:
        # /logs_api shows what is no event as its message.
        return None, str(event["message"] or "").encode("utf-8", "replace")
    if nested_deeper(event, DEEPEST):  # orjson cannot write all that it can read
        return None, json.dumps(event, ensure_ascii=False).encode()
    return event, orjson.dumps(completed(event))

"""A log entry as the pages show it, whether it was read from the store or is still in the stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from vigie.telemetry.event import PREDICTION, REQUEST
from vigie.ui.logs.curl import curl_command
from vigie.ui.moments import moment
from vigie.ui.transaction import is_transaction
from vigie.ui.value_tree import Node, tree_of

LONGEST_SUMMARY: Final = 300
_NOT_DATA: Final = frozenset({"@timestamp", "level", "message", "doc_type", "hour_of_day", "day_of_week"})
"""Fields of a stored document that are not of the event's `data`."""
_BADGES: Final[Mapping[str, str]] = {"WARNING": "refused", "ERROR": "failed", "CRITICAL": "failed"}
"""Level → class of its badge."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An event: its outer parts as text, and its data."""

    key: str
    """The same in the stream and in the store: producer and number."""
    timestamp: str
    level: str
    message: str
    kind: str
    data: Mapping[str, Any]

    @classmethod
    def stored(cls, source: Mapping[str, Any]) -> Self:
        """Return the entry of a document of ml-api-logs."""
        data = {name: value for name, value in source.items() if name not in _NOT_DATA}
        return cls._of(data, source.get("@timestamp"), source, _text(source.get("doc_type")), "")

    @classmethod
    def streamed(cls, log: Mapping[str, Any]) -> Self:
        """Return the entry of one of GET /logs; what somebody else wrote may lack any part."""
        data = log.get("data")
        known = data if isinstance(data, Mapping) else {}
        return cls._of(known, log.get("timestamp"), log, _text(known.get("kind")), _text(log.get("id")))

    @classmethod
    def _of(
        cls, data: Mapping[str, Any], timestamp: object, outer: Mapping[str, Any], kind: str, entry_id: str
    ) -> Self:
        producer, number = data.get("producer"), data.get("number")
        key = f"{producer}-{number}" if producer and number else entry_id
        return cls(key, _text(timestamp), _text(outer.get("level")), _text(outer.get("message")), kind, data)

    @property
    def transaction_id(self) -> str:
        """The request's id; empty when it has none that can be traced."""
        given = self.data.get("transaction_id")
        return given if isinstance(given, str) and is_transaction(given) else ""


@dataclass(frozen=True, slots=True)
class LogRow:
    """An entry, ready for the template."""

    entry: LogEntry
    time: str
    """In the zone in which times are shown."""
    badge: str
    request: str
    """Method, path and status code, if it is a request's."""
    summary: str
    """What is said of it on one line."""
    curl: str | None
    tree: tuple[Node, ...]


def row_of(entry: LogEntry, zone: ZoneInfo, api_url: str) -> LogRow:
    """Return what the page shows of an entry."""
    request = _request(entry)
    said = _outcome(entry) if request else entry.message
    return LogRow(
        entry,
        moment(entry.timestamp, zone),
        _BADGES.get(entry.level, "quiet"),
        request,
        " ".join(said[:LONGEST_SUMMARY].split()),
        curl_command(api_url, entry.data),
        tree_of(entry.data),
    )


def _request(entry: LogEntry) -> str:
    if entry.kind not in {PREDICTION, REQUEST}:
        return ""
    parts = (entry.data.get(name) for name in ("method", "path", "status_code"))
    return " ".join(_text(part) for part in parts if part is not None)[:LONGEST_SUMMARY]


def _outcome(entry: LogEntry) -> str:
    """Return how long a request took, and what came of it; its message has it after what was sent."""
    data = entry.data
    latency, result, errors = data.get("latency_ms"), data.get("result"), data.get("errors")
    parts = [f"{latency:.1f} ms"] if isinstance(latency, int | float) else []
    if isinstance(result, Mapping):
        label, probability = result.get("label"), result.get("probability")
        parts.append(_text(result.get("prediction") if label is None else label))
        parts += [f"{probability:.4f}"] if isinstance(probability, int | float) else []
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, Mapping):
            parts.append(f"{_text(error.get('field')) or 'body'} {_text(error.get('reason'))}")
    given = data.get("input_data")
    return " · ".join([*parts, _text(given)] if given else parts)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

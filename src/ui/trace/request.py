"""What a trace shows of a request: its stages side by side, its metrics, and the lines it logged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vigie.indices.mappings import LOGS
from vigie.ui.logs.entries import LogEntry

STAGES: Final = ("validate", "queue", "features", "predict", "serialise")
"""In the order in which a request goes through them."""
REST: Final = "rest"
"""What lies between the stages: the protocol, the event, waiting for the loop's turn."""
METRICS: Final[Mapping[str, str]] = {
    "latency_ms": "ms",
    "inference_time_ms": "ms",
    "cpu_time_ms": "ms",
    "memory_mb": "MB",
    "memory_delta_mb": "MB",
    "function_calls": "",
}
"""The numbers among the eight metrics, with their units; the others are the id and the top functions."""


@dataclass(frozen=True, slots=True)
class StageBar:
    """A stage in the waterfall: milliseconds, and its place in percent of the whole."""

    name: str
    duration_ms: float
    left: float
    width: float


def waterfall(stages: object, latency_ms: object) -> list[StageBar]:
    """Return the bars of the `stages` ({validate_ms: …}) one after the other, and of the rest of the latency.

    Stages that there are no numbers of are left out; there are no bars when there are none at all.
    """
    given = stages if isinstance(stages, Mapping) else {}
    known = {name: number_of(given.get(f"{name}_ms")) for name in STAGES}
    parts = {name: max(value, 0.0) for name, value in known.items() if value is not None}
    if not parts:
        return []
    rest = (number_of(latency_ms) or 0.0) - sum(parts.values())
    if rest > 0:
        parts[REST] = rest
    whole = sum(parts.values()) or 1.0
    bars, begin = [], 0.0
    for name, duration in parts.items():
        bars.append(StageBar(name, duration, 100 * begin / whole, 100 * duration / whole))
        begin += duration
    return bars


def metrics_of(metrics: object) -> list[tuple[str, float | None, str]]:
    """Return name, value and unit of the metrics that are numbers; None: it was not measured."""
    given = metrics if isinstance(metrics, Mapping) else {}
    return [(name, number_of(given.get(name)), unit) for name, unit in METRICS.items()]


def number_of(value: object) -> float | None:
    """Return a JSON value as the number that it is; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def stored_lines(documents: object) -> list[LogEntry]:
    """Return the application's log lines among the stored `documents` of a request (index → documents)."""
    stored = documents.get(LOGS, ()) if isinstance(documents, Mapping) else ()
    return [
        LogEntry.stored(document["source"])
        for document in stored
        if document["source"].get("doc_type") == "log"
    ]


def streamed_lines(logs: Iterable[Mapping[str, Any]]) -> list[LogEntry]:
    """Return the application's log lines among those of GET /logs."""
    return [entry for entry in map(LogEntry.streamed, logs) if entry.kind == "log"]


def merged(*lines: Sequence[LogEntry]) -> list[LogEntry]:
    """Return log lines from several places in the order of their times, each once."""
    by_key = {entry.key: entry for some in lines for entry in some}
    return sorted(by_key.values(), key=lambda entry: entry.timestamp)

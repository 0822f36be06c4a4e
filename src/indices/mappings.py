"""The indices: their fields, declared once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vigie.telemetry.ledger_figures import LedgerFigures

LOGS: Final = "ml-api-logs"
MESSAGE: Final = "ml-api-message"
PERFS: Final = "ml-api-perfs"
ALERTS: Final = "ml-api-alerts"
DEAD: Final = "ml-api-dead"
INDICES: Final = (LOGS, MESSAGE, PERFS)
"""The indices of the events."""

VERSION: Final = 6
"""Version of these mappings; raise it with any change, so that an older worker leaves newer ones alone."""

FieldMapping = Mapping[str, Any]
"""A field's mapping, in the store's own JSON."""

_DOUBLE: Final[FieldMapping] = {"type": "double"}
_INTEGER: Final[FieldMapping] = {"type": "integer"}
_LONG: Final[FieldMapping] = {"type": "long"}
_BOOLEAN: Final[FieldMapping] = {"type": "boolean"}
_TEXT: Final[FieldMapping] = {"type": "text"}
_KEYWORD: Final[FieldMapping] = {"type": "keyword", "ignore_above": 1024}
"""Longer values stay in the document and are not indexed: a term has a limit of 32,766 bytes."""
_DATE: Final[FieldMapping] = {"type": "date_nanos"}
_UNSEARCHED: Final[FieldMapping] = {"type": "text", "index": False}
"""Text that is kept as it is, whatever it holds, and not indexed."""
_STORED: Final[FieldMapping] = {"type": "object", "enabled": False}
"""Kept in the document as it is, not indexed."""


def _object(**properties: FieldMapping) -> FieldMapping:
    return {"properties": properties}


COMMON_FIELDS: Final[Mapping[str, FieldMapping]] = {
    "@timestamp": {"type": "date_nanos"},
    "doc_type": _KEYWORD,
    "transaction_id": _KEYWORD,
    "correlation_id": _KEYWORD,
    "batch_id": _KEYWORD,
    "subject_id": _KEYWORD,
    "producer": _KEYWORD,
    "number": _LONG,
    "level": _KEYWORD,
    "message": _TEXT,
    "method": _KEYWORD,
    "path": _KEYWORD,
    "status_code": _INTEGER,
    "status": _KEYWORD,
    "latency_ms": _DOUBLE,
    "model": _object(name=_KEYWORD, version=_KEYWORD, runtime=_KEYWORD),
    "hour_of_day": _KEYWORD,
    "day_of_week": _KEYWORD,
}
"""Fields of every document of every index."""

_RESULT = _object(prediction=_DOUBLE, label=_KEYWORD, probability=_DOUBLE, confidence=_DOUBLE)
_ERRORS = _object(field=_KEYWORD, reason=_KEYWORD)
_DRIFT = _object(
    feature=_KEYWORD, compared=_KEYWORD, verdict=_KEYWORD, alarm=_BOOLEAN, psi=_DOUBLE, p_value=_DOUBLE,
    adjusted_p_value=_DOUBLE, reference_mean=_DOUBLE, window_mean=_DOUBLE, reference_share=_DOUBLE,
    rows=_LONG, reference_rows=_LONG, window=_LONG, window_first=_DATE,
    window_last=_DATE, window_end=_KEYWORD,
)  # fmt: skip
_DISTRIBUTION = _object(feature=_KEYWORD, part=_KEYWORD, reference_share=_DOUBLE, window_share=_DOUBLE)
_OUTCOME = _object(
    label=_KEYWORD, position=_INTEGER, at=_DATE, correction=_BOOLEAN, joined=_BOOLEAN, superseded=_BOOLEAN,
    correct=_BOOLEAN, lag_ms=_DOUBLE, predicted_at=_DATE,
)  # fmt: skip
_QUALITY = _object(
    verdict=_KEYWORD, conclusion=_KEYWORD, alarm=_BOOLEAN, predictions=_LONG, outcomes=_LONG,
    coverage=_DOUBLE, training_accuracy=_DOUBLE, accuracy=_DOUBLE, accuracy_low=_DOUBLE,
    accuracy_high=_DOUBLE, expected_accuracy=_DOUBLE, expected_low=_DOUBLE, expected_high=_DOUBLE,
    expected_of_all=_DOUBLE, lag_median_ms=_DOUBLE, lag_p90_ms=_DOUBLE, since=_DATE, until=_DATE,
)  # fmt: skip

_LOGS_FIELDS: Final[Mapping[str, FieldMapping]] = {
    "input_data": _STORED,
    "rejected_input": _STORED,
    "result": _RESULT,
    "errors": _ERRORS,
    "performance_metrics": _STORED,
    "stages": _STORED,
    "drift": _STORED,
    "quality": _STORED,
    "outcome": _STORED,
    "batch_size": _INTEGER,
    "service": _KEYWORD,
    "logger": _KEYWORD,
    "module": _KEYWORD,
    "function": _KEYWORD,
    "line": _INTEGER,
    "process": _KEYWORD,
    "thread": _KEYWORD,
    "exception": _TEXT,
}

_MESSAGE_FIELDS: Final[Mapping[str, FieldMapping]] = {
    "input_data": _object(),
    "features_present": _KEYWORD,
    "result": _RESULT,
    "errors": _ERRORS,
    "drift": _DRIFT,
    "distribution": _DISTRIBUTION,
    "outcome": _OUTCOME,
    "quality": _QUALITY,
}
"""`input_data.<FEATURE>` comes from each model's own component template."""

_PERFS_FIELDS: Final[Mapping[str, FieldMapping]] = {
    "inference_time_ms": _DOUBLE,
    "cpu_time_ms": _DOUBLE,
    "memory_mb": _DOUBLE,
    "memory_delta_mb": _DOUBLE,
    "function_calls": _LONG,
    "top_functions": _STORED,
    "stages": _object(
        validate_ms=_DOUBLE, queue_ms=_DOUBLE, features_ms=_DOUBLE, predict_ms=_DOUBLE, serialise_ms=_DOUBLE
    ),
    "batch_size": _INTEGER,
    "profiled": _BOOLEAN,
    "profile_reason": _KEYWORD,
    "weight": _LONG,
    "rank": _INTEGER,
    "function": _KEYWORD,
    "file": _KEYWORD,
    "line": _INTEGER,
    "calls": _LONG,
    "own_ms": _DOUBLE,
    "cumulative_ms": _DOUBLE,
    "service": _KEYWORD,
    "backlog": _LONG,
    "lag_ms": _DOUBLE,
    "read": _LONG,
    "indexed": _LONG,
    "retried": _LONG,
    "dead": _LONG,
    "dropped": _LONG,
    "ledger": _object(**dict.fromkeys(LedgerFigures.__annotations__, _LONG)),
    "observer_us_per_request": _DOUBLE,
    "observer_share": _DOUBLE,
    "uptime_seconds": _DOUBLE,
}

OWN_FIELDS: Final[Mapping[str, Mapping[str, FieldMapping]]] = {
    LOGS: _LOGS_FIELDS,
    MESSAGE: _MESSAGE_FIELDS,
    PERFS: _PERFS_FIELDS,
}
"""Index → the fields it has beside the common ones."""

ALERT_FIELDS: Final[Mapping[str, FieldMapping]] = {
    "@timestamp": {"type": "date_nanos"},
    "rule": _KEYWORD,
    "severity": _KEYWORD,
    "metric": _KEYWORD,
    "value": _DOUBLE,
    "threshold": _DOUBLE,
    "message": _TEXT,
    "state": _KEYWORD,
}
"""Fields of ml-api-alerts, whose documents are no events: Kibana's rules write them."""

DEAD_FIELDS: Final[Mapping[str, FieldMapping]] = {
    "@timestamp": {"type": "date_nanos"},
    "doc_type": _KEYWORD,
    "state": _KEYWORD,
    "letter_id": _KEYWORD,
    "entry_id": _KEYWORD,
    "producer": _KEYWORD,
    "number": _LONG,
    "transaction_id": _KEYWORD,
    "cause": _KEYWORD,
    "reason": _TEXT,
    "failures": _object(index=_KEYWORD, id=_KEYWORD, status=_INTEGER, type=_KEYWORD, reason=_TEXT),
    "attempts": _INTEGER,
    "first_at": {"type": "date_nanos"},
    "last_at": {"type": "date_nanos"},
    "closed_at": {"type": "date_nanos"},
    "event": _UNSEARCHED,
    "event_bytes": _LONG,
}
"""Fields of ml-api-dead, which shows the dead letters and what became of them; `@timestamp` is `last_at`."""


def index_mappings() -> dict[str, dict[str, FieldMapping]]:
    """Return index → field → its mapping; `input_data` of ml-api-message takes each model's features."""
    events = {index: {**COMMON_FIELDS, **OWN_FIELDS[index]} for index in INDICES}
    return {**events, ALERTS: dict(ALERT_FIELDS), DEAD: dict(DEAD_FIELDS)}

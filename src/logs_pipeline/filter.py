"""From an event to its documents: a list of small pure functions.

`PROCESSORS` take the event and return it, checked or enriched; one of them may raise Dropped (the
event makes no document, and is counted as filtered) or PoisonError (it goes to the dead letters).
`BUILDERS` then make the documents. Both lists are the whole of it.

The fields that all documents of an event share are written as JSON once, and every document ends in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from vigie.indices.mappings import LOGS, MESSAGE, PERFS
from vigie.indices.routing import Epoch
from vigie.telemetry.parsed_event import NoEventError, event_of
from vigie.telemetry.stream.stream import StreamEntry

Fields = dict[str, Any]

LARGEST_EVENT_BYTES: Final = 1024 * 1024
"""An event of the platform stays below 50 KB; its documents must fit into one bulk of 10 MB."""
KINDS: Final = ("log", "prediction", "request", "service", "drift", "feedback", "quality")
DAYS: Final = ("1 Mon", "2 Tue", "3 Wed", "4 Thu", "5 Fri", "6 Sat", "7 Sun")
_TEXTS: Final = ("timestamp", "level", "message")
_OBJECTS: Final = (
    "model", "input_data", "result", "performance_metrics", "stages", "ledger", "drift", "outcome", "quality",
)  # fmt: skip
_COMMON: Final = (
    "transaction_id", "correlation_id", "batch_id", "subject_id", "method", "path", "status_code", "status",
    "latency_ms", "model",
)  # fmt: skip
_REPORTED: Final = (
    "service", "backlog", "lag_ms", "read", "indexed", "retried", "dead", "dropped", "ledger",
    "observer_us_per_request", "observer_share", "uptime_seconds",
)  # fmt: skip
_OUTCOME: Final = ("label", "position", "at", "correction")
_ASKED: Final = ("input_data", "result", "errors")
_MEASURED: Final = ("stages", "batch_size", "profiled", "profile_reason", "weight")


class Dropped(Exception):  # noqa: N818 - a decision, not an error
    """The event makes no document, on purpose."""


class PoisonError(Exception):
    """The event can never be indexed; the message says why."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the filter knows beside the event."""

    zone: ZoneInfo
    """Zone of hour_of_day and day_of_week."""
    excluded_paths: tuple[str, ...]
    """Paths (with what lies below) whose requests make no document."""
    present_features: Callable[[str], Sequence[str] | None]
    """Model name → its inputs marked `present`; None when the model is not known."""


@dataclass(slots=True)
class Document:
    """One document, ready to send; not to be changed."""

    index: str
    """Alias without prefix."""
    physical: str
    id: str
    source: bytes
    prediction: str = ""
    """Transaction id of the prediction that it is to be joined with."""


def documents_of(entry: StreamEntry, epoch: Epoch, context: Context) -> list[Document]:
    """Return the documents of `entry`. Raises Dropped or PoisonError."""
    event = parse(entry)
    for process in PROCESSORS:
        event = process(event, context)
    key = f"{entry.producer}-{entry.number}"
    when: datetime = event["when"]
    common: Fields = event["common"]
    ending = _serialised(common)[1:]
    documents = [
        Document(index, epoch.physical(index, when), key + suffix, _source(own, common, ending))
        for build in BUILDERS[event["data"]["kind"]]
        for index, suffix, own in build(event, context)
    ]
    if event["data"]["kind"] == "feedback":
        for document in documents:
            document.prediction = common["transaction_id"] if document.index == MESSAGE else ""
    return documents


def parse(entry: StreamEntry) -> Fields:
    """Return the event of `entry` as an object, with the producer and number of the entry itself."""
    if not entry.number:
        raise PoisonError("the entry has no producer and number (or a number outside 1 … 2^31 - 1)")
    if len(entry.event) > LARGEST_EVENT_BYTES:
        raise PoisonError(f"the event has {len(entry.event)} bytes, more than {LARGEST_EVENT_BYTES}")
    try:
        event = event_of(entry.event)
    except NoEventError as error:
        raise PoisonError(str(error)) from error
    event["producer"], event["number"] = entry.producer, entry.number
    return event


# Processors: event in, event out


def check_shape(event: Fields, _: Context) -> Fields:
    """Refuse an event whose parts do not have the form the builders rely on."""
    for name in _TEXTS:
        if not isinstance(event.get(name), str):
            raise PoisonError(f"{name} is missing or not a text")
    data = event.get("data")
    if not isinstance(data, dict):
        raise PoisonError("data is missing or not an object")
    kind = data.get("kind")
    if kind not in KINDS:
        raise PoisonError(f"data.kind is not one of {', '.join(KINDS)}")
    if kind == "service" and not isinstance(data.get("service"), str):
        raise PoisonError("data.service of a report is missing or not a text")
    for name in _OBJECTS:
        part = data.get(name)
        if part is not None and not isinstance(part, dict):
            raise PoisonError(f"data.{name} is not an object")
    if data["kind"] == "drift" and not isinstance((data.get("drift") or {}).get("feature"), str):
        raise PoisonError("data.drift.feature of a verdict is missing or not a text")
    if data["kind"] == "drift":
        _check_objects(data["drift"].get("parts"), "data.drift.parts")
    if data["kind"] == "feedback":
        _check_outcome(data)
    functions = (data.get("performance_metrics") or {}).get("top_functions")
    _check_objects(functions, "data.performance_metrics.top_functions")
    return event


def _check_objects(given: object, name: str) -> None:
    if given and not (isinstance(given, list) and all(isinstance(one, dict) for one in given)):
        raise PoisonError(f"{name} is not a list of objects")


def _check_outcome(data: Fields) -> None:
    if not isinstance(data.get("transaction_id"), str):
        raise PoisonError("data.transaction_id of an outcome is missing or not a text")
    if not isinstance((data.get("outcome") or {}).get("label"), str):
        raise PoisonError("data.outcome.label is missing or not a text")


def drop_excluded_paths(event: Fields, context: Context) -> Fields:
    """Drop the requests of LOG_EXCLUDE_PATHS, which a foreign producer may have sent all the same."""
    data = event["data"]
    path = data.get("path")
    if data["kind"] == "request" and isinstance(path, str):
        for excluded in context.excluded_paths:
            if path == excluded or path.startswith(f"{excluded}/"):
                raise Dropped
    return event


def read_time(event: Fields, _: Context) -> Fields:
    """Add `when`, the event's time in UTC; it decides the index."""
    try:
        when = datetime.fromisoformat(event["timestamp"])
    except ValueError as error:
        raise PoisonError(f"timestamp {event['timestamp'][:64]!r} is not an ISO 8601 time") from error
    if when.tzinfo is None:
        raise PoisonError(f"timestamp {event['timestamp'][:64]!r} has no UTC offset")
    if not 1971 <= when.year <= 2261:  # what a date_nanos holds, less a year for offsets
        raise PoisonError(f"timestamp {event['timestamp'][:64]!r} is outside 1971 … 2261")
    event["when"] = when.astimezone(UTC)
    return event


def add_common_fields(event: Fields, context: Context) -> Fields:
    """Add `common`: the fields that every document of the event carries."""
    data = event["data"]
    timestamp = event["when"].isoformat(timespec="microseconds")[: len("2026-01-31T23:59:59.999999")]
    hour, day = _clock(timestamp[: len("2026-01-31T23:59")], context.zone)
    common = {
        "@timestamp": f"{timestamp}Z",
        "producer": event["producer"],
        "number": event["number"],
        "level": event["level"],
        "message": event["message"],
        "hour_of_day": hour,
        "day_of_week": day,
        **_chosen(data, _COMMON),
    }
    event["common"] = common
    return event


@lru_cache(maxsize=256)
def _clock(minute: str, zone: ZoneInfo) -> tuple[str, str]:
    """Return hour_of_day and day_of_week of a minute of UTC."""
    local = datetime.fromisoformat(minute).replace(tzinfo=UTC).astimezone(zone)
    return f"{local.hour:02}", DAYS[local.weekday()]


Processor = Callable[[Fields, Context], Fields]
PROCESSORS: Final[tuple[Processor, ...]] = (check_shape, drop_excluded_paths, read_time, add_common_fields)


# Builders: event in, (index, suffix of the document's id, fields beside the common ones) out

Built = Iterable[tuple[str, str, Fields]]


def log_document(event: Fields, _: Context) -> Built:
    """Every event, whole, for audit and debugging; but for the reports, which say nothing of a request."""
    own = dict(event["data"])
    own["doc_type"] = own.pop("kind")
    yield LOGS, "", own


def message_document(event: Fields, context: Context) -> Built:
    """What was asked and answered, of answered and refused predictions."""
    data = event["data"]
    if data.get("status") not in ("ok", "refused"):
        return
    own = {"doc_type": "prediction", **_chosen(data, _ASKED)}
    present = context.present_features(str((data.get("model") or {}).get("name", "")))
    inputs = data.get("input_data")
    if present is not None and inputs:
        own["features_present"] = [name for name in present if inputs.get(name) == 1]
    yield MESSAGE, "", own


def drift_document(event: Fields, _: Context) -> Built:
    """What was found of one feature in a window of predictions, and its distribution part by part."""
    figures = dict(event["data"]["drift"])
    parts = figures.pop("parts", None) or ()
    yield MESSAGE, "", {"doc_type": "drift", "drift": figures}
    for position, part in enumerate(parts, start=1):
        own = {"feature": figures["feature"], **part}
        yield MESSAGE, f"-part-{position}", {"doc_type": "distribution", "distribution": own}


def quality_document(event: Fields, _: Context) -> Built:
    """How right the predictions of the last days were."""
    yield MESSAGE, "", {"doc_type": "quality", "quality": event["data"].get("quality") or {}}


def feedback_document(event: Fields, _: Context) -> Built:
    """The true label of a prediction, with which it is joined once that is stored."""
    own = _chosen(event["data"]["outcome"], _OUTCOME)
    own.setdefault("at", event["common"]["@timestamp"])
    own.setdefault("correction", False)
    yield MESSAGE, "", {"doc_type": "feedback", "outcome": {**own, "joined": False, "superseded": False}}


def performance_document(event: Fields, _: Context) -> Built:
    """The eight metrics and the stages of an answered prediction."""
    data = event["data"]
    if not _measured(data):
        return
    metrics = data["performance_metrics"]
    yield PERFS, "", {**metrics, **_chosen(data, _MEASURED), "doc_type": "request"}


def function_documents(event: Fields, _: Context) -> Built:
    """One document per costly function, since panels cannot aggregate over nested objects."""
    data = event["data"]
    functions = data["performance_metrics"].get("top_functions") if _measured(data) else None
    for position, function in enumerate(functions or (), start=1):
        yield PERFS, f"-function-{position}", {**function, "doc_type": "function"}


def service_document(event: Fields, _: Context) -> Built:
    """A process's report on itself."""
    yield PERFS, "", {**_chosen(event["data"], _REPORTED), "doc_type": "service"}


Builder = Callable[[Fields, Context], Built]
BUILDERS: Final[Mapping[str, Sequence[Builder]]] = {
    "log": (log_document,),
    "prediction": (log_document, message_document, performance_document, function_documents),
    "request": (log_document,),
    "service": (service_document,),
    "drift": (log_document, drift_document),
    "feedback": (log_document, feedback_document),
    "quality": (log_document, quality_document),
}
"""Kind of event → what makes its documents."""


def _measured(data: Fields) -> bool:
    return data.get("status") == "ok" and bool(data.get("performance_metrics"))


def _chosen(data: Mapping[str, Any], names: Iterable[str]) -> Fields:
    return {name: value for name in names if (value := data.get(name)) is not None}


def _source(own: Fields, common: Fields, ending: bytes) -> bytes:
    """Return the document: its own fields, then the common ones, which win over others of their names."""
    if not own.keys().isdisjoint(common):
        own = {name: value for name, value in own.items() if name not in common}
    return _serialised(own)[:-1] + b"," + ending


def _serialised(fields: Fields) -> bytes:
    try:
        return orjson.dumps(fields)
    except orjson.JSONEncodeError as error:
        raise PoisonError(f"the event cannot be written as JSON: {error}") from error

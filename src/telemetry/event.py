"""The event: its shape, its one-line message, and what of a refused request it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Annotated, Any, Final, Literal, TypedDict

import orjson
from annotated_doc import Doc

from vigie.telemetry.drift_figures import DriftFigures
from vigie.telemetry.ledger_figures import LedgerFigures
from vigie.telemetry.outcome import Outcome
from vigie.telemetry.parsed_event import DEEPEST, nested_deeper
from vigie.telemetry.quality_figures import QualityFigures

Kind = Literal["prediction", "request", "log", "service", "drift", "feedback", "quality"]
Status = Literal["ok", "refused", "shed", "failed"]
ProfileReason = Literal["budget", "forced", "slow", "disabled", "batch"]

PREDICTION: Final = "prediction"
"""Kind of a prediction: the request of a single one, or one row of a batch."""
REQUEST: Final = "request"
"""Kind of every other request, and of the batch call itself."""
LOG: Final = "log"
"""Kind of an application log."""
SERVICE: Final = "service"
"""Kind of a process's report on itself."""
DRIFT: Final = "drift"
"""Kind of the verdict on one feature, or the prediction, of one window of predictions."""
FEEDBACK: Final = "feedback"
"""Kind of an outcome: the true label of a prediction, whose transaction id it has."""
QUALITY: Final = "quality"
"""Kind of the verdict on a model version's quality."""

REJECTED_INPUT_BYTES = 4096
"""Most bytes of a refused request's body that its event keeps."""
_AROUND = 2
"""Levels of an event around the body: itself, and `data`."""


class ModelIdentity(TypedDict):
    """Which model answered, and by which runtime."""

    name: Annotated[str, Doc("Name of the model, from its schema")]
    version: Annotated[str, Doc("Version of the model")]
    runtime: Annotated[str, Doc("`onnx` or `sklearn`: which runtime answered")]


class Result(TypedDict, total=False):
    """What the model answered; label, probability and confidence are None for a regression."""

    prediction: Annotated[int | float, Doc("Position of the class given in the schema's classes")]
    label: Annotated[str | None, Doc("The class given")]
    probability: Annotated[
        float | None,
        Doc("Probability of the positive class; with more than two classes, of the one given"),
    ]
    confidence: Annotated[float | None, Doc("Probability of the class given")]


class FunctionCost(TypedDict):
    """One of the costliest functions of a profiled inference."""

    rank: Annotated[int, Doc("1 is the costliest")]
    function: Annotated[str, Doc("Qualified name")]
    file: Annotated[
        str,
        Doc("File, relative to the package or library; for a C function its module in brackets"),
    ]
    line: Annotated[int, Doc("First line of the function; 0 for a C function")]
    calls: Annotated[int, Doc("Times called")]
    own_ms: Annotated[float, Doc("Milliseconds in the function itself")]
    cumulative_ms: Annotated[float, Doc("Milliseconds with what it called")]


class PerformanceMetrics(TypedDict):
    """The eight performance metrics; the last two are None when the inference was not profiled."""

    transaction_id: Annotated[str, Doc("UUID of the request")]
    inference_time_ms: Annotated[
        float,
        Doc("Wall time of features and model; in a coalesced batch, which all wait for, of the batch"),
    ]
    cpu_time_ms: Annotated[
        float, Doc("CPU time (not wall) of the threads that served the request; in a batch its share")
    ]
    memory_mb: Annotated[float, Doc("Resident set of the process, in units of 1,048,576 bytes")]
    memory_delta_mb: Annotated[float, Doc("Change of the resident set across the inference")]
    latency_ms: Annotated[float, Doc("From the ASGI call to the response body handed over")]
    function_calls: Annotated[
        int | None, Doc("Python and C calls made by the inference; null when not profiled")
    ]
    top_functions: Annotated[
        Sequence[FunctionCost] | None, Doc("Up to 5 costliest functions, by own time; null when not profiled")
    ]


class Stages(TypedDict, total=False):
    """Wall time of each stage of a request."""

    validate_ms: Annotated[float, Doc("Parsing and validation")]
    queue_ms: Annotated[float, Doc("Waiting for the model")]
    features_ms: Annotated[float, Doc("Derived features")]
    predict_ms: Annotated[float, Doc("The model")]
    serialise_ms: Annotated[float, Doc("Writing the answer")]


class FieldError(TypedDict):
    """Why a request was refused; `field` is empty when the whole body is at fault."""

    field: Annotated[str, Doc("Storage name of the field, or the name given where it is unknown")]
    reason: Annotated[str, Doc("What is wrong with it, in plain words")]


class EventData(TypedDict, total=False):
    """Body of an event; a key that does not apply is absent. The journal sets `producer` and `number`."""

    kind: Annotated[
        Kind,
        Doc(
            "`prediction` (single, or a batch's row), `request` (other, the batch call too), `log`, "
            "`service` (a process's report on itself, every 30 s), `drift` (the verdict on one feature of "
            "one window of predictions), `feedback` (the true label of a prediction), or `quality` (whether "
            "answers turn out right)"
        ),
    ]
    producer: Annotated[str, Doc("UUID of the process that made the event")]
    number: Annotated[int, Doc("1, 2, 3 … per producer")]
    transaction_id: Annotated[str, Doc("UUID version 7 of the request, the row, or the prediction spoken of")]
    correlation_id: Annotated[str, Doc("The client's own X-Request-ID or traceparent")]
    batch_id: Annotated[str, Doc("Transaction id of the batch a row came in")]
    subject_id: Annotated[str, Doc("The client's own name for who the record is about")]
    method: Annotated[str, Doc("HTTP method")]
    path: Annotated[str, Doc("Path of the request")]
    status_code: Annotated[int, Doc("HTTP status of the answer")]
    status: Annotated[
        Status, Doc("What became of it: `ok`, `refused` (4xx), `shed` (429, 503) or `failed` (other 5xx)")
    ]
    latency_ms: Annotated[float, Doc("From the ASGI call to the response body handed over")]
    model: Annotated[ModelIdentity, Doc("Which model answered")]
    input_data: Annotated[Mapping[str, object], Doc("The record, storage names, only ever valid values")]
    result: Annotated[Result, Doc("What the model answered")]
    rejected_input: Annotated[
        object,
        Doc("What a refused request sent: its JSON value, or its text cut at 4 KB; stored, not indexed"),
    ]
    errors: Annotated[Sequence[FieldError], Doc("Why it was refused")]
    performance_metrics: Annotated[PerformanceMetrics, Doc("The eight metrics of an answered prediction")]
    stages: Annotated[Stages, Doc("Wall time per stage")]
    batch_size: Annotated[int, Doc("Rows in the batch that the inference ran")]
    profiled: Annotated[bool, Doc("Whether the inference ran under the profiler")]
    profile_reason: Annotated[
        ProfileReason,
        Doc(
            "Why profiled: `budget`, `forced`, `slow` (the last was); why not: `disabled`, `batch`, `budget`"
        ),
    ]
    weight: Annotated[
        int,
        Doc("Predictions this profile stands for: itself and those since the last one; 0 when not profiled"),
    ]
    service: Annotated[str, Doc("`api` or `ui`, for application logs; in reports `pipeline` too")]
    backlog: Annotated[
        int,
        Doc("Report: events not shipped yet (`api`, `ui`), or in the stream and not indexed (`pipeline`)"),
    ]
    lag_ms: Annotated[
        float, Doc("Report of `pipeline`: age of the oldest entry that is not indexed; 0 when there is none")
    ]
    read: Annotated[int, Doc("Report of `pipeline`: events read since the process started")]
    indexed: Annotated[int, Doc("Report of `pipeline`: events indexed since then")]
    retried: Annotated[int, Doc("Report of `pipeline`: documents sent again since then")]
    dead: Annotated[int, Doc("Report of `pipeline`: events refused for good since then")]
    dropped: Annotated[int, Doc("Report: events of this process dropped because its journal was full")]
    observer_us_per_request: Annotated[
        float,
        Doc("Report of `api`, `ui`: microseconds of recording, profiling and shipping per event since then"),
    ]
    observer_share: Annotated[
        float, Doc("Report of `api`, `ui`: part of one CPU core that all observing took since the last one")
    ]
    ledger: Annotated[
        LedgerFigures, Doc("Report of one process of `pipeline`, each minute: the ledger as it was measured")
    ]
    uptime_seconds: Annotated[float, Doc("Report: time since the process started")]
    drift: Annotated[DriftFigures, Doc("What was found of a feature in a window of predictions")]
    outcome: Annotated[Outcome, Doc("The true label of a prediction")]
    quality: Annotated[QualityFigures, Doc("How right the predictions of the last days were")]
    logger: Annotated[str, Doc("Name of the logger")]
    module: Annotated[str, Doc("Module that logged")]
    function: Annotated[str, Doc("Function that logged")]
    line: Annotated[int, Doc("Line that logged")]
    process: Annotated[int, Doc("Process id")]
    thread: Annotated[str, Doc("Name of the thread")]
    exception: Annotated[str, Doc("Stack trace")]


class Event(TypedDict):
    """One JSON object of the stream `api_logs`."""

    timestamp: str
    level: str
    message: str
    data: EventData


def status_of(code: int) -> Status:
    """Return what became of a request that was answered with the HTTP status `code`."""
    if code < 400:
        return "ok"
    if code in {429, 503}:
        return "shed"
    return "refused" if code < 500 else "failed"


def level_of(code: int) -> Literal["INFO", "WARNING", "ERROR"]:
    """Return the level at which a request answered with `code` is logged: 4xx WARNING, 5xx ERROR."""
    if code < 400:
        return "INFO"
    return "WARNING" if code < 500 else "ERROR"


def message_line(
    transaction_id: str,
    method: str,
    path: str,
    status_code: int,
    latency_ms: float,
    given: Mapping[str, object] | str | None = None,
    result: Result | str | None = None,
) -> str:
    """Return ``[<id>] POST /predict - 200 - 45ms - <input> - <result>``.

    `given` is the valid input (shown as JSON) or a text; `result` the model's answer (shown as label and
    probability) or a text such as the reason of a refusal. What there is none of is shown as ``-``.
    """
    return message_of(transaction_id, message_middle(method, path, status_code, latency_ms), given, result)


def message_middle(method: str, path: str, status_code: int, latency_ms: float) -> str:
    """Return what the messages of a batch's rows have in common (`message_of`)."""
    return f" {method} {path} - {status_code} - {latency_ms:.0f}ms - "


def message_of(
    transaction_id: str,
    middle: str,
    given: Mapping[str, object] | str | None = None,
    result: Result | str | None = None,
) -> str:
    """Return the message line around `middle` (`message_line`)."""
    shown = "-" if not given else given if isinstance(given, str) else _as_json(given)
    answer = "-" if not result else result if isinstance(result, str) else _answer(result)
    return f"[{transaction_id}]{middle}{shown} - {answer}"


def rejected(raw: bytes) -> object:
    """Return what an event keeps of a refused body: its JSON value, or its text cut at 4096 bytes.

    The text stands for a body that is not JSON, is longer than that, or would nest the event too deeply;
    bytes that are not UTF-8 are replaced.
    """
    if len(raw) <= REJECTED_INPUT_BYTES:
        try:
            value: object = orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass
        else:
            if not nested_deeper(value, DEEPEST - _AROUND):
                return value
    text = raw[:REJECTED_INPUT_BYTES].decode("utf-8", "replace")
    return text.encode()[:REJECTED_INPUT_BYTES].decode("utf-8", "ignore")


ABRIDGED_CHARACTERS = 1000
"""Longest text in an event that was too large."""


def storable(value: object, depth: int = 0) -> Any:
    """Return `value` as orjson can write it, for an event that it refused.

    Unknown objects become their text, keys text, lone surrogates ``?``, integers beyond 64 bits text;
    what lies deeper than 64 levels is cut, which also ends a value that holds itself.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        number = int(value)
        return number if -(2**63) <= number < 2**64 else str(number)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if depth >= 64:
        return "…"
    if isinstance(value, Mapping):
        return {_text(key): storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [storable(item, depth + 1) for item in value]
    return _text(value)


def abridged(event: Event, size: int) -> Event:
    """Return a small event in the place of one of `size` bytes that is too large to be kept whole.

    It keeps the identity, status and figures: what is neither number nor flag nor short text is left out, and
    texts are cut at 1,000 characters.
    """
    kept = {
        name: value[:ABRIDGED_CHARACTERS] if isinstance(value, str) else value
        for name, value in event["data"].items()
        if value is None or isinstance(value, str | int | float)
    }
    shown = event["message"][:ABRIDGED_CHARACTERS]
    data: EventData = storable(kept)
    return Event(
        timestamp=event["timestamp"],
        level=event["level"],
        message=storable(f"{shown} … (abridged from {size} bytes)"),
        data=data,
    )


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - a logged object's own __str__ may raise anything
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "replace").decode()


def _as_json(value: Mapping[str, object]) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return orjson.dumps(storable(value)).decode()


def _answer(result: Result) -> str:
    shown = result.get("label") or result.get("prediction")
    probability = result.get("probability")
    return f"{shown}" if probability is None else f"{shown} {probability:.4f}"

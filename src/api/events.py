"""From an exchange to its event."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from vigie.api.exchange import Exchange
from vigie.api.validation import Record, Rejected
from vigie.model.inference import Inference
from vigie.subject import SubjectRecord, subject_of
from vigie.telemetry.event import (
    PREDICTION,
    Event,
    EventData,
    FieldError,
    PerformanceMetrics,
    Result,
    level_of,
    message_line,
    message_middle,
    message_of,
    rejected,
    status_of,
    storable,
)
from vigie.telemetry.metrics.figures import Figures

if TYPE_CHECKING:
    from vigie.api.exchange import Row

LONGEST_PATH = 512
"""Characters of a path that an event keeps."""
LONGEST_REASONS = 512
"""Characters of the reasons in the message line; `errors` has them all."""
CLIENT_CLOSED_REQUEST = 499
"""Status of a request whose client left before it was answered (as web servers log it)."""


ROWS_AT_ONCE: Final = 32
"""Events of a batch's rows that are in memory at a time: what is small stays in the processor's cache."""


class Sink(Protocol):
    """What takes events: telemetry's emitter."""

    def emit_many(self, events: Sequence[Event]) -> None:
        """Take events in one go; never raises, never blocks on I/O."""


class Recorder:
    """Makes the event of each exchange, and hands it over."""

    def __init__(self, excluded: Sequence[str], figures: Figures | None = None) -> None:
        """Count into `figures`, those of the process, when given."""
        self._sink: Sink | None = None
        self._figures = figures or Figures()
        names = frozenset(path.rstrip("/") for path in excluded)
        below = tuple(f"{path}/" for path in names)
        self._is_excluded = lru_cache(maxsize=256)(lambda path: path in names or path.startswith(below))

    def attach(self, sink: Sink) -> None:
        """Hand events to `sink` from now on."""
        self._sink = sink

    def record(self, exchange: Exchange, status_code: int) -> None:
        """Emit the event of `exchange`, with those of its rows, unless its path is excluded.

        Its latency is the time from the ASGI call to now, which is just before the body is handed over.
        """
        self.record_all([(exchange, status_code)])

    def record_all(self, answered: Iterable[tuple[Exchange, int]], began: int | None = None) -> None:
        """Emit the events of several exchanges, each with its status, in one go.

        `began` is this thread's CPU time in ns, when it was read just before.
        """
        if self._sink is None:
            raise RuntimeError("a request came before the start of the service, or after its stop")
        began = time.thread_time_ns() if began is None else began
        events: list[Event] = []
        for exchange, status_code in answered:
            if not self._is_excluded(exchange.path):
                if exchange.rows:
                    self._record_rows(exchange, self._sink)
                latency_ms = exchange.elapsed_ms()
                events.append(self.event(exchange, status_code, latency_ms))
                self._count(exchange, status_code, latency_ms)
        if events:
            self._sink.emit_many(events)
            self._figures.recorded(time.thread_time_ns() - began)

    def _count(self, exchange: Exchange, status_code: int, latency_ms: float) -> None:
        self._figures.request(exchange.method, exchange.path, status_code, latency_ms)
        if exchange.model is None:
            return
        version = exchange.model["version"]
        if exchange.rows:
            self._figures.batch_rows(len(exchange.rows))
            labels = Counter(inference.label for _, _, inference in exchange.rows if inference is not None)
            for label, count in labels.items():
                self._figures.answered(label, version, count)
        elif exchange.inference is not None and status_code < 400:
            self._figures.answered(exchange.inference.label, version)

    def event(self, exchange: Exchange, status_code: int, latency_ms: float) -> Event:
        """Return the event of `exchange`, answered with `status_code` after `latency_ms`."""
        transaction_id, _, timestamp = exchange.instant
        path = exchange.path
        if len(path) > LONGEST_PATH or not path.isascii():
            path = path[:LONGEST_PATH].encode("utf-8", "replace").decode()
        data: EventData = {
            "kind": exchange.kind,
            "transaction_id": transaction_id,
            "method": exchange.method,
            "path": path,
            "status_code": status_code,
            "status": status_of(status_code),
            "latency_ms": latency_ms,
        }
        if exchange.correlation_id is not None:
            data["correlation_id"] = exchange.correlation_id
        if exchange.stages:
            data["stages"] = exchange.stages
        given: Mapping[str, object] | str | None = exchange.input_data
        answer: Result | str | None = None
        if exchange.kind == PREDICTION and exchange.model is not None:
            data["model"] = exchange.model
        if exchange.subject_id is not None:
            data["subject_id"] = exchange.subject_id
        if exchange.input_data is not None:
            data["input_data"] = exchange.input_data
            if isinstance(exchange.input_data, SubjectRecord):
                data["subject_id"] = exchange.input_data.subject_id
        elif exchange.body and status_code >= 400:
            data["rejected_input"] = rejected(exchange.body)
        if exchange.errors:
            data["errors"] = exchange.errors
            answer = _reasons(exchange.errors)
        if exchange.inference is not None and status_code < 400:
            answer = add_inference(data, exchange.inference, latency_ms, exchange.cpu_ns)
        elif exchange.rows:
            given = f"{len(exchange.rows)} records"
        message = message_line(transaction_id, exchange.method, path, status_code, latency_ms, given, answer)
        return {"timestamp": timestamp, "level": level_of(status_code), "message": message, "data": data}

    def _record_rows(self, exchange: Exchange, sink: Sink) -> None:
        """Emit the events of a batch's rows, each with an equal share of the request's own time so far."""
        count = len(exchange.rows)
        latency_ms, cpu_ns = exchange.elapsed_ms() / count, exchange.cpu_ns // count
        for start in range(0, count, ROWS_AT_ONCE):
            rows = exchange.rows[start : start + ROWS_AT_ONCE]
            sink.emit_many(self._row_events(exchange, rows, latency_ms, cpu_ns))

    def _row_events(
        self, exchange: Exchange, rows: Sequence[Row], latency_ms: float, cpu_ns: int
    ) -> list[Event]:
        events: list[Event] = []
        pattern = None
        for transaction_id, row, inference in rows:
            if inference is None or isinstance(row, Rejected):
                events.append(self._unanswered(exchange, transaction_id, row, latency_ms))
                continue
            if pattern is None or pattern.cost is not inference.cost:
                data = self._row_data(exchange, transaction_id, 200, latency_ms)
                pattern = _AnsweredRows(exchange, data, inference, latency_ms, cpu_ns)
            events.append(pattern.event(transaction_id, row, inference))
        return events

    def _unanswered(
        self, exchange: Exchange, transaction_id: str, row: Record | Rejected, latency_ms: float
    ) -> Event:
        status_code = 422 if isinstance(row, Rejected) else 500
        data = self._row_data(exchange, transaction_id, status_code, latency_ms)
        given: Mapping[str, object] | None = None
        reasons: str | None = None
        subject_id = row.subject_id if isinstance(row, Rejected) else subject_of(row)
        if subject_id is not None:
            data["subject_id"] = subject_id
        if isinstance(row, Rejected):
            data["rejected_input"] = rejected(_json_text(row.row))
            data["errors"] = row.errors
            reasons = _reasons(row.errors)
        else:
            data["input_data"] = given = row
        message = message_line(
            transaction_id, exchange.method, exchange.path, status_code, latency_ms, given, reasons
        )
        timestamp = exchange.instant.timestamp
        return {"timestamp": timestamp, "level": level_of(status_code), "message": message, "data": data}

    @staticmethod
    def _row_data(exchange: Exchange, transaction_id: str, status_code: int, latency_ms: float) -> EventData:
        data: EventData = {
            "kind": PREDICTION,
            "transaction_id": transaction_id,
            "batch_id": exchange.instant.id,
            "method": exchange.method,
            "path": exchange.path,
            "status_code": status_code,
            "status": status_of(status_code),
            "latency_ms": latency_ms,
        }
        if exchange.model is not None:
            data["model"] = exchange.model
        if exchange.correlation_id is not None:
            data["correlation_id"] = exchange.correlation_id
        return data


class _AnsweredRows:
    """Makes the events of rows that one inference answered: what they share is made once, and copied."""

    def __init__(
        self, exchange: Exchange, data: EventData, first: Inference, latency_ms: float, cpu_ns: int
    ) -> None:
        self.cost = first.cost
        data["input_data"] = {}
        add_inference(data, first, latency_ms, cpu_ns)
        data["performance_metrics"]["inference_time_ms"] /= first.cost.batch_size
        self._data = data
        self._middle = message_middle(exchange.method, exchange.path, 200, latency_ms)
        self._timestamp = exchange.instant.timestamp
        self._level = level_of(200)

    def event(self, transaction_id: str, row: Record, inference: Inference) -> Event:
        data = self._data.copy()
        metrics = data["performance_metrics"].copy()
        data["transaction_id"] = metrics["transaction_id"] = transaction_id
        data["performance_metrics"] = metrics
        data["input_data"] = row
        if isinstance(row, SubjectRecord):
            data["subject_id"] = row.subject_id
        data["result"] = result = result_of(inference)
        message = message_of(transaction_id, self._middle, row, result)
        return {"timestamp": self._timestamp, "level": self._level, "message": message, "data": data}


def result_of(inference: Inference) -> Result:
    """Return what an event keeps of the answer."""
    return {
        "prediction": inference.prediction,
        "label": inference.label,
        "probability": inference.probability,
        "confidence": inference.confidence,
    }


def add_inference(data: EventData, inference: Inference, latency_ms: float, own_cpu_ns: int) -> Result:
    """Add result, stages and the eight performance metrics to `data`; return the result."""
    result = result_of(inference)
    cost = inference.cost
    metrics: PerformanceMetrics = {
        "transaction_id": data["transaction_id"],
        "inference_time_ms": cost.features_ms + cost.predict_ms,
        "cpu_time_ms": own_cpu_ns / 1e6 + cost.cpu_time_ms,
        "memory_mb": cost.memory_mb,
        "memory_delta_mb": cost.memory_delta_mb,
        "function_calls": cost.function_calls,
        "latency_ms": latency_ms,
        "top_functions": cost.top_functions,
    }
    data["result"] = result
    data["performance_metrics"] = metrics
    data["batch_size"] = cost.batch_size
    data["profiled"] = cost.function_calls is not None
    data["profile_reason"] = cost.profile_reason
    data["weight"] = cost.weight
    return result


def _json_text(row: object) -> bytes:
    """Return a refused row as JSON; one nested more deeply than orjson can write is cut."""
    try:
        return orjson.dumps(row)
    except TypeError:
        return orjson.dumps(storable(row))


def _reasons(errors: Sequence[FieldError]) -> str:
    text = "; ".join(f"{error['field'] or 'body'} {error['reason']}" for error in errors)
    return text if len(text) <= LONGEST_REASONS else text[:LONGEST_REASONS] + "…"

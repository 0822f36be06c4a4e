"""From an exchange to its event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import orjson

from vigie.api.exchange import Exchange
from vigie.api.validation import Record, Rejected
from vigie.model.predictor import Inference
from vigie.telemetry.event import (
    PREDICTION,
    Event,
    EventData,
    FieldError,
    ModelIdentity,
    PerformanceMetrics,
    Result,
    level_of,
    message_line,
    rejected,
    status_of,
    storable,
)
from vigie.telemetry.ids import Instant, new_instant

LONGEST_PATH = 512
"""Characters of a path that an event keeps."""
LONGEST_REASONS = 512
"""Characters of the reasons in the message line; `errors` has them all."""
CLIENT_CLOSED_REQUEST = 499
"""Status of a request whose client left before it was answered (as web servers log it)."""


class Sink(Protocol):
    """What takes events: telemetry's emitter."""

    def emit_many(self, events: Sequence[Event]) -> None:
        """Take events in one go; never raises, never blocks on I/O."""


class Recorder:
    """Makes the event of each exchange, and hands it over."""

    def __init__(self, model: ModelIdentity, excluded: Sequence[str]) -> None:
        self._model = model
        self._sink: Sink | None = None
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

    def record_all(self, answered: Iterable[tuple[Exchange, int]]) -> None:
        """Emit the events of several exchanges, each with its status, in one go."""
        if self._sink is None:
            raise RuntimeError("a request came before the start of the service, or after its stop")
        events: list[Event] = []
        for exchange, status_code in answered:
            if not self._is_excluded(exchange.path):
                events += exchange.row_events
                events.append(self.event(exchange, status_code, exchange.elapsed_ms()))
        if events:
            self._sink.emit_many(events)

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
        if exchange.kind == PREDICTION:
            data["model"] = self._model
        if exchange.input_data is not None:
            data["input_data"] = exchange.input_data
        elif exchange.body and status_code >= 400:
            data["rejected_input"] = rejected(exchange.body)
        if exchange.errors:
            data["errors"] = exchange.errors
            answer = _reasons(exchange.errors)
        if exchange.inference is not None and status_code < 400:
            answer = add_inference(data, exchange.inference, latency_ms, exchange.cpu_ns)
        elif exchange.row_events:
            given = f"{len(exchange.row_events)} records"
        message = message_line(transaction_id, exchange.method, path, status_code, latency_ms, given, answer)
        return {"timestamp": timestamp, "level": level_of(status_code), "message": message, "data": data}

    def row_event(
        self,
        exchange: Exchange,
        transaction_id: str,
        row: Record | Rejected,
        inference: Inference | None,
        latency_ms: float,
        cpu_ns: int,
    ) -> Event:
        """Return the event of one row of a batch; `latency_ms` and `cpu_ns` are its share."""
        status_code = 422 if isinstance(row, Rejected) else 500 if inference is None else 200
        data: EventData = {
            "kind": PREDICTION,
            "transaction_id": transaction_id,
            "batch_id": exchange.instant.id,
            "method": exchange.method,
            "path": exchange.path,
            "status_code": status_code,
            "status": status_of(status_code),
            "latency_ms": latency_ms,
            "model": self._model,
        }
        if exchange.correlation_id is not None:
            data["correlation_id"] = exchange.correlation_id
        given: Mapping[str, object] | None = None
        answer: Result | str | None = None
        if isinstance(row, Rejected):
            data["rejected_input"] = rejected(_json_text(row.row))
            data["errors"] = row.errors
            answer = _reasons(row.errors)
        else:
            data["input_data"] = given = row
        if inference is not None:
            answer = add_inference(data, inference, latency_ms, cpu_ns)
            data["performance_metrics"]["inference_time_ms"] /= inference.cost.batch_size
        message = message_line(
            transaction_id, exchange.method, exchange.path, status_code, latency_ms, given, answer
        )
        timestamp = exchange.instant.timestamp
        return {"timestamp": timestamp, "level": level_of(status_code), "message": message, "data": data}


def add_inference(data: EventData, inference: Inference, latency_ms: float, own_cpu_ns: int) -> Result:
    """Add result, stages and the eight performance metrics to `data`; return the result."""
    result: Result = {
        "prediction": inference.prediction,
        "label": inference.label,
        "probability": inference.probability,
        "confidence": inference.confidence,
    }
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


def row_ids(instant: Instant, count: int) -> list[str]:
    """Return `count` transaction ids for the rows of the batch that arrived at `instant`."""
    return [new_instant(instant.ns).id for _ in range(count)]


def _json_text(row: object) -> bytes:
    """Return a refused row as JSON; one nested more deeply than orjson can write is cut."""
    try:
        return orjson.dumps(row)
    except TypeError:
        return orjson.dumps(storable(row))


def _reasons(errors: Sequence[FieldError]) -> str:
    text = "; ".join(f"{error['field'] or 'body'} {error['reason']}" for error in errors)
    return text if len(text) <= LONGEST_REASONS else text[:LONGEST_REASONS] + "…"

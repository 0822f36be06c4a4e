"""Events and settings for the pipeline's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from vigie.settings import Settings
from vigie.telemetry.stream.stream import Record, StreamEntry

PRODUCER = "5b1a3c1e-0000-4000-8000-000000000001"
INPUT = {
    "AGE": 60, "GENDER": 1, "SMOKING": 1, "ALCOHOL_CONSUMING": 0, "PEER_PRESSURE": 0, "YELLOW_FINGERS": 1,
    "ANXIETY": 0, "FATIGUE": 0, "ALLERGY": 0, "WHEEZING": 0, "COUGHING": 1, "SHORTNESS_OF_BREATH": 0,
    "SWALLOWING_DIFFICULTY": 0, "CHEST_PAIN": 0,
}  # fmt: skip
FUNCTIONS = [
    {"rank": rank, "function": f"f{rank}", "file": "model/a.py", "line": rank, "calls": 2, "own_ms": 0.5,
     "cumulative_ms": 0.7}
    for rank in (1, 2)
]  # fmt: skip


def prediction(number: int = 1, *, profiled: bool = False, **changes: Any) -> dict[str, Any]:
    """An answered prediction; `changes` replace keys of its data (None takes one away)."""
    transaction = f"01900000-0000-7000-8000-{number:012}"
    metrics = {
        "transaction_id": transaction, "inference_time_ms": 0.5, "cpu_time_ms": 0.4, "memory_mb": 120.5,
        "memory_delta_mb": 0.0, "latency_ms": 1.5, "function_calls": 40 if profiled else None,
        "top_functions": FUNCTIONS if profiled else None,
    }  # fmt: skip
    data: dict[str, Any] = {
        "kind": "prediction", "producer": PRODUCER, "number": number, "transaction_id": transaction,
        "method": "POST", "path": "/predict", "status_code": 200, "status": "ok", "latency_ms": 1.5,
        "model": {"name": "lung_cancer", "version": "1.0.0", "runtime": "onnx"}, "input_data": INPUT,
        "result": {"prediction": 1, "label": "YES", "probability": 0.9, "confidence": 0.9},
        "performance_metrics": metrics, "stages": {"validate_ms": 0.1, "predict_ms": 0.2}, "batch_size": 1,
        "profiled": profiled, "profile_reason": "budget", "weight": int(profiled),
    }  # fmt: skip
    data.update(changes)
    return {
        "timestamp": "2026-11-20T23:30:45.123456Z",
        "level": "INFO",
        "message": f"[{transaction}] POST /predict - 200 - 2ms",
        "data": {name: value for name, value in data.items() if value is not None},
    }


def record(event: dict[str, Any], number: int) -> Record:
    """The event as it is written to the stream."""
    return Record(number, orjson.dumps(event))


def predictions(first: int, last: int) -> list[Record]:
    """Answered predictions `first` to `last`; every tenth is profiled (two functions)."""
    return [record(prediction(n, profiled=n % 10 == 0), n) for n in range(first, last + 1)]


def entry(event: dict[str, Any] | bytes, number: int = 1, producer: str = PRODUCER) -> StreamEntry:
    """The event as it is read from the stream."""
    text = event if isinstance(event, bytes) else orjson.dumps(event)
    return StreamEntry("1700000000000-0", producer, number, text)


SettingsFor = Callable[..., Settings]

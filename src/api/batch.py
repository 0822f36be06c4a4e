"""POST /predict/batch: valid rows are predicted together, the others say what is wrong with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TypedDict

import orjson

from vigie.api.answer import Answer
from vigie.api.exchange import Exchange
from vigie.api.served_model import ServedModel
from vigie.api.validation import Record, Rejected
from vigie.model.batcher import InferenceError
from vigie.model.inference import Inference
from vigie.telemetry.event import FieldError
from vigie.telemetry.ids import ids_at

SLICE_ROWS = 200
"""Rows handled before other requests get their turn: about two milliseconds of work."""


class RowError(TypedDict):
    """Why a row has no prediction."""

    detail: str
    errors: Sequence[FieldError]


class BatchPredictions:
    """Answers one call with its rows; each row has a transaction id and an event of its own."""

    def __init__(self, served: ServedModel, most: int) -> None:
        self._served = served
        self._most = most

    async def __call__(self, exchange: Exchange) -> Answer:
        """Validate row by row, predict the valid ones as one matrix, answer in the order of the request."""
        cpu, started = time.thread_time_ns(), time.perf_counter_ns()
        rows = self._served.records.rows(exchange.body, self._most)
        exchange.cpu_ns += time.thread_time_ns() - cpu
        records = await self._validate(exchange, rows)
        exchange.stages["validate_ms"] = (time.perf_counter_ns() - started) / 1e6

        valid = [record for record in records if not isinstance(record, Rejected)]
        answers = iter(await self._served.predictor.predict(valid) if valid else [])
        outcomes = [None if isinstance(record, Rejected) else next(answers) for record in records]
        self._note_stages(exchange, outcomes)

        cpu, started = time.thread_time_ns(), time.perf_counter_ns()
        ids = ids_at(exchange.instant.ns, len(rows))
        body = self._body(exchange, ids, records, outcomes)
        exchange.stages["serialise_ms"] = (time.perf_counter_ns() - started) / 1e6
        exchange.cpu_ns += time.thread_time_ns() - cpu
        answered = (outcome if isinstance(outcome, Inference) else None for outcome in outcomes)
        exchange.rows = list(zip(ids, records, answered, strict=True))
        return Answer(body)

    async def _validate(self, exchange: Exchange, rows: Sequence[object]) -> list[Record | Rejected]:
        records: list[Record | Rejected] = []
        for start in range(0, len(rows), SLICE_ROWS):
            cpu = time.thread_time_ns()
            records += self._served.records.some(rows[start : start + SLICE_ROWS])
            exchange.cpu_ns += time.thread_time_ns() - cpu
            await asyncio.sleep(0)
        return records

    def _note_stages(self, exchange: Exchange, outcomes: Sequence[Inference | InferenceError | None]) -> None:
        first = next((outcome for outcome in outcomes if isinstance(outcome, Inference)), None)
        if first is not None:
            stages = exchange.stages
            stages["queue_ms"] = first.queue_ms
            stages["features_ms"] = first.cost.features_ms
            stages["predict_ms"] = first.cost.predict_ms

    def _body(
        self,
        exchange: Exchange,
        ids: Sequence[str],
        records: Sequence[Record | Rejected],
        outcomes: Sequence[Inference | InferenceError | None],
    ) -> bytes:
        results = [
            {"index": index, "transaction_id": row_id, **_result(record, outcome)}
            for index, (row_id, record, outcome) in enumerate(zip(ids, records, outcomes, strict=True))
        ]
        return orjson.dumps(
            {
                "transaction_id": exchange.instant.id,
                "timestamp": exchange.instant.timestamp,
                "model_name": self._served.identity["name"],
                "model_version": self._served.identity["version"],
                "message": self._served.notice,
                "count": len(results),
                "failed": sum("error" in result for result in results),
                "results": results,
            }
        )


def _result(record: Record | Rejected, outcome: Inference | InferenceError | None) -> dict[str, object]:
    if isinstance(outcome, Inference):
        return {
            "prediction": outcome.prediction,
            "label": outcome.label,
            "probability": outcome.probability,
            "confidence": outcome.confidence,
        }
    if isinstance(record, Rejected):
        return {"error": RowError(detail="The record is not valid", errors=record.errors)}
    return {"error": RowError(detail="The model failed on this record", errors=[])}

"""The hot endpoints: predictions, answered without a framework in between.

FastAPI holds a twin of each (routes/predict.py) that calls the same handlers.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from starlette.types import Receive

from vigie.api.answer import Answer
from vigie.api.batch import BatchPredictions
from vigie.api.exchange import Exchange
from vigie.api.limits import check_json, check_length, read_body
from vigie.api.problems import Problem
from vigie.api.roles import Role
from vigie.api.served_model import ServedModel
from vigie.api.service import Service
from vigie.api.validation import Record
from vigie.model.batcher import QueueFullError
from vigie.model.inference import Inference
from vigie.telemetry.event import PREDICTION, REQUEST, Kind, ModelIdentity

RETRY_AFTER_SECONDS = "1"


@dataclass(frozen=True, slots=True)
class HotEndpoint:
    """A handler with what the dispatcher has to know about it."""

    handle: Callable[[Exchange], Awaitable[Answer]]
    model: ModelIdentity
    kind: Kind
    max_body_bytes: int

    async def answer(self, exchange: Exchange, receive: Receive) -> Answer:
        """Read the body within its limit, and answer it. Raises Problem for everything but success."""
        check_length(exchange.headers, self.max_body_bytes)
        check_json(exchange.headers)
        exchange.body = await read_body(receive, self.max_body_bytes, await receive())
        try:
            return await self.handle(exchange)
        except QueueFullError as error:
            raise Problem(
                503, f"Out of capacity: {error}", headers={"retry-after": RETRY_AFTER_SECONDS}
            ) from None


class SinglePrediction:
    """POST /predict and POST /predict_proba."""

    def __init__(self, served: ServedModel, *, probabilities: bool) -> None:
        self._predictor = served.predictor
        self._records = served.records
        self._fixed = {"model_name": served.identity["name"], "model_version": served.identity["version"]}
        self._messages = served.messages
        self._classes = served.model.schema.target.classes
        self._probabilities = probabilities

    async def __call__(self, exchange: Exchange) -> Answer:
        """Validate, predict, serialise; the parts that run on this thread are the request's own CPU time."""
        cpu = time.thread_time_ns()
        record = self.read(exchange)
        exchange.cpu_ns += time.thread_time_ns() - cpu
        (inference,) = await self._predictor.submit([record], force_profile=wants_profile(exchange))
        cpu = time.thread_time_ns()
        answer = self.answer(exchange, inference)
        exchange.cpu_ns += time.thread_time_ns() - cpu
        return answer

    def read(self, exchange: Exchange) -> Record:
        """Return the record in the body. Raises Problem (422) that names what is wrong with it."""
        started = time.perf_counter_ns()
        exchange.input_data = record = self._records.one(exchange.body)
        exchange.stages["validate_ms"] = (time.perf_counter_ns() - started) / 1e6
        return record

    def answer(self, exchange: Exchange, inference: Inference) -> Answer:
        """Return the answer that says `inference`."""
        started = time.perf_counter_ns()
        content = {
            "prediction": inference.prediction,
            "label": inference.label,
            "probability": inference.probability,
            "confidence": inference.confidence,
            "message": self._messages[inference.label],
            **self._fixed,
            "transaction_id": exchange.instant.id,
            "timestamp": exchange.instant.timestamp,
        }
        if self._probabilities:
            content["probabilities"] = dict(zip(self._classes, inference.probabilities, strict=True))
        body = orjson.dumps(content)
        exchange.inference = inference
        cost, stages = inference.cost, exchange.stages
        stages["queue_ms"] = inference.queue_ms
        stages["features_ms"] = cost.features_ms
        stages["predict_ms"] = cost.predict_ms
        stages["serialise_ms"] = (time.perf_counter_ns() - started) / 1e6
        return Answer(body)


def wants_profile(exchange: Exchange) -> bool:
    """Say whether the sender demands a profile, and may."""
    return exchange.headers.get(b"x-profile") == b"1" and Role.ADMIN in exchange.principal.roles


def hot_endpoints(service: Service) -> dict[tuple[str, str], HotEndpoint]:
    """Return the table (method, path) → endpoint, all of the model that `service` serves now."""
    limits, served = service.settings.api, service.served
    model = served.identity
    single, batch = limits.max_body_bytes, limits.batch_max_body_bytes
    return {
        ("POST", "/predict"): HotEndpoint(
            SinglePrediction(served, probabilities=False), model, PREDICTION, single
        ),
        ("POST", "/predict_proba"): HotEndpoint(
            SinglePrediction(served, probabilities=True), model, PREDICTION, single
        ),
        ("POST", "/predict/batch"): HotEndpoint(
            BatchPredictions(served, limits.batch_max_records), model, REQUEST, batch
        ),
    }

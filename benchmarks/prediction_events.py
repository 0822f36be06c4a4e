"""Prediction events as the service makes them: real inferences, its recorder, journal and write script."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from vigie.api.events import Recorder
from vigie.api.exchange import Exchange
from vigie.api.roles import EVERYBODY
from vigie.model.batcher import InferenceError
from vigie.model.cohort import draw
from vigie.model.model_loader import load_model
from vigie.model.predictor import Predictor
from vigie.settings import Settings
from vigie.telemetry.destination import RedisDestination
from vigie.telemetry.event import PREDICTION, Event, ModelIdentity
from vigie.telemetry.flusher import PAGE, Shipment
from vigie.telemetry.journal.journal import Journal

COALESCED: Final = 16
"""Predictions per batch, as under load: above one, none is profiled, and each makes three documents."""
SCOPE: Final = {"method": "POST", "path": "/predict"}


class _Shelf:
    """Takes the recorder's events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit_many(self, events: Sequence[Event]) -> None:
        """Keep them."""
        self.events += events


def fill(settings: Settings, count: int) -> str:
    """Write `count` prediction events of a new producer into the stream; return the producer."""
    stream = RedisDestination.open(settings.redis)
    with tempfile.TemporaryDirectory() as home:
        journal = Journal.create(Path(home), "api", settings.journal)
        shipment = Shipment(journal, stream)
        for events in _shipments(settings, count):
            journal.append(events)
            while shipment.ship():
                pass
            journal.maintain()
        if stream.high(journal.producer) != count or journal.dropped or journal.refused:
            raise RuntimeError(f"of {count} events {stream.high(journal.producer)} were written")
        shipment.close_producer(count)
        journal.close(delete=True)
        return journal.producer


def _shipments(settings: Settings, count: int) -> Iterator[list[Event]]:
    model = load_model(settings.model.model_path)
    predictor = Predictor(model, settings.observing)
    shelf = _Shelf()
    identity = ModelIdentity(name=model.schema.name, version=model.version, runtime=model.runtime_name)
    recorder = Recorder(())
    recorder.attach(shelf)
    records = itertools.cycle(draw(model.schema, 5000, seed=7)[0])
    made = 0
    while made < count:
        batch = list(itertools.islice(records, min(COALESCED, count - made, PAGE - len(shelf.events))))
        arrived = time.perf_counter_ns()
        answered = []
        for record, inference in zip(batch, predictor.predict_now(batch, arrived), strict=True):
            if isinstance(inference, InferenceError):
                raise inference
            exchange = Exchange(SCOPE, {}, EVERYBODY)
            exchange.kind, exchange.model = PREDICTION, identity
            exchange.input_data, exchange.inference = record, inference
            cost = inference.cost
            exchange.stages = {
                "validate_ms": 0.01 + made % 7 / 1000,
                "queue_ms": inference.queue_ms,
                "features_ms": cost.features_ms,
                "predict_ms": cost.predict_ms,
                "serialise_ms": 0.002 + made % 5 / 1000,
            }
            answered.append((exchange, 200))
        recorder.record_all(answered)
        made += len(batch)
        if len(shelf.events) == PAGE or made == count:
            yield shelf.events
            shelf.events = []
    predictor.close()

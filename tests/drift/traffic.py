"""Predictions drawn from the reference model's cohort, shifted where a test wants it, and stored for real."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from tests.logs_pipeline.events import prediction

from vigie.drift.counting import counted
from vigie.drift.judgement import Counted
from vigie.drift.window import instant
from vigie.indices.mappings import MESSAGE
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.pipeline import run_once
from vigie.model import cohort
from vigie.model.decision import given_positions
from vigie.model.model_loader import LoadedModel, load_model
from vigie.model.reference_profile import ReferenceProfile, read_reference
from vigie.schema import FeatureSchema, Value
from vigie.settings import Settings
from vigie.telemetry.stream.stream import Record, Stream

PRODUCERS = ("5b1a3c1e-0000-4000-8000-00000000000a", "5b1a3c1e-0000-4000-8000-00000000000b")
Row = dict[str, Value]
Change = Callable[[Row, np.random.Generator], Row]


@cache
def model_of(package: Path) -> LoadedModel:
    """The package, loaded once."""
    return load_model(package)


@cache
def reference_of(package: Path) -> ReferenceProfile:
    """Its reference profile."""
    return read_reference(package)


def unchanged(row: Row, _: np.random.Generator) -> Row:
    """The row as it is."""
    return row


def older_and_more_tired(row: Row, chance: np.random.Generator) -> Row:
    """AGE is 8 years more, FATIGUE 25 points more frequent."""
    tired = row["FATIGUE"] or chance.random() < 0.25 / (1 - 0.66)
    return {**row, "AGE": min(120, int(row["AGE"]) + 8), "FATIGUE": int(tired)}


def older_by(deviations: float) -> Change:
    """AGE is so many standard deviations (8.4 years) more, rounded at random."""

    def change(row: Row, chance: np.random.Generator) -> Row:
        return {**row, "AGE": min(120, int(int(row["AGE"]) + deviations * 8.4 + chance.random()))}

    return change


def rows(schema: FeatureSchema, count: int, seed: int, change: Change = unchanged) -> list[Row]:
    """Draw records of the cohort."""
    chance = np.random.default_rng(seed)
    return [change(dict(row), chance) for row in cohort.draw(schema, count, seed)[0]]


def answers(package: Path, records: list[Row]) -> tuple[list[str], list[float]]:
    """Return label and P(positive class) of each record."""
    model = model_of(package)
    found = model.predict_proba(model.features(records))
    target = model.schema.target
    labels = [target.classes[position] for position in given_positions(found, target.threshold)]
    return labels, found[:, 1].tolist()


def window_of(package: Path, records: list[Row]) -> Counted:
    """Return the counts of the records and of what the model answers to them."""
    return counted(reference_of(package), records, *answers(package, records))


def events(
    package: Path, records: list[Row], begin: datetime, *, numbers: int = 1, tied: int = 7
) -> list[tuple[str, int, dict[str, Any]]]:
    """Return (producer, number, event) of a prediction per record, every 10 ms; `tied` share one instant.

    Two producers take turns, so that neither time nor number alone tells the order.
    """
    labels, probabilities = answers(package, records)
    found = []
    for position, (record, label, p) in enumerate(zip(records, labels, probabilities, strict=True)):
        at = begin + timedelta(milliseconds=10 * (position // tied))
        result = {"prediction": int(label == "YES"), "label": label, "probability": p, "confidence": p}
        number = numbers + position // 2
        event = prediction(number, input_data=record, result=result)
        found.append((PRODUCERS[position % 2], number, {**event, "timestamp": instant(at)}))
    return found


def refused(number: int, at: datetime, *errors: Mapping[str, str]) -> tuple[str, int, dict[str, Any]]:
    """Return a refused request with the reasons given."""
    event = prediction(
        number, status="refused", status_code=422, input_data=None, result=None, errors=list(errors)
    )
    return PRODUCERS[0], number, {**event, "timestamp": instant(at)}


def store(settings: Settings, found: list[tuple[str, int, dict[str, Any]]]) -> None:
    """Send events through stream and pipeline into the store, and let them be seen."""
    stream = Stream.open(settings.redis)
    stream.ensure_group()
    for producer in PRODUCERS:
        own = [Record(number, orjson.dumps(event)) for name, number, event in found if name == producer]
        for start in range(0, len(own), 500):
            stream.write(producer, own[start : start + 500])
    assert run_once(settings).complete
    refresh(settings)


def refresh(settings: Settings) -> None:
    """Let everything stored so far be seen."""
    with connect_store(settings.store) as client:
        client.indices.refresh(index=f"{settings.store.es_index_prefix}{MESSAGE}")

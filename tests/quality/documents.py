"""Predictions and their outcomes as documents of the store, drawn from the reference model's cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch.helpers import bulk
from tests.drift.traffic import Change, answers, unchanged

from vigie.drift.window import instant
from vigie.indices.mappings import MESSAGE
from vigie.indices.store_client import connect_store
from vigie.model import cohort
from vigie.schema import FeatureSchema, Value
from vigie.settings import Settings

Json = dict[str, Any]
Truth = Callable[[int, np.random.Generator], int]
"""True class in the cohort → the outcome's class."""
LAG = timedelta(hours=5)
PRODUCER = "5b1a3c1e-0000-4000-8000-00000000000a"


@dataclass(frozen=True)
class Case:
    """A prediction and what became of it."""

    record: dict[str, Value]
    at: datetime
    label: str
    probability: float
    outcome: str | None
    """None: not known."""
    version: str = "1.0.0"


def as_it_was(position: int, _: np.random.Generator) -> int:
    """The outcome that the cohort has."""
    return position


def turned_in(share: float) -> Truth:
    """Another outcome than the cohort's, in a part of the cases: concept drift."""

    def truth(position: int, chance: np.random.Generator) -> int:
        return 1 - position if chance.random() < share else position

    return truth


def cases(
    package: Path,
    schema: FeatureSchema,
    count: int,
    begin: datetime,
    *,
    seed: int = 11,
    known: float = 1.0,
    change: Change = unchanged,
    truth: Truth = as_it_was,
) -> list[Case]:
    """Return `count` predictions, one a minute, of which a part is `known`."""
    chance = np.random.default_rng(seed)
    drawn, labels = cohort.draw(schema, count, seed)
    records = [change(dict(row), chance) for row in drawn]
    classes = schema.target.classes
    found = []
    for number, (record, label, p) in enumerate(zip(records, *answers(package, records), strict=True)):
        outcome = classes[truth(classes.index(labels[number]), chance)] if chance.random() < known else None
        found.append(Case(record, begin + timedelta(minutes=number), label, p, outcome))
    return found


def documents(found: list[Case]) -> Iterator[Json]:
    """Yield a prediction's document for each case, and one of feedback where its outcome is known."""
    for number, case in enumerate(found, start=1):
        model = {"name": "lung_cancer", "version": case.version, "runtime": "onnx"}
        position = int(case.label == "YES")
        result = {"prediction": position, "label": case.label, "probability": case.probability}
        asked: Json = {
            "transaction_id": f"01900000-0000-7000-8000-{number:012}",
            "producer": PRODUCER,
            "model": model,
            "input_data": case.record,
            "result": result,
        }
        at = {"@timestamp": instant(case.at), "number": number}
        yield {**asked, **at, "doc_type": "prediction", "status": "ok"}
        if case.outcome is not None:
            known = case.at + LAG
            yield {
                **asked,
                "@timestamp": instant(known),
                "number": 1_000_000 + number,
                "doc_type": "feedback",
                "outcome": {
                    "label": case.outcome,
                    "position": int(case.outcome == "YES"),
                    "at": instant(known),
                    "correction": False,
                    "joined": True,
                    "superseded": False,
                    "correct": case.outcome == case.label,
                    "lag_ms": LAG.total_seconds() * 1000,
                    "predicted_at": instant(case.at),
                },
            }


def store(settings: Settings, found: list[Json]) -> None:
    """Put documents into the index of their day, and let them be seen."""
    name = f"{settings.store.es_index_prefix}{MESSAGE}"
    actions = [
        {
            "_op_type": "create",
            "_index": f"{name}-{one['@timestamp'][:10].replace('-', '.')}",
            "_id": f"{one['producer']}-{one['number']}",
            "_source": one,
        }
        for one in found
    ]
    with connect_store(settings.store, timeout=60) as client:
        bulk(client, actions)
        client.indices.refresh(index=name)

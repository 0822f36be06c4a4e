"""Requests made of rows: single predictions, batches, bad ones, page views."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from vigie.schema import FeatureSchema
from vigie.simulation.rows import Row

BROWSED_PATHS: Final = ("/", "/model", "/model/schema", "/logs?limit=10", "/logs/stats", "/no-such-page")
PREDICT_PATHS: Final = ("/predict", "/predict", "/predict_proba")

Kind = Literal["predict", "batch", "bad", "browse"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `rows` are what it asks a prediction for."""

    kind: Kind
    method: str
    path: str
    body: bytes | None = None
    rows: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the requests that are not single predictions."""

    bad: float = 0.0
    batch: float = 0.0
    browse: float = 0.0
    batch_rows: int = 8


def requests(schema: FeatureSchema, rows: Iterator[Row], mix: Mix, seed: int) -> Iterator[Request]:
    """Yield requests for `rows` in turn, with the others of the `mix` between them."""
    chance = random.Random(f"requests {seed}")
    while True:
        kind = chance.random()
        if kind < mix.bad:
            yield Request("bad", "POST", "/predict", bad_body(schema, chance))
        elif kind < mix.bad + mix.browse:
            yield Request("browse", "GET", chance.choice(BROWSED_PATHS))
        else:
            wanted = mix.batch_rows if kind < mix.bad + mix.browse + mix.batch else 1
            taken = tuple(itertools.islice(rows, wanted))
            if not taken:
                return
            yield batch(taken) if wanted > 1 else prediction(taken[0], chance.choice(PREDICT_PATHS))


def prediction(row: Row, path: str = "/predict") -> Request:
    """Return the request for one row."""
    return Request("predict", "POST", path, orjson.dumps(row.record), (row,))


def batch(rows: Sequence[Row]) -> Request:
    """Return the request for several rows."""
    return Request("batch", "POST", "/predict/batch", orjson.dumps([row.record for row in rows]), rows)


def bad_body(schema: FeatureSchema, chance: random.Random) -> bytes:
    """Return a body that the API refuses: the faults that real clients make."""
    record: dict[str, object] = {**schema.example()}
    feature = chance.choice(schema.features)
    match chance.randrange(6):
        case 0:
            record[feature.name] = "a lot"
        case 1:
            record[feature.name] = None
        case 2:
            del record[feature.name]
        case 3:
            record["FAVOURITE_COLOUR"] = "blue"
        case 4:
            record[feature.name] = 2 * abs(int(feature.bounds[1] or 0)) + 3  # beyond any range
        case _:
            return orjson.dumps(record)[:-3]
    return orjson.dumps(record)

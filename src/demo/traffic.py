"""Sample traffic for a demonstration: requests drawn from the schema, most valid, some not.

A model trained on a known data set gets its held-out rows replayed; any other gets draws from its
simulated cohort.
"""

from __future__ import annotations

import csv
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from vigie.model.cohort import draw
from vigie.schema import Feature, FeatureSchema, Value

REQUESTS_PER_SECOND = 5.0
FAULTY_SHARE = 0.06
BATCH_SHARE = 0.04
BROWSING_SHARE = 0.05
BATCH_ROWS = 8
COHORT_ROWS = 500
HOLDOUT_FILE = "holdout.csv"
BROWSED_PATHS = ("/", "/model", "/model/schema", "/logs?limit=10", "/logs/stats", "/no-such-page")

Record = Mapping[str, Value]


@dataclass(frozen=True)
class Row:
    """A record, and for a held-out one its place in the file and its true label."""

    record: Record
    number: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Request:
    """One request of the traffic."""

    method: str
    path: str
    body: bytes | None = None
    rows: Sequence[Row] = ()


@dataclass
class Tally:
    """What became of the traffic so far."""

    answered: int = 0
    predictions: int = 0
    refused: int = 0
    failed: int = 0


def rows_of(schema: FeatureSchema, package: Path, seed: int) -> tuple[list[Row], bool]:
    """Return the rows to send and whether they are real held-out ones, to be replayed in order."""
    holdout = package / HOLDOUT_FILE
    if schema.data is not None and holdout.exists():
        with holdout.open(encoding="utf-8", newline="") as file:
            return [
                Row(
                    {feature.name: _parse(feature, line[feature.name]) for feature in schema.features},
                    number,
                    line[schema.target.name],
                )
                for number, line in enumerate(csv.DictReader(file))
            ], True
    records, _ = draw(schema, COHORT_ROWS, seed)
    return [Row(record) for record in records], False


def requests(schema: FeatureSchema, rows: Sequence[Row], seed: int) -> Iterator[Request]:
    """Yield requests without end: the rows in turn, with faulty ones, batches and page views between."""
    chance = random.Random(seed)
    supply = itertools.cycle(rows)
    while True:
        kind = chance.random()
        if kind < FAULTY_SHARE:
            yield Request("POST", "/predict", faulty_body(schema, chance))
        elif kind < FAULTY_SHARE + BATCH_SHARE:
            batch = list(itertools.islice(supply, BATCH_ROWS))
            yield Request("POST", "/predict/batch", orjson.dumps([row.record for row in batch]), batch)
        elif kind < FAULTY_SHARE + BATCH_SHARE + BROWSING_SHARE:
            yield Request("GET", chance.choice(BROWSED_PATHS))
        else:
            row = next(supply)
            path = chance.choice(("/predict", "/predict", "/predict_proba"))
            yield Request("POST", path, orjson.dumps(row.record), (row,))


def faulty_body(schema: FeatureSchema, chance: random.Random) -> bytes:
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
            record[feature.name] = -1_000_000
        case _:
            return orjson.dumps(record)[:-3]
    return orjson.dumps(record)


def _parse(feature: Feature, text: str) -> Value:
    match feature.type:
        case "category":
            return text
        case "number":
            return float(text)
        case _:
            return int(float(text))


@dataclass
class Traffic:
    """Sends requests to the API at a steady mean rate, from a thread of its own.

    The transaction ids of held-out rows are written to `labels` (JSON lines of transaction_id, row,
    label) in the first pass over them, so that predictions can be joined with the truth.
    """

    url: str
    requests: Iterator[Request]
    labels: Path | None = None
    rate: float = REQUESTS_PER_SECOND
    seed: int = 0
    tally: Tally = field(default_factory=Tally)
    stop_event: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    _seen: set[int] = field(default_factory=set)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        if self.labels is not None:
            self.labels.parent.mkdir(parents=True, exist_ok=True)
            self.labels.unlink(missing_ok=True)
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait for the request on its way."""
        self.stop_event.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        chance = random.Random(self.seed)
        due = self.clock()
        with httpx.Client(base_url=self.url, timeout=10, trust_env=False) as client:
            for request in self.requests:
                due = max(due + chance.expovariate(self.rate), self.clock() - 1)
                if self.stop_event.wait(max(0.0, due - self.clock())):
                    return
                self.send(client, request)

    def send(self, client: httpx.Client, request: Request) -> None:
        """Send one request and count its answer; an API that is away counts as failed."""
        headers = {"content-type": "application/json"} if request.body is not None else {}
        try:
            answer = client.request(request.method, request.path, content=request.body, headers=headers)
        except httpx.HTTPError:
            self.tally.failed += 1
            return
        if answer.is_server_error:
            self.tally.failed += 1
        elif answer.is_client_error:
            self.tally.refused += 1
        else:
            self.tally.answered += 1
            if request.rows:
                try:
                    self._count_predictions(request.rows, answer.json())
                except (ValueError, KeyError, AttributeError, TypeError):
                    self.tally.failed += 1  # an answer, but not the API's

    def _count_predictions(self, rows: Sequence[Row], answer: Mapping[str, Any]) -> None:
        for row, result in zip(rows, answer.get("results", [answer]), strict=True):
            if "error" in result:
                self.tally.failed += 1
                continue
            self.tally.predictions += 1
            if self.labels is None or row.number is None or row.number in self._seen:
                continue
            self._seen.add(row.number)
            line = {"transaction_id": result["transaction_id"], "row": row.number, "label": row.label}
            with self.labels.open("ab") as file:
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

"""The demonstration's sample traffic: mostly predictions, some batches and page views, some bad requests.

A model trained on a known data set gets its held-out rows replayed; any other gets simulated rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import orjson

from vigie.schema import FeatureSchema
from vigie.settings import Settings
from vigie.simulation.requests import Mix, Request, requests
from vigie.simulation.rows import held_out_rows, source_for
from vigie.simulation.run import Result, Run
from vigie.simulation.timetable import arrivals

REQUESTS_PER_SECOND: Final = 5.0
SEED: Final = 7
MIX: Final = Mix(bad=0.06, batch=0.04, browse=0.05)


class Labels:
    """Writes the true labels of held-out rows beside the transaction ids of their predictions.

    JSON lines of transaction_id, row and label, in the first pass over the rows only, so that predictions
    can be joined with the truth. To be told by one user's thread.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: set[int] = set()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)

    def __call__(self, request: Request, results: Sequence[Result]) -> None:
        """Write what is new in the answer to one request."""
        for row, result in zip(request.rows, results, strict=True):
            if "error" in result or row.number is None or row.number in self._seen:
                continue
            self._seen.add(row.number)
            line = {"transaction_id": result["transaction_id"], "row": row.number, "label": row.label}
            with self._file.open("ab") as file:
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def sample_traffic(settings: Settings, schema: FeatureSchema, package: Path) -> Run:
    """Return the traffic for the model in `package`, to be started and stopped."""
    held_out = held_out_rows(schema, package)
    rows = itertools.cycle(held_out) if held_out else source_for(schema, settings).rows(SEED)
    planned: Iterator[tuple[float, Request]] = zip(
        arrivals(REQUESTS_PER_SECOND, SEED), requests(schema, rows, MIX, SEED), strict=False
    )
    labels = settings.api.vigie_home / "traffic" / f"{schema.name}.jsonl"
    return Run(settings.api.url, planned, heard=Labels(labels) if held_out else None)

"""Evidently's own data drift report over the same window, for those who want it; the extra `drift-report`.

Evidently wants rows, not counts: the window's are read from the store, the reference are the package's
held-out rows. Its verdicts are its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from vigie.drift.check import Period, Served
from vigie.drift.window import Predictions, Window
from vigie.errors import VigieError
from vigie.model.held_out_rows import held_out_records
from vigie.model.package import HOLDOUT
from vigie.schema import Value

MOST_ROWS: Final = 10_000
"""Rows that are read, the newest first."""
PAGE: Final = 1000


class EvidentlyError(VigieError):
    """Evidently is not installed, or there is nothing to show it."""


def write_evidently(
    predictions: Predictions, served: Served, package: Path, asked: int | Period, file: Path
) -> None:
    """Write Evidently's report to `file`: the newest `asked` predictions, or those of a period.

    Raises EvidentlyError when the extra is not installed or there are no rows, DriftError when the store
    fails.
    """
    try:
        import pandas as pd
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset
    except ImportError as error:
        raise EvidentlyError(
            f"Evidently is not there or does not run here ({error}): pip install 'vigie[drift-report]'"
        ) from error
    schema = served.schema
    window = asked.window if isinstance(asked, Period) else Window(())
    most = MOST_ROWS if isinstance(asked, Period) else min(asked, MOST_ROWS)
    now = list(records(predictions, window, most))
    if not now:
        raise EvidentlyError("there are no predictions to make a report of")
    reference = list(held_out_records(package / HOLDOUT, schema))
    numeric = [one.name for one in schema.features if one.type in {"integer", "number"}]
    categorical = [name for name in schema.names if name not in numeric]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
    tables = [
        Dataset.from_pandas(pd.DataFrame(rows, columns=list(schema.names)), data_definition=definition)
        for rows in (now, reference)
    ]
    Report([DataDriftPreset()]).run(*tables).save_html(str(file))


def records(predictions: Predictions, window: Window, most: int) -> Iterator[dict[str, Value]]:
    """Yield the inputs of a window's predictions, the newest first, at most so many. Raises DriftError."""
    after: dict[str, Any] = {}
    while most > 0:
        hits = predictions.search(
            size=min(PAGE, most),
            query={"bool": {"filter": [*predictions.clauses("ok"), *window.clauses]}},
            sort=[{"@timestamp": "desc"}, {"producer": "desc"}, {"number": "desc"}],
            source=["input_data"],
            track_total_hits=False,
            **after,
        )["hits"]["hits"]
        if not hits:
            return
        yield from (hit["_source"]["input_data"] for hit in hits)
        most -= len(hits)
        after = {"search_after": hits[-1]["sort"]}

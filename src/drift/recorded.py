"""The verdicts that the scheduled check has written: window by window, and since when a feature drifts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise, takewhile
from typing import Any, Final

from vigie.drift.check import Served
from vigie.drift.data_quality import refusals
from vigie.drift.judgement import judge
from vigie.drift.report import DriftReport
from vigie.drift.succession import place_of
from vigie.drift.window import Place, Predictions, Window
from vigie.telemetry.event import DRIFT

MOST_READ: Final = 1000
"""Verdicts that are looked at, the newest first: one per feature and window."""


@dataclass(frozen=True, slots=True)
class RecordedWindow:
    """A window that was judged."""

    number: int
    first: str
    """Time of its first prediction."""
    end: Place
    """Its last prediction."""
    rows: int
    drifted: tuple[str, ...]
    """Features with a verdict of drift."""
    alarmed: tuple[str, ...]


def recorded(predictions: Predictions) -> list[RecordedWindow]:
    """Return the newest judged windows of the model version, newest first. Raises DriftError."""
    model = predictions.model
    hits = predictions.search(
        size=MOST_READ,
        query={
            "bool": {
                "filter": [
                    {"term": {"doc_type": DRIFT}},
                    {"term": {"model.name": model.name}},
                    {"term": {"model.version": model.version}},
                    {"exists": {"field": "drift.window_end"}},
                ]
            }
        },
        sort=[{"@timestamp": "desc"}, {"producer": "desc"}, {"number": "desc"}],
        source=["drift"],
        track_total_hits=False,
    )["hits"]["hits"]
    figures = [hit["_source"]["drift"] for hit in hits]
    windows = list(_windows(figures))
    # The oldest one may have been cut in the middle.
    return windows[:-1] if len(hits) == MOST_READ and len(windows) > 1 else windows


def running(windows: Sequence[RecordedWindow], feature: str) -> list[RecordedWindow]:
    """Return the windows in a row, the newest first, that have a verdict of drift on `feature`."""
    following = all(one.number == other.number + 1 for one, other in pairwise(windows))
    known = windows if following else windows[:1]
    return list(takewhile(lambda window: feature in window.drifted, known))


def report_of(predictions: Predictions, served: Served, windows: Sequence[RecordedWindow]) -> DriftReport:
    """Return the report on the newest of `windows`, its predictions counted and judged again.

    The same predictions give the same verdicts; those that were erased since are missing. Raises DriftError.
    """
    newest, *before = windows
    window, earlier = _bounds(newest, before), None
    if before:
        earlier = refusals(predictions, _bounds(before[0], before[1:]), served.schema)
    counted = predictions.count(window)
    return DriftReport(
        model=predictions.model,
        reference_version=served.model.version,
        reference_rows=served.reference.rows,
        rows=counted.rows,
        first=Place(newest.first, "", 0),
        last=newest.end,
        judgements=judge(served.reference, counted, before[0].drifted if before else ()),
        quality=refusals(predictions, window, served.schema),
        quality_before=earlier,
    )


def _bounds(window: RecordedWindow, before: Sequence[RecordedWindow]) -> Window:
    """Return which predictions the window has: those behind the window before it, up to its own end."""
    if before and before[0].number == window.number - 1:
        return Window.between(before[0].end, window.end)
    since = {"range": {"@timestamp": {"gte": window.first}}}
    return Window((since, window.end.upto()))


def _windows(figures: Sequence[Mapping[str, Any]]) -> Iterator[RecordedWindow]:
    for cursor, found in groupby(figures, key=lambda one: str(one["window_end"])):
        verdicts = list(found)
        end = place_of(cursor)
        if end is None:
            continue
        yield RecordedWindow(
            number=int(verdicts[0]["window"]),
            first=str(verdicts[0]["window_first"]),
            end=end,
            rows=int(verdicts[0]["rows"]),
            drifted=tuple(one["feature"] for one in verdicts if one["verdict"] == "drift"),
            alarmed=tuple(one["feature"] for one in verdicts if one["alarm"]),
        )

"""Windows that follow one another: each prediction of a model version is in exactly one of them.

A window is closed once nothing older can still arrive; its verdict is one event per feature, and one for the
prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from vigie.drift.check import ROWS, Served
from vigie.drift.judgement import Judgement, judge, named
from vigie.drift.parts import parts
from vigie.drift.report import compared, shown_p
from vigie.drift.window import Place, Predictions, Window, instant
from vigie.model.reference_profile import Profile
from vigie.telemetry.drift_figures import DriftFigures
from vigie.telemetry.event import DRIFT, Event

MOST_BEHIND: Final = 10 * ROWS - 1
"""Predictions before the newest one that the very first check looks back on."""
MOST_FEATURES: Final = 1000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the windows of one model version are judged."""

    last: Place | None = None
    """The last prediction that was in a window; None: before the first."""
    window: int = 0
    """Number of the last window."""
    named: tuple[str, ...] = ()
    """Features with a verdict of drift in it."""

    @property
    def cursor(self) -> str:
        """Return the place as text; "" before the first window."""
        return "" if self.last is None else cursor_of(self.last)

    @classmethod
    def read(cls, cursor: str, window: str, names: str) -> Self:
        """Return the progress that was written as text."""
        return cls(place_of(cursor), int(window), tuple(names.split()))


@dataclass(frozen=True, slots=True)
class Finished:
    """A window that was judged."""

    progress: Progress
    """How far the windows are judged with it."""
    first: Place
    rows: int
    judgements: tuple[Judgement, ...]


def cursor_of(place: Place) -> str:
    """Return a place as text."""
    return f"{place.timestamp} {place.producer} {place.number}"


def place_of(cursor: str) -> Place | None:
    """Return the place that a text of `cursor_of` names; None for ""."""
    if not cursor:
        return None
    timestamp, producer, number = cursor.split(" ")
    return Place(timestamp, producer, int(number))


def begin(predictions: Predictions) -> Progress:
    """Return where to begin when nothing is remembered: behind the newest window in the store.

    Without any, some windows before the newest prediction. Raises DriftError.
    """
    model = predictions.model
    found = predictions.search(
        size=MOST_FEATURES,
        query={
            "bool": {
                "filter": [
                    {"term": {"doc_type": DRIFT}},
                    {"term": {"model.name": model.name}},
                    {"term": {"model.version": model.version}},
                ]
            }
        },
        sort=[{"@timestamp": "desc"}, {"producer": "desc"}, {"number": "desc"}],
        source=["drift"],
        track_total_hits=False,
    )["hits"]["hits"]
    figures = [hit["_source"]["drift"] for hit in found if _tells_of_a_window(hit["_source"])]
    if not figures:
        return Progress(last=predictions.newest(skip=MOST_BEHIND))
    newest = figures[0]
    same = [one for one in figures if one["window_end"] == newest["window_end"]]
    names = tuple(one["feature"] for one in same if one["verdict"] == "drift")
    return Progress(place_of(newest["window_end"]), int(newest["window"]), names)


def _tells_of_a_window(document: dict[str, Any]) -> bool:
    """Say whether a document tells of a window as ours do: programs may write events of this kind, too."""
    try:
        figures = document["drift"]
        told = figures["feature"], figures["verdict"], int(figures["window"])
        return all(told[:2]) and place_of(figures["window_end"]) is not None
    except (KeyError, TypeError, ValueError):
        return False


def next_window(
    predictions: Predictions, served: Served, progress: Progress, settled_until: datetime, rows: int = ROWS
) -> Finished | None:
    """Judge the window that follows; None while it is not full, or its last prediction not settled.

    Before `settled_until` no further prediction arrives. Raises DriftError.
    """
    last = predictions.following(progress.last, skip=rows - 1)
    if last is None or last.timestamp >= instant(settled_until):
        return None
    first = predictions.following(progress.last, skip=0)
    counted = predictions.count(Window.between(progress.last, last))
    judgements = judge(served.reference, counted, progress.named)
    following = Progress(last, progress.window + 1, named(judgements))
    return Finished(following, first or last, counted.rows, judgements)


def events_of(finished: Finished, served: Served) -> list[Event]:
    """Return the window's events, one for each feature and one for the prediction."""
    return [
        Event(
            timestamp=finished.progress.last.timestamp if finished.progress.last else "",
            level="WARNING" if one.alarm else "INFO",
            message=_message(one, finished),
            data={
                "kind": "drift",
                "model": {
                    "name": served.manifest.name,
                    "version": served.manifest.version,
                    "runtime": served.manifest.runtime.name,
                },
                "drift": _figures(one, finished, served),
            },
        )
        for one in finished.judgements
    ]


def _message(one: Judgement, finished: Finished) -> str:
    values = compared(one.reference, one.window)
    return (
        f"drift of {one.feature}: {one.words}; {values}, PSI {one.psi:.3f}, p {shown_p(one.p_value)}, "
        f"window {finished.progress.window} of {finished.rows} predictions"
    )


def _figures(one: Judgement, finished: Finished, served: Served) -> DriftFigures:
    figures: DriftFigures = {
        "feature": one.feature,
        "compared": one.compared,
        "verdict": "drift" if one.verdict == "drift" else "stable",
        "alarm": one.alarm,
        "psi": one.psi,
        "p_value": one.p_value,
        "adjusted_p_value": one.adjusted,
        "rows": finished.rows,
        "reference_rows": one.reference.rows,
        "window": finished.progress.window,
        "window_first": finished.first.timestamp,
        "window_last": finished.progress.last.timestamp if finished.progress.last else "",
        "window_end": finished.progress.cursor,
        "parts": parts(one.reference, one.window, whole=_is_whole(one, served)),
    }
    before, now = _mean(one.reference), _mean(one.window)
    if before is not None and now is not None:
        figures["reference_mean"], figures["window_mean"] = before, now
    if one.compared == "prediction":
        answers = served.reference.prediction.labels
        positive = answers.levels.index(served.schema.target.positive)
        figures["reference_share"] = answers.counts[positive] / answers.rows
    return figures


def _is_whole(one: Judgement, served: Served) -> bool:
    feature = served.schema.by_name.get(one.feature)
    return one.compared == "input" and feature is not None and feature.type == "integer"


def _mean(profile: Profile) -> float | None:
    """Return the mean of the values, of a 0/1 feature the share of 1; None where there is no such thing."""
    if profile.kind == "bins":
        return profile.mean
    if profile.levels != (0, 1) or not profile.rows:
        return None
    return profile.counts[1] / profile.rows


def alarms(judgements: Sequence[Judgement]) -> Iterator[str]:
    """Yield one line for each alarm."""
    for one in judgements:
        if one.alarm:
            yield f"drift of {one.feature}: {compared(one.reference, one.window)}, p {shown_p(one.p_value)}"

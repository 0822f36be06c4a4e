"""The check on demand: the newest window, by count or by time, judged together with the one before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from vigie.drift.data_quality import Refusals, refusals
from vigie.drift.judgement import Counted, judge, named
from vigie.drift.report import DriftReport
from vigie.drift.window import LARGEST_WINDOW, DriftError, Model, Place, Predictions, Window
from vigie.indices.store_client import connect_store
from vigie.model.package import Manifest, read_manifest
from vigie.model.reference_profile import ReferenceProfile, read_reference
from vigie.schema import FeatureSchema, load_schema
from vigie.settings import Settings

ROWS: Final = 500
"""Predictions in a window by count, unless said otherwise."""
NOTHING: Final = Refusals(0, 0, {}, 0)


@dataclass(frozen=True, slots=True)
class Served:
    """The package at MODEL_PATH: what drift is measured against."""

    schema: FeatureSchema
    manifest: Manifest
    reference: ReferenceProfile

    @property
    def model(self) -> Model:
        """Name and version under which its predictions are stored."""
        return Model(self.manifest.name, self.manifest.version)


@dataclass(frozen=True, slots=True)
class Period:
    """A window by time, from `since` on and before `until`, both with a time zone."""

    since: datetime
    until: datetime

    @property
    def window(self) -> Window:
        """The predictions of that time."""
        return Window.of_time(self.since, self.until)

    @property
    def before(self) -> Period:
        """The period of the same length that ends where this one begins."""
        length: timedelta = self.until - self.since
        return Period(self.since - length, self.since)


def read_served(package: Path) -> Served:
    """Read the package. Raises PackageError or SchemaError when it is not there or of another version."""
    return Served(load_schema(package), read_manifest(package), read_reference(package))


@contextmanager
def predictions_of(
    settings: Settings, served: Served, version: str | None = None, *, timeout: float = 30.0
) -> Iterator[Predictions]:
    """Yield the stored predictions of the served model, in another `version` where one is named."""
    model = Model(served.model.name, version or served.model.version)
    with connect_store(settings.store, timeout=timeout) as client:
        yield Predictions(client, settings.store, model, served.reference)


def check(predictions: Predictions, served: Served, asked: int | Period = ROWS) -> DriftReport:
    """Judge the newest `asked` predictions, or those of a period; raises DriftError when the store fails."""
    found = _by_time(predictions, asked) if isinstance(asked, Period) else _by_count(predictions, asked)
    windows = list(found)
    counted = [predictions.count(window) for window, _ in windows]
    quality = [refusals(predictions, window, served.schema) for window, _ in windows]
    if len(windows) > 1:
        before = named(judge(served.reference, counted[1]))
        return _report(predictions, served, counted[0], windows[0][1], before, quality)
    if windows:
        return _report(predictions, served, counted[0], windows[0][1], (), quality)
    return DriftReport(
        predictions.model, served.model.version, served.reference.rows, 0, None, None, (), NOTHING, None
    )


def _report(
    predictions: Predictions,
    served: Served,
    counted: Counted,
    ends: tuple[Place | None, Place | None],
    named_before: tuple[str, ...],
    quality: list[Refusals],
) -> DriftReport:
    return DriftReport(
        model=predictions.model,
        reference_version=served.model.version,
        reference_rows=served.reference.rows,
        rows=counted.rows,
        first=ends[0],
        last=ends[1],
        judgements=judge(served.reference, counted, named_before),
        quality=quality[0],
        quality_before=quality[1] if len(quality) > 1 else None,
    )


Bounded = tuple[Window, tuple[Place | None, Place | None]]


def _by_count(predictions: Predictions, rows: int) -> Iterator[Bounded]:
    """Yield the newest window of so many rows, then the one before it where there is any."""
    if not 1 <= rows <= LARGEST_WINDOW:
        most = f"{LARGEST_WINDOW:,} rows at most, not {rows:,}"
        raise DriftError(f"a window by count has {most}: ask by time instead")
    last = predictions.newest()
    for _ in range(2):
        if last is None:
            return
        after = predictions.newest(Window.between(None, last), skip=rows)
        window = Window.between(after, last)
        first = predictions.following(after, 0)
        yield window, (first, last)
        last = after


def _by_time(predictions: Predictions, period: Period) -> Iterator[Bounded]:
    for one in (period, period.before):
        yield one.window, predictions.span(one.window) or (None, None)

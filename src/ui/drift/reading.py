"""What the page on drift and quality asks the store: in threads, limited in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from vigie.errors import VigieError
from vigie.settings import Settings

if TYPE_CHECKING:
    from vigie.drift.check import Period, Served
    from vigie.drift.recorded import RecordedWindow
    from vigie.drift.report import DriftReport
    from vigie.drift.window import Predictions
    from vigie.quality.calibration import Bins
    from vigie.quality.recorded import RecordedQuality
    from vigie.quality.report import QualityReport

WindowChoice = Literal["recorded", "500", "2000", "1h", "24h", "7d"]
WINDOWS: Final[tuple[WindowChoice, ...]] = ("recorded", "500", "2000", "1h", "24h", "7d")
"""The newest window that the scheduled check has judged, the newest predictions, or those of a time."""
_LENGTHS: Final = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
_QUALITY: Final = timedelta(days=7)
"""What quality is judged over when the window is the scheduled check's, as that check does."""
THREADS: Final = 2
"""Checks under way at once, those of all visitors together."""
REQUEST_SECONDS: Final = 10.0
"""How long one request to the store may take."""
CHECK_SECONDS: Final = 30.0
"""How long a whole check may take."""
FROM_SCRATCH: Final = 500
"""Predictions looked at while no window has been judged."""

Found = TypeVar("Found")


class TooSlowError(VigieError):
    """A check did not end in time."""


@dataclass(frozen=True, slots=True)
class DriftFound:
    """What there is to say of drift."""

    served: Served
    report: DriftReport
    windows: Sequence[RecordedWindow]
    """The scheduled check's windows, newest first."""
    scheduled: bool
    """Whether the report is on the newest of them."""
    by_chance: dict[str, float]
    """Feature → PSI that 95 of 100 windows of this size stay below without a change."""


@dataclass(frozen=True, slots=True)
class QualityFound:
    """What there is to say of quality: as it was recorded, or as it was checked just now."""

    served: Served
    recorded: Sequence[RecordedQuality]
    report: QualityReport | None


class DriftReading:
    """Reads verdicts and checks anew; shared by all visitors."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="drift")
        self._lock = threading.Lock()
        self._package: Served | None = None
        self._held_out: Bins | None = None
        self._manifest_ns = 0

    async def drift(self, choice: WindowChoice) -> DriftFound:
        """Return what there is to say of the predictions of `choice`.

        Raises VigieError: the store is away or too slow, there is no trained package.
        """
        return await self._limited(lambda: self.drift_now(choice))

    async def quality(self, choice: WindowChoice) -> QualityFound:
        """Return what was recorded, or, of another choice, what a check finds now. Raises VigieError."""
        return await self._limited(lambda: self.quality_now(choice))

    async def quality_report(self, choice: WindowChoice) -> QualityReport:
        """Return the whole report on quality, the Brier score included. Raises VigieError."""
        return await self._limited(lambda: self._report(choice))

    def drift_now(self, choice: WindowChoice) -> DriftFound:
        """Do as `drift` does, in this thread."""
        from vigie.drift.check import check, predictions_of
        from vigie.drift.recorded import recorded, report_of

        served = self._served()
        with predictions_of(self._settings, served, timeout=REQUEST_SECONDS) as predictions:
            windows = recorded(predictions)
            if scheduled := choice == "recorded" and bool(windows):
                report = report_of(predictions, served, windows)
            else:
                report = check(predictions, served, _asked(choice))
        return DriftFound(served, report, windows, scheduled, _by_chance(report))

    def quality_now(self, choice: WindowChoice) -> QualityFound:
        """Do as `quality` does, in this thread."""
        from vigie.drift.check import predictions_of
        from vigie.quality.check import check
        from vigie.quality.recorded import recorded

        served = self._served()
        with predictions_of(self._settings, served, timeout=REQUEST_SECONDS) as predictions:
            if choice == "recorded":
                return QualityFound(served, recorded(predictions), None)
            period = _period(predictions, choice)
            held_out = self._held_out_of(served)
            report = check(predictions, served, period, held_out, "version", with_brier=False)
            return QualityFound(served, recorded(predictions), report)

    def _report(self, choice: WindowChoice) -> QualityReport:
        from vigie.drift.check import predictions_of
        from vigie.quality.check import check

        served = self._served()
        with predictions_of(self._settings, served, timeout=REQUEST_SECONDS) as predictions:
            period = _period(predictions, choice)
            return check(predictions, served, period, self._held_out_of(served), "version")

    def warm_up(self) -> None:
        """Load in a thread what judging needs: importing it takes a second that no visitor shall wait."""
        self._threads.submit(import_module, "scipy.stats")

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _limited(self, work: Callable[[], Found]) -> Found:
        job = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.wait_for(job, CHECK_SECONDS)
        except TimeoutError:
            raise TooSlowError(
                f"the check did not end within {CHECK_SECONDS:g} seconds: choose fewer predictions or a "
                "shorter time, or run `vigie drift`, which takes its time"
            ) from None

    def _served(self) -> Served:
        """Return the package at MODEL_PATH, read again when its manifest was written anew."""
        from vigie.drift.check import read_served
        from vigie.model.package import MANIFEST

        manifest = self._settings.model.model_path / MANIFEST
        written_ns = manifest.stat().st_mtime_ns if manifest.exists() else 0
        with self._lock:
            if self._package is None or written_ns != self._manifest_ns:
                self._package, self._manifest_ns = read_served(self._settings.model.model_path), written_ns
                self._held_out = None
            return self._package

    def _held_out_of(self, served: Served) -> Bins:
        """Return the held-out rows by score; the model is loaded for it, once, and let go."""
        from vigie.quality.held_out import held_out_scores

        with self._lock:
            if self._held_out is None:
                self._held_out = held_out_scores(self._settings.model.model_path, served.schema)
            return self._held_out


def _asked(choice: WindowChoice) -> int | Period:
    from vigie.drift.check import Period

    if choice in _LENGTHS:
        now = datetime.now(UTC)
        return Period(now - _LENGTHS[choice], now)
    return FROM_SCRATCH if choice == "recorded" else int(choice)


def _period(predictions: Predictions, choice: WindowChoice) -> Period:
    """Return the time that the predictions of `choice` are of."""
    from vigie.drift.check import Period

    now = datetime.now(UTC)
    since = now - _LENGTHS.get(choice, _QUALITY)
    if choice.isdigit():
        first = predictions.newest(skip=int(choice) - 1) or predictions.following(None, 0)
        if first is not None:
            since = datetime.fromisoformat(first.timestamp)
    return Period(since, now)


def _by_chance(report: DriftReport) -> dict[str, float]:
    from vigie.drift.effect_size import index_by_chance

    return {one.feature: index_by_chance(one.reference.cells, one.window.cells) for one in report.judgements}

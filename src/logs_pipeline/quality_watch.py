"""Judges the quality of the last days' predictions now and then, in one worker of the group at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from loguru import logger

from vigie.errors import VigieError
from vigie.logs_pipeline.guard import Guard
from vigie.settings import Settings
from vigie.telemetry.flusher import TELEMETRY_THREAD
from vigie.telemetry.stream.conclusions import Conclusions
from vigie.telemetry.stream.stream import Stream

if TYPE_CHECKING:
    from vigie.drift.check import Served
    from vigie.quality.calibration import Bins

PERIOD_SECONDS: Final = 60.0
LEAST_PREDICTIONS: Final = 50
"""Fewest predictions of which anything is said."""
SLOT: Final = timedelta(minutes=10)
"""There is one verdict for every ten minutes of the clock in which there is anything to judge."""
SPAN: Final = timedelta(days=7)
"""The predictions of so many days are judged together."""
ERROR: Final = 0.001
"""Share of sound models that one look may find fault with: the window slides, and a month has 4,000 looks."""


def _now() -> datetime:
    return datetime.now(UTC)


class QualityWatch(threading.Thread):
    """Writes a verdict on quality as an event, once per slot of the clock whoever looks.

    Event and slot are written in one step: a restart, or two workers at once, neither repeat nor lose it.
    """

    def __init__(
        self,
        settings: Settings,
        guard: Guard | None = None,
        *,
        period_seconds: float = PERIOD_SECONDS,
        now: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__(name=f"{TELEMETRY_THREAD}-quality", daemon=True)
        self._settings = settings
        self._guard = guard or Guard()
        self._period_seconds = period_seconds
        self._now = now
        self._stopping = threading.Event()
        self._told = ""
        self._package: Served | None = None
        self._manifest_ns = 0
        self._scores: Bins | None = None

    def run(self) -> None:
        """Look every period, until stopped."""
        while not self._stopping.wait(self._period_seconds):
            with self._guard.job("judging quality"):
                self.look()

    def stop(self) -> None:
        """End; what is being judged is not waited for."""
        self._stopping.set()

    def look(self) -> bool:
        """Judge where this slot has no verdict yet; return whether one was written. Raises redis.RedisError.

        Without a trained package or enough predictions, and while the store is away, there is nothing to do.
        """
        stream = Stream.open(self._settings.redis)
        try:
            with closing(stream.client):
                written = self._judge(Conclusions(stream.client, "quality", self._most_entries))
            self._told = ""
        except VigieError as error:
            if str(error) != self._told:  # once, not every period
                self._told = str(error)
                logger.info("quality is not judged: {}", self._told)
            return False
        return written

    @property
    def _most_entries(self) -> int:
        return self._settings.redis.redis_stream_max_entries

    def _judge(self, conclusions: Conclusions) -> bool:
        from vigie.drift.check import Period, predictions_of
        from vigie.quality.check import check
        from vigie.quality.recording import event_of

        now = self._now()
        slot = slot_of(now)
        served = self._served()
        subject = f"{served.manifest.name} {served.manifest.version}"
        remembered = conclusions.state(subject).get("cursor", "")
        if remembered >= slot:
            return False
        period = Period(now - SPAN, now)
        with predictions_of(self._settings, served, timeout=10.0) as predictions:
            if predictions.newest(period.window, skip=LEAST_PREDICTIONS - 1) is None:
                return False
            report = check(predictions, served, period, self._held_out(served), with_brier=False, error=ERROR)
        event = event_of(report, served, now)
        if conclusions.conclude(subject, after=remembered, cursor=slot, events=[event]) != "done":
            return False  # somebody else did it, or the stream is full: later again
        if report.alarmed:
            logger.warning("{}", event["message"])
        return True

    def _served(self) -> Served:
        """Return the package at MODEL_PATH, read again when its manifest was written anew."""
        from vigie.drift.check import read_served
        from vigie.model.package import MANIFEST

        manifest = self._settings.model.model_path / MANIFEST
        written_ns = manifest.stat().st_mtime_ns if manifest.exists() else 0
        if self._package is None or written_ns != self._manifest_ns:
            self._package, self._manifest_ns = read_served(self._settings.model.model_path), written_ns
            self._scores = None
        return self._package

    def _held_out(self, served: Served) -> Bins:
        """Return the held-out rows by score; the model is loaded for it, once, and let go."""
        from vigie.quality.held_out import held_out_scores

        if self._scores is None:
            self._scores = held_out_scores(self._settings.model.model_path, served.schema)
        return self._scores


def slot_of(now: datetime) -> str:
    """Return the slot of the clock that a time is in."""
    length = SLOT.total_seconds()
    return datetime.fromtimestamp(now.timestamp() // length * length, UTC).isoformat()

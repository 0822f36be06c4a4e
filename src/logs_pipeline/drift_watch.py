"""Judges each finished window of predictions, in one worker of the group at a time."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from loguru import logger

from vigie.errors import VigieError
from vigie.logs_pipeline.guard import Guard
from vigie.settings import Settings
from vigie.telemetry.flusher import TELEMETRY_THREAD
from vigie.telemetry.metrics.delivery import lag_ms
from vigie.telemetry.stream.conclusions import Conclusions
from vigie.telemetry.stream.keys import DRIFT_TURN
from vigie.telemetry.stream.stream import Stream

if TYPE_CHECKING:
    from vigie.drift.check import Served
    from vigie.drift.succession import Progress
    from vigie.drift.window import Predictions

PERIOD_SECONDS: Final = 10.0
GRACE_SECONDS: Final = 10.0
"""How much older than whatever is not indexed yet a window's last prediction is: events of several processes
come in no strict order, and the store shows new documents after a second. What comes later still (a process
was cut off from Redis for longer) is in no window of this watch."""
ROWS: Final = 500
"""Predictions in a window."""
MOST_WINDOWS: Final = 20
"""Windows judged in one turn; a watch that is far behind takes several."""
_TURN: Final = 0.9
"""Part of the period for which one worker's turn keeps the others from looking too."""


class DriftWatch(threading.Thread):
    """Looks every period for full windows, judges them, and writes what it found as events.

    The events and the cursor are written in one step: a restart, or two workers at once, neither repeat nor
    skip a window.
    """

    def __init__(
        self,
        settings: Settings,
        guard: Guard | None = None,
        *,
        period_seconds: float = PERIOD_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        rows: int = ROWS,
    ) -> None:
        super().__init__(name=f"{TELEMETRY_THREAD}-drift", daemon=True)
        self._settings = settings
        self._guard = guard or Guard()
        self._period_seconds = period_seconds
        self._grace_seconds = grace_seconds
        self._rows = rows
        self._stopping = threading.Event()
        self._told = ""
        self._served: Served | None = None
        self._manifest_ns = 0

    def run(self) -> None:
        """Look every period, until stopped."""
        while not self._stopping.wait(self._period_seconds):
            with self._guard.job("judging drift"):
                if self._my_turn():
                    self.look()

    def stop(self) -> None:
        """End; a window that is being judged is not waited for."""
        self._stopping.set()

    def look(self) -> int:
        """Judge the windows that are full; return how many. Raises redis.RedisError.

        Without a trained package, and while the store is away, there is nothing to do.
        """
        from vigie.drift.check import predictions_of

        stream = Stream.open(self._settings.redis)
        try:
            with closing(stream.client):
                served = self._package()
                with predictions_of(self._settings, served, timeout=10.0) as predictions:
                    judged = self._judge(stream, predictions, served)
            self._told = ""
        except VigieError as error:
            if str(error) != self._told:  # once, not every period
                self._told = str(error)
                logger.info("drift is not judged: {}", self._told)
            return 0
        return judged

    def _package(self) -> Served:
        """Return the package at MODEL_PATH, read again when its manifest was written anew."""
        from vigie.drift.check import read_served
        from vigie.model.package import MANIFEST

        path = self._settings.model.model_path
        manifest = path / MANIFEST
        written_ns = manifest.stat().st_mtime_ns if manifest.exists() else 0
        if self._served is None or written_ns != self._manifest_ns:
            self._served, self._manifest_ns = read_served(path), written_ns
        return self._served

    def _judge(self, stream: Stream, predictions: Predictions, served: Served) -> int:
        from vigie.drift.succession import alarms, events_of, next_window

        settings = self._settings.redis
        conclusions = Conclusions(stream.client, "drift", settings.redis_stream_max_entries)
        subject = f"{served.manifest.name} {served.manifest.version}"
        remembered, progress = self._progress(conclusions, subject, predictions)
        waiting = timedelta(milliseconds=lag_ms(stream), seconds=self._grace_seconds)
        settled_until = datetime.now(UTC) - waiting
        for judged in range(MOST_WINDOWS):
            if self._stopping.is_set():
                return judged
            finished = next_window(predictions, served, progress, settled_until, self._rows)
            if finished is None:
                return judged
            done = conclusions.conclude(
                subject,
                after=remembered,
                cursor=finished.progress.cursor,
                events=events_of(finished, served),
                kept={"window": str(finished.progress.window), "named": " ".join(finished.progress.named)},
            )
            if done != "done":  # somebody else did it, or the stream is full: later again
                return judged
            for line in alarms(finished.judgements):
                logger.warning("{}", line)
            progress = finished.progress
            remembered = progress.cursor
        return MOST_WINDOWS

    def _progress(
        self, conclusions: Conclusions, subject: str, predictions: Predictions
    ) -> tuple[str, Progress]:
        """Return the cursor that Redis remembers, and how far the windows are judged."""
        from vigie.drift.succession import Progress, begin

        state = conclusions.state(subject)
        if "cursor" in state:
            return state["cursor"], Progress.read(state["cursor"], state["window"], state["named"])
        return "", begin(predictions)

    def _my_turn(self) -> bool:
        stream = Stream.open(self._settings.redis)
        with closing(stream.client):
            turn_ms = int(self._period_seconds * _TURN * 1000)
            return bool(stream.client.set(DRIFT_TURN, "judging", nx=True, px=turn_ms))

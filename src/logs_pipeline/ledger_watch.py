"""Measures the ledger each minute, in one worker of the group at a time, for the reports and the alert."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import redis
from loguru import logger

from vigie.ledger.proof import LedgerError, verify
from vigie.ledger.report import Report
from vigie.logs_pipeline.guard import Guard
from vigie.settings import Settings
from vigie.telemetry.flusher import TELEMETRY_THREAD
from vigie.telemetry.ledger_figures import LedgerFigures
from vigie.telemetry.stream.keys import LEDGER_WATCH
from vigie.telemetry.stream.stream import connect

PERIOD_SECONDS: Final = 60.0
FIRST_SECONDS: Final = 10.0
"""When the ledger is measured first, so that nobody waits a minute before an empty panel."""
_TURN: Final = 0.9
"""Part of the period for which one worker's turn keeps the others from measuring too."""


class LedgerWatch(threading.Thread):
    """Keeps the last figures until a report takes them."""

    def __init__(
        self,
        settings: Settings,
        guard: Guard | None = None,
        *,
        period_seconds: float = PERIOD_SECONDS,
        measure: Callable[[Settings], Report] = verify,
    ) -> None:
        super().__init__(name=f"{TELEMETRY_THREAD}-ledger", daemon=True)
        self._settings = settings
        self._guard = guard or Guard()
        self._period_seconds = period_seconds
        self._measure = measure
        self._stopping = threading.Event()
        self._figures: LedgerFigures | None = None
        self._balanced = True

    def run(self) -> None:
        """Measure soon after the start, then every period, until stopped."""
        wait = min(FIRST_SECONDS, self._period_seconds)
        while not self._stopping.wait(wait):
            with self._guard.job("measuring the ledger"):
                self.look()
            wait = self._period_seconds

    def stop(self) -> None:
        """End; a measurement that runs is not waited for."""
        self._stopping.set()

    def take(self) -> LedgerFigures | None:
        """Return the figures measured since the last call; None when there are none."""
        figures, self._figures = self._figures, None
        return figures

    def look(self) -> None:
        """Measure now, when it is this worker's turn and everything can be counted."""
        try:
            if not self._my_turn():
                return
            report = self._measure(self._settings)
        except (LedgerError, redis.RedisError):  # the worker itself says that Redis is away
            return
        if not report.complete:  # without the store there is nothing to compare
            return
        self._figures = report.figures()
        if report.balanced != self._balanced:
            self._balanced = report.balanced
            if report.balanced:
                logger.info("the ledger balances again")
            else:
                logger.error("the ledger does not balance: {}", "; ".join(report.problems))

    def _my_turn(self) -> bool:
        client = connect(self._settings.redis)
        try:
            turn_ms = int(self._period_seconds * _TURN * 1000)
            return bool(client.set(LEDGER_WATCH, "measuring", nx=True, px=turn_ms))
        finally:
            client.close()

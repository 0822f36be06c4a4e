"""Measuring the ledger for GET /ledger: off the event loop, one measurement at a time, limited in time."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from vigie.api.problems import Problem
from vigie.ledger.proof import LedgerError, Report, verify
from vigie.settings import Settings

PART: Final = 0.8
"""Part of the request's time limit after which the measurement asks nothing more."""
RETRY: Final = {"retry-after": "5"}


class LedgerReader:
    """Answers /ledger; who asks while a measurement runs shares it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit_seconds = settings.api.request_timeout
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._running: asyncio.Future[Report] | None = None

    async def read(self) -> dict[str, Any]:
        """Return the ledger as `vigie verify --json` prints it.

        Raises Problem (503) when Redis is away or not used, or the time does not suffice. A store that is
        away is a problem in the answer: then nothing is proven.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().run_in_executor(self._thread, self._measure)
            self._running.add_done_callback(_seen)
        running = self._running
        await asyncio.wait([running], timeout=self._limit_seconds * (1 + PART) / 2)
        if not running.done():
            raise self._too_late()
        try:
            return running.result().as_dict()
        except LedgerError as error:
            raise Problem(503, str(error), headers=RETRY) from None

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _measure(self) -> Report:
        started, seconds = time.monotonic(), self._limit_seconds * PART
        report = verify(self._settings, seconds=seconds)
        if not report.complete and time.monotonic() - started >= seconds:
            raise LedgerError(str(self._too_late()))
        return report

    def _too_late(self) -> Problem:
        return Problem(
            503,
            f"The ledger could not be measured within {self._limit_seconds:g} seconds; ask again, or run "
            "`vigie verify`, which takes its time",
            headers=RETRY,
        )


def _seen(done: asyncio.Future[Report]) -> None:
    """Take note of a failure that nobody waits for any more."""
    if not done.cancelled():
        done.exception()

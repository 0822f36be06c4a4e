"""The demonstration's live line: predictions, indexed, backlog."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

import redis

from vigie.demo.traffic import Tally
from vigie.settings import Settings
from vigie.telemetry.stream import Stream

EVERY_SECONDS_ON_A_TERMINAL = 0.5
EVERY_SECONDS_IN_A_FILE = 10.0
ERASE_LINE = "\r\x1b[2K"


class LiveLine:
    """Shows how far events have come; one line rewritten in place on a terminal, now and then in a file."""

    def __init__(
        self,
        settings: Settings,
        tally: Tally | None,
        output: TextIO = sys.stdout,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = Stream.open(settings.redis, timeout=0.5) if settings.redis.log_to_redis else None
        self._tally = tally
        self._output = output
        self._clock = clock
        self._in_place = output.isatty()
        self._every = EVERY_SECONDS_ON_A_TERMINAL if self._in_place else EVERY_SECONDS_IN_A_FILE
        self._due = clock()

    def show(self) -> None:
        """Show the line when it is time."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + self._every
        line = self.text()
        self._output.write(f"{ERASE_LINE}{line}" if self._in_place else f"{line}\n")
        self._output.flush()

    def end(self) -> None:
        """Leave the line, so that what is printed next starts a new one."""
        if self._in_place:
            self._output.write("\n")
            self._output.flush()

    def text(self) -> str:
        """Return the line as it stands."""
        parts = []
        if self._tally is not None:
            tally = self._tally
            parts.append(f"predictions {tally.predictions:,}  refused {tally.refused}  failed {tally.failed}")
        if self._stream is not None:
            try:
                totals = self._stream.ledger.totals()
                parts.append(f"indexed {totals.indexed:,} events  backlog {totals.backlog:,}")
            except redis.RedisError:
                parts.append("Redis is away, events wait in the journals")
        return "  |  ".join(parts)

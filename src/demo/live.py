"""The demonstration's live line: predictions, indexed, backlog."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

import redis

from vigie.settings import Settings
from vigie.simulation.tally import Tally
from vigie.telemetry.stream.stream import Stream
from vigie.terminal import ChangingLine


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
        self._line = ChangingLine(self.text, output, clock)

    def show(self) -> None:
        """Show the line when it is time."""
        self._line.show()

    def end(self) -> None:
        """Leave the line, so that what is printed next starts a new one."""
        self._line.end()

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

"""The list `api_logs_in`, into which a program in any language pushes JSON events (LPUSH)."""

from __future__ import annotations

from typing import Final

from loguru import logger

from vigie.logs_pipeline.bridges.bridge import RENAMED, Step, step_of
from vigie.logs_pipeline.bridges.foreign_event import from_list
from vigie.telemetry.stream.admission import Admission

PAUSE_SECONDS: Final = 0.2


class ListBridge:
    """Moves events from the end of the list into the stream, oldest first; several may do so at once."""

    name = "list"

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.pause_seconds = PAUSE_SECONDS

    def step(self) -> Step:
        """Move up to 500 events. Raises redis.RedisError."""
        listed = self._admission.peek()
        if not listed:
            return Step()
        did = self._admission.admit_list([from_list(one) for one in listed])
        if did.renamed:
            logger.warning(RENAMED, did.renamed)
        return step_of(did, more=True)

    def waiting(self) -> int | None:
        """Return how many events the list holds. Raises redis.RedisError."""
        return self._admission.waiting()

    def close(self) -> None:
        """Nothing: it holds nothing."""

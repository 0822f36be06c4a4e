"""What every bridge has: a step that moves events, and words for what stands in its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from vigie.telemetry.stream.admission import Admitted

FULL: Final = (
    "the stream holds REDIS_STREAM_MAX_ENTRIES entries that are not indexed: foreign events wait where they "
    "are until the store takes documents"
)
RENAMED: Final = (
    "{} foreign events carried a producer and number that they cannot keep (of a producer that writes here "
    "itself, or too far beyond its highest): they are numbered by the bridge"
)


class BridgeError(Exception):
    """The source cannot be read now; the message says what is wrong and what to do."""

    def __init__(self, message: str, retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds
        """The shortest pause before the next attempt, where the source asked for one."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    taken: int = 0
    """Events gone from the source: admitted, or known."""
    more: bool = False
    """Whether there is more to move at once."""
    full: bool = False
    """Whether the stream has no room."""
    elsewhere: bool = False
    """Whether another process has the turn to read the source."""


class Bridge(Protocol):
    """Moves events from one source into the stream."""

    name: str
    pause_seconds: float
    """How long it rests when there is nothing to move."""

    def step(self) -> Step:
        """Move some events. Raises BridgeError, redis.RedisError."""

    def waiting(self) -> int | None:
        """Return how many events wait; None when the source does not say. Raises redis.RedisError."""

    def close(self) -> None:
        """Let go of what it holds."""


def step_of(did: Admitted, *, more: bool) -> Step:
    """Return the script's answer as a step."""
    return Step(did.taken, more=more and did.stopped != "full", full=did.stopped == "full")

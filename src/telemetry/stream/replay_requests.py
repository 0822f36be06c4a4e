"""Replays of dead letters: written down by whoever asks for one, done by a worker of the pipeline.

Only the pipeline filters and indexes, so the API cannot replay by itself; they meet in Redis. A replay stays
in its place until it has ended, so that another worker goes on with what a killed one began; doing a replay
twice stores and counts every event once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

import orjson
import redis

from vigie.telemetry.ids import iso_timestamp, new_producer_id
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.reader import text

ReplayState = Literal["waiting", "running", "done", "failed"]
LetterOutcome = Literal["indexed", "filtered", "failed", "left", "gone"]
"""indexed, filtered: the event's state now. failed: the letter stays, with one attempt more. left: it was not
decided. gone: somebody else decided."""
KEPT_SECONDS: Final = 86_400
MOST_WAITING: Final = 20
"""Replays that may wait at once."""
MOST_LETTERS: Final = 500
"""Letters that may be named in one replay."""
MOST_TOLD: Final = 20
"""Letters that are still there afterwards and told one by one."""


class TooManyReplaysError(Exception):
    """So many replays wait that another one changes nothing."""


@dataclass(frozen=True, slots=True)
class StillThere:
    """A letter that a replay did not close."""

    id: str
    outcome: LetterOutcome
    reason: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay that was asked for, and how far it is."""

    id: str
    letters: tuple[str, ...] | None
    """Ids of letters; None: all that wait when it begins."""
    asked_at: str
    state: ReplayState = "waiting"
    counts: dict[LetterOutcome, int] = field(default_factory=dict)
    """Letters by what became of them so far."""
    still_there: tuple[StillThere, ...] = ()
    problem: str = ""
    """Why it failed as a whole."""
    begun_times: int = 0
    """How many workers took it up and did not come to its end."""

    def begun(self, found: int) -> Replay:
        """Return it as a worker takes it up, `found` of its named letters being there.

        What a killed worker counted as closed stays counted; what it counted as failed or left is tried anew.
        """
        kept: dict[LetterOutcome, int] = {
            name: count for name, count in self.counts.items() if name in {"indexed", "filtered", "gone"}
        }
        lost = 0 if self.letters is None else len(self.letters) - found - sum(kept.values())
        if lost > 0:
            kept["gone"] = kept.get("gone", 0) + lost
        times = self.begun_times + 1
        return replace(self, state="running", counts=kept, still_there=(), begun_times=times)

    def put_back(self) -> Replay:
        """Return it as a worker leaves it that stops in good order."""
        return replace(self, begun_times=self.begun_times - 1)

    def counted(self, letter_id: str, outcome: LetterOutcome, reason: str) -> Replay:
        """Return it with one letter more."""
        counts = {**self.counts, outcome: self.counts.get(outcome, 0) + 1}
        told = self.still_there
        if outcome in {"failed", "left"} and len(told) < MOST_TOLD:
            told = (*told, StillThere(letter_id, outcome, reason))
        return replace(self, counts=counts, still_there=told)


class ReplayRequests:
    """Writes down and reads replays; every method raises redis.RedisError when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def ask(self, letters: Sequence[str] | None) -> Replay:
        """Write down that these letters (None: all that wait) shall be replayed.

        Raises TooManyReplaysError while MOST_WAITING replays wait.
        """
        if int(self._client.llen(keys.REPLAYS)) >= MOST_WAITING:
            raise TooManyReplaysError
        named = None if letters is None else tuple(dict.fromkeys(letters))
        asked = Replay(new_producer_id(), named, iso_timestamp(time.time_ns()))
        with self._client.pipeline() as pipe:
            pipe.set(keys.replay_key(asked.id), _written(asked), ex=KEPT_SECONDS)
            pipe.rpush(keys.REPLAYS, asked.id)
            pipe.execute()
        return asked

    def get(self, replay_id: str) -> Replay | None:
        """Return a replay; None when there was none of that id within a day."""
        stored: Any = self._client.get(keys.replay_key(replay_id))
        return None if stored is None else _read(stored)

    def next(self) -> Replay | None:
        """Return the oldest replay that has not ended; None when there is none."""
        while stored := self._client.lindex(keys.REPLAYS, 0):
            replay_id = text(stored)
            if (found := self.get(replay_id)) is not None:
                return found
            self._client.lrem(keys.REPLAYS, 1, replay_id)  # it waited for longer than it is kept
        return None

    def note(self, replay: Replay) -> None:
        """Write down how far it is."""
        self._client.set(keys.replay_key(replay.id), _written(replay), ex=KEPT_SECONDS)

    def close(self, replay: Replay) -> None:
        """Write down how it ended, and take it from those that wait."""
        with self._client.pipeline() as pipe:
            pipe.set(keys.replay_key(replay.id), _written(replay), ex=KEPT_SECONDS)
            pipe.lrem(keys.REPLAYS, 1, replay.id)
            pipe.execute()


def _written(replay: Replay) -> bytes:
    return orjson.dumps(asdict(replay))


def _read(stored: bytes) -> Replay:
    content = orjson.loads(stored)
    named = content["letters"]
    told = tuple(StillThere(**one) for one in content["still_there"])
    return Replay(**{**content, "letters": None if named is None else tuple(named), "still_there": told})

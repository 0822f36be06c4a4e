"""Carries out the replays of dead letters that were asked for, in one worker of the group at a time."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from dataclasses import replace
from typing import Final

import redis
from loguru import logger
from redis.exceptions import LockError
from redis.lock import Lock

from vigie.errors import VigieError
from vigie.logs_pipeline import dead_letters
from vigie.logs_pipeline.guard import Guard
from vigie.settings import Settings
from vigie.telemetry.flusher import TELEMETRY_THREAD
from vigie.telemetry.stream.dead_letters import PAGE, DeadLetters
from vigie.telemetry.stream.keys import REPLAY_TURN
from vigie.telemetry.stream.replay_requests import Replay, ReplayRequests
from vigie.telemetry.stream.stream import connect

PERIOD_SECONDS: Final = 1.0
"""How often is looked: somebody waits for it."""
TURN_SECONDS: Final = 120
"""How long the turn of a worker that died lasts; letters of one page may wait half a minute for the store."""
STOP_SECONDS: Final = 2.0
MOST_BEGUN: Final = 2
"""A replay that so many workers began and did not end is given up: one of its events ends its workers."""
ENDS_WORKERS: Final = (
    "two workers ended while they replayed: one of the events ends its worker; replay the letters one by "
    "one, and discard that one"
)


class ReplayWatch(threading.Thread):
    """Looks every second whether a replay was asked for, and does it."""

    def __init__(
        self, settings: Settings, guard: Guard | None = None, *, period_seconds: float = PERIOD_SECONDS
    ) -> None:
        super().__init__(name=f"{TELEMETRY_THREAD}-replays", daemon=True)
        self._settings = settings
        self._guard = guard or Guard()
        self._period_seconds = period_seconds
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look every period, until stopped."""
        with closing(connect(self._settings.redis)) as client:
            while not self._stopping.wait(self._period_seconds):
                with self._guard.job("replaying dead letters"):
                    self.look(client)

    def stop(self) -> None:
        """End; a replay in hand is left to another worker after the letters that are with the store now."""
        self._stopping.set()
        if self.is_alive():
            self.join(STOP_SECONDS)

    def look(self, client: redis.Redis) -> int:
        """Carry out what was asked for; return how many replays ended. Raises redis.RedisError."""
        requests = ReplayRequests(client)
        if requests.next() is None:
            return 0
        turn = client.lock(REPLAY_TURN, timeout=TURN_SECONDS, blocking=False)
        if not turn.acquire():
            return 0
        ended = 0
        try:
            while not self._stopping.is_set() and (asked := requests.next()) is not None:
                ended += self._carry_out(asked, requests, DeadLetters(client), turn)
        except LockError:
            logger.info("another worker goes on with the replay of dead letters")
        finally:
            with suppress(LockError):  # it took longer than a turn lasts
                turn.release()
        return ended

    def _carry_out(self, asked: Replay, requests: ReplayRequests, letters: DeadLetters, turn: Lock) -> int:
        """Replay; return 1 when it ended, 0 when the stop came before. Raises LockError without the turn."""
        wanted = asked.letters
        named = None if wanted is None else [one for one in wanted if letters.get(one) is not None]
        state = asked.begun(len(named or ()))
        try:
            if asked.begun_times >= MOST_BEGUN:
                raise VigieError(ENDS_WORKERS)
            requests.note(state)
            found = () if named == [] else dead_letters.replay(self._settings, named)
            for done, one in enumerate(found, start=1):
                state = state.counted(one.letter.id, one.outcome, one.reason)
                turn.reacquire()
                requests.note(state)
                if done % PAGE == 0 and self._stopping.is_set():  # the letters of a page end together
                    requests.note(state.put_back())
                    return 0
            state = replace(state, state="done")
        except VigieError as error:
            state = replace(state, state="failed", problem=str(error))
        requests.close(state)
        said = ", ".join(f"{count} {outcome}" for outcome, count in state.counts.items()) or "nothing"
        logger.info("replay of dead letters {}: {}", state.state, state.problem or said)
        return 1

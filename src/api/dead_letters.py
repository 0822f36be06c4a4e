"""Dead letters for the API: read them, discard them, ask the pipeline to replay them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Final, TypeVar

import redis

from vigie.api.problems import Problem
from vigie.settings import RedisSettings
from vigie.telemetry.stream.dead_letters import DeadLetter, DeadLetters, Decision
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.replay_requests import ReplayRequests, TooManyReplaysError
from vigie.telemetry.stream.stream import connect

THREADS: Final = 2
SOCKET_SECONDS: Final = 2.0
DISCARD_SECONDS: Final = 5.0
"""Discarding is ended after that; what is left is told, and asking again goes on."""
RETRY: Final = {"retry-after": "5"}
NO_WORKER: Final = (
    "no worker of the pipeline runs: start one (`make pipeline-continuous`), and it is done then"
)

Answered = TypeVar("Answered")


class DeadLetterDesk:
    """Answers /pipeline; every call of Redis is in a thread of its own and limited in time."""

    def __init__(self, settings: RedisSettings) -> None:
        self._enabled = settings.log_to_redis
        self._address = "{}:{}".format(*settings.address)
        self._client = connect(settings, timeout=SOCKET_SECONDS)
        self._letters = DeadLetters(self._client)
        self._replays = ReplayRequests(self._client)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dead-letters")

    async def page(self, limit: int, before: str) -> dict[str, Any]:
        """Return {total, letters, next}, newest first, older than the letter `before` ("": from the newest).

        Events are left out. Raises Problem (503) when Redis is away.
        """

        def read() -> dict[str, Any]:
            found = self._letters.newest(limit + 1, before)
            shown = found[:limit]
            following = shown[-1].id if len(found) > limit else None
            return {"total": self._letters.count(), "letters": list(map(_line, shown)), "next": following}

        return await self._off_loop(read)

    async def letter(self, letter_id: str) -> dict[str, Any]:
        """Return one letter with its event. Raises Problem (404) when there is none of that id, (503)."""
        found = await self._off_loop(lambda: self._letters.get(letter_id))
        if found is None:
            raise Problem(
                404, f"No dead letter has the id {letter_id}; it may have been replayed or discarded"
            )
        return {**_line(found), "event": found.as_dict()["event"]}

    async def replay(self, ids: Sequence[str] | None) -> dict[str, Any]:
        """Ask the pipeline to replay the letters `ids` (None: all that wait), and return the replay.

        Raises Problem: 404 when a letter is not there, 503 when Redis is away or too many replays wait.
        """

        def ask() -> str:
            self._check(ids or ())
            return self._replays.ask(ids).id

        try:
            return await self.progress(await self._off_loop(ask))
        except TooManyReplaysError:
            raise Problem(503, "Too many replays wait for the pipeline already", headers=RETRY) from None

    async def progress(self, replay_id: str) -> dict[str, Any]:
        """Return how far a replay is. Raises Problem: 404 when there was none within a day, 503."""

        def read() -> dict[str, Any] | None:
            found = self._replays.get(replay_id)
            if found is None:
                return None
            waits = found.state == "waiting" and not statuses(self._client)
            shown = {"indexed": 0, "filtered": 0, "failed": 0, "left": 0, "gone": 0} | found.counts
            told = [asdict(one) for one in found.still_there]
            return {
                "id": found.id,
                "asked_at": found.asked_at,
                "state": found.state,
                "counts": shown,
                "still_there": told,
                "problem": NO_WORKER if waits else found.problem or None,
            }

        if (found := await self._off_loop(read)) is None:
            raise Problem(404, f"No replay has the id {replay_id}; they are kept for a day")
        return found

    async def discard(self, ids: Sequence[str] | None) -> dict[str, int]:
        """Throw away the letters `ids` (None: all that wait now); return how many, and how many wait still.

        Raises Problem: 404 when a letter is not there, 503 when Redis is away.
        """

        def throw_away() -> dict[str, int]:
            self._check(ids or ())
            ends = time.monotonic() + DISCARD_SECONDS
            discarded = 0
            for page in self._pages() if ids is None else [list(ids)]:
                discarded += sum(self._letters.decide([Decision(one, "discarded") for one in page]))
                if time.monotonic() > ends:
                    break
            return {"discarded": discarded, "waiting": self._letters.count()}

        return await self._off_loop(throw_away)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _pages(self) -> Iterator[list[str]]:
        return ([letter.id for letter in page] for page in self._letters.pages())

    def _check(self, ids: Sequence[str]) -> None:
        unknown = [one for one in ids if self._letters.get(one) is None]
        if unknown:
            raise Problem(404, f"No dead letter has the id {', '.join(unknown[:5])}; nothing was done")

    async def _off_loop(self, ask: Callable[[], Answered]) -> Answered:
        if not self._enabled:
            raise Problem(503, "LOG_TO_REDIS=false: events go to standard output, there are no dead letters")
        try:
            job = asyncio.get_running_loop().run_in_executor(self._threads, ask)
            return await asyncio.wait_for(job, DISCARD_SECONDS + SOCKET_SECONDS)
        except redis.RedisError as error:
            raise Problem(503, redis_fault(error).told(f"Redis at {self._address}"), headers=RETRY) from None
        except TimeoutError:
            raise Problem(503, f"Redis at {self._address} is too slow", headers=RETRY) from None


def _line(letter: DeadLetter) -> dict[str, Any]:
    """Return a letter without its event."""
    return {
        "id": letter.id,
        "producer": letter.producer,
        "number": letter.number,
        "reason": letter.reason,
        "failures": [asdict(failure) for failure in letter.failures],
        "stored": dict(letter.stored),
        "attempts": letter.attempts,
        "first_at": letter.first_at,
        "last_at": letter.last_at,
        "event_bytes": len(letter.event),
    }

"""A table's way through the API: in chunks, some at a time, with patience, and every row answered once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import httpx
import orjson
from loguru import logger

from vigie.telemetry.ids import new_instant
from vigie.ui.api_client import Answer, ApiFaultError
from vigie.ui.batch.records import Records
from vigie.ui.batch.results import Results, RowAnswer, answers_in
from vigie.ui.batch.table import Table
from vigie.ui.outcome import Failure

CHUNK_ROWS: Final = 1000
"""Most rows in one request, whatever BATCH_MAX_RECORDS allows: a lost answer makes so many come twice."""
AT_ONCE: Final = 2
"""Requests of one run under way at the same time: the API computes one while the next arrives."""
MOST_ATTEMPTS: Final = 6
"""For one chunk. With the waits between them the API may be away for about a minute."""
FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 30.0
AGAIN: Final = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed."""
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

Ask = Callable[..., Awaitable[Answer]]
State = Literal["waiting", "running", "stopping", "stopped", "failed", "done"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that are sent together: from `first` up to, not including, `last`."""

    first: int
    last: int
    id: str = field(default_factory=lambda: new_instant().id)
    """Sent as X-Request-ID with every attempt, so the log shows which belong together."""


@dataclass(slots=True)
class Patience:
    """What did not go smoothly, to be told."""

    waits: int = 0
    """Times the API was not there or busy, and was asked again."""
    lost_rows: int = 0
    """Rows of chunks whose answer was lost: the API may have predicted, and logged, them twice."""
    lost_chunks: list[str] = field(default_factory=list)


class Run:
    """Sends the rows of one table; belongs to one event loop. What a stopped run did stays done."""

    def __init__(self, table: Table, records: Records, ask: Ask, chunk_rows: int, chunk_bytes: int) -> None:
        """Send at most `chunk_rows` rows and `chunk_bytes` bytes in one request by `ask` (ApiClient.ask)."""
        self.results = Results()
        self.state: State = "waiting"
        self.failure: Failure | None = None
        """Why the API ended it."""
        self.patience = Patience()
        self._table = table
        self._records = records
        self._ask = ask
        self._most_bytes = chunk_bytes
        rows = min(chunk_rows, CHUNK_ROWS)
        count = len(table.rows)
        self._pending = deque(Chunk(first, min(first + rows, count)) for first in range(0, count, rows))
        self._started = 0.0
        self._seconds = 0.0
        self._hurry = asyncio.Event()

    @property
    def total(self) -> int:
        """Rows of the table."""
        return len(self._table.rows)

    @property
    def active(self) -> bool:
        """Whether rows are being sent."""
        return self.state in {"running", "stopping"}

    @property
    def seconds(self) -> float:
        """How long it has run, in all."""
        return self._seconds + (time.monotonic() - self._started if self.active else 0.0)

    @property
    def rows_per_second(self) -> float:
        """Rows answered, by second."""
        return self.results.summary.answered / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this rate; None before the first answer."""
        rate = self.rows_per_second
        return (self.total - self.results.summary.answered) / rate if rate > 0 else None

    def stop(self) -> None:
        """Send nothing more; what is under way is awaited, so that its answers are not lost."""
        if self.state == "running":
            self.state = "stopping"
            self._hurry.set()

    def prepare(self) -> None:
        """Be under way from now on; the call follows."""
        self.state, self.failure = "running", None
        self._hurry.clear()
        self._started = time.monotonic()

    async def __call__(self) -> None:
        """Send all rows that have no answer yet; returns when they have, it was stopped, or the API refused.

        Raises OSError, in a group, when the disk is full.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(self._work())
        finally:
            self._seconds += time.monotonic() - self._started
            self.state = "failed" if self.failure else "stopped" if self._pending else "done"

    async def _work(self) -> None:
        me = asyncio.current_task()
        while self._pending and self.state == "running" and not (me and me.cancelling()):
            chunk = self._pending.popleft()
            try:
                done = await self._settle(chunk)
            except BaseException:
                self._pending.appendleft(chunk)
                raise
            if not done:
                self._pending.appendleft(chunk)

    async def _settle(self, chunk: Chunk) -> bool:
        """Get and keep the answers to `chunk`, or cut it in two; say whether it need not come again."""
        body = await asyncio.to_thread(self._body, chunk)
        if len(body) > self._most_bytes and chunk.last - chunk.first > 1:
            middle = (chunk.first + chunk.last) // 2
            self._pending.extendleft([Chunk(middle, chunk.last), Chunk(chunk.first, middle)])
            return True
        answers = await self._answers(chunk, body)
        if answers is None:
            return False
        keeping = asyncio.ensure_future(asyncio.to_thread(self.results.keep, chunk.first, answers))
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:  # the thread goes on, and what it keeps must not come again
            await keeping
        return True

    def _body(self, chunk: Chunk) -> bytes:
        rows = self._table.rows.get(chunk.first, chunk.last)
        return orjson.dumps({"records": [self._records.of(cells) for _, cells in rows]})

    async def _answers(self, chunk: Chunk, body: bytes) -> Sequence[RowAnswer] | None:
        """Ask until there is an answer; None when it was stopped or the API will not answer."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                answer = await self._ask("POST", "/predict/batch", content=body, request_id=chunk.id)
                return await asyncio.to_thread(answers_in, answer.json, chunk.last - chunk.first)
            except ValueError as error:
                logger.warning("the answer to batch chunk {} is not one: {}", chunk.id, error)
                self._fail(_not_understood(chunk, str(error)))
                return None
            except ApiFaultError as error:
                if not self._worth_another(error) or attempt == MOST_ATTEMPTS:
                    self._fail(error.failure)
                    return None
                self._note(error, chunk)
                if not await self._wait(error, attempt):
                    return None
        return None

    def _worth_another(self, error: ApiFaultError) -> bool:
        return error.status is None or error.status in AGAIN

    def _note(self, error: ApiFaultError, chunk: Chunk) -> None:
        self.patience.waits += 1
        lost = error.status in {None, 502, 504} and not isinstance(error.__cause__, _NEVER_SENT)
        if lost and chunk.id not in self.patience.lost_chunks:
            self.patience.lost_chunks.append(chunk.id)
            self.patience.lost_rows += chunk.last - chunk.first

    async def _wait(self, error: ApiFaultError, attempt: int) -> bool:
        """Wait as the API asks, else longer each time; say whether to go on."""
        seconds = min(wait_seconds(error.headers.get("retry-after"), attempt), LONGEST_WAIT_SECONDS)
        try:
            await asyncio.wait_for(self._hurry.wait(), seconds)
        except TimeoutError:
            return self.state == "running"
        return False

    def _fail(self, failure: Failure) -> None:
        self.failure = self.failure or failure
        self.stop()


def wait_seconds(retry_after: str | None, attempt: int) -> float:
    """Return how long to wait after the `attempt`-th failure (from 1 on): as the API said, else doubling."""
    if retry_after is not None and retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    return FIRST_WAIT_SECONDS * 2.0 ** (attempt - 1)


def _not_understood(chunk: Chunk, reason: str) -> Failure:
    return Failure(
        title="failure.not_understood",
        what_happened="failure.said",
        what_to_do=("failure.report",),
        summary=reason,
        request_id=chunk.id,
        said=reason,
    )

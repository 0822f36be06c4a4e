"""Reading the stored logs: filters, pages and statistics over the stream, off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import redis

from vigie.api.problems import Problem
from vigie.settings import RedisSettings
from vigie.telemetry.parsed_event import as_text, event_in
from vigie.telemetry.stream.stream import Cleared, Stream, StreamEntry

PAGE_ENTRIES = 500
READ_SECONDS = 5.0
"""A search through the stream is given up after that; within the API's own time limit."""
SOCKET_SECONDS = 2.0
THREADS = 4

Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What GET /logs asks for."""

    limit: int = 100
    offset: int = 0
    level: str | None = None
    transaction_id: str | None = None
    after: str | None = None

    @property
    def filtered(self) -> bool:
        """Whether an entry has to be looked into to know if it matches."""
        return self.level is not None or self.transaction_id is not None


class TooLongError(Exception):
    """The search did not end in time."""


class LogReader:
    """Answers /logs; every call of Redis is in a thread of its own and limited in time."""

    def __init__(self, settings: RedisSettings) -> None:
        self._enabled = settings.log_to_redis
        self._address = "{}:{}".format(*settings.address)
        self._stream = Stream.open(settings, timeout=SOCKET_SECONDS)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="logs")

    async def search(self, query: LogQuery) -> dict[str, Any]:
        """Return {total, logs}. Raises Problem (503) when Redis is away, (422) when `after` is no id."""
        return await self._off_loop(partial(search, self._stream, query))

    async def statistics(self) -> dict[str, Any]:
        """Return the numbers of GET /logs/stats. Raises Problem (503) when Redis is away."""
        return await self._off_loop(partial(statistics, self._stream))

    async def clear(self, *, force: bool) -> Cleared:
        """Clear the stored logs. Raises Problem (503) when Redis is away, (409) when some are not indexed."""
        result = await self._off_loop(partial(self._stream.clear, force=force))
        if not result.done:
            raise Problem(
                409,
                f"{result.pending} of {result.stored} stored entries are not indexed yet, so nothing was "
                "cleared; wait for the pipeline, or repeat with force=true to count them as cleared",
                members={"stored": result.stored, "pending": result.pending},
            )
        return result

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._stream.client.close()

    async def _off_loop(self, read: Callable[[], Answered]) -> Answered:
        if not self._enabled:
            raise Problem(503, "LOG_TO_REDIS=false: events go to standard output, no logs are stored")
        try:
            job = asyncio.get_running_loop().run_in_executor(self._threads, read)
            return await asyncio.wait_for(job, READ_SECONDS + SOCKET_SECONDS)
        except redis.RedisError as error:
            raise Problem(
                503,
                f"Redis at {self._address} does not answer ({type(error).__name__}); "
                "new logs wait in the journal",
                headers={"retry-after": "5"},
            ) from None
        except (TooLongError, TimeoutError):
            raise Problem(
                503,
                f"The logs could not be searched within {READ_SECONDS:g} seconds; "
                "narrow the search with after",
                headers={"retry-after": "5"},
            ) from None


def search(stream: Stream, query: LogQuery, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """Return {total, logs}: newest first, or with `after` what is newer than it, oldest first.

    `total` counts everything that matches. Raises TooLongError.
    """
    if query.after is None and not query.filtered:
        return {"total": stream.length(), "logs": _plain_page(stream, query)}
    total, logs = 0, []
    for entry in _entries(stream, query.after, clock):
        event = _matching(entry, query)
        if event is None:
            continue
        if query.offset <= total < query.offset + query.limit:
            logs.append(_log(entry, event))
        total += 1
    return {"total": total, "logs": logs}


def statistics(stream: Stream, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """Return what the stream holds, by level and status, and what the ledger says. Raises TooLongError."""
    levels: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    newest = oldest = None
    total = 0
    for entry in _entries(stream, None, clock):
        event = _event(entry)
        timestamp = event.get("timestamp")
        newest = newest or timestamp
        oldest = timestamp or oldest
        total += 1
        levels[str(event.get("level"))] += 1
        data = event.get("data")
        if isinstance(data, dict) and "status" in data:
            statuses[str(data["status"])] += 1
    return {
        "total": total,
        "by_level": dict(levels),
        "by_status": dict(statuses),
        "oldest": oldest,
        "newest": newest,
        "backlog": stream.backlog(),
        "dead_letters": stream.dead_count(),
        "dropped": stream.ledger.totals().declared,
    }


def _plain_page(stream: Stream, query: LogQuery) -> list[dict[str, Any]]:
    logs: list[dict[str, Any]] = []
    skipped, before = 0, ""
    while len(logs) < query.limit:
        wanted = min(PAGE_ENTRIES, query.offset - skipped + query.limit - len(logs))
        page = stream.newest(wanted, before)
        if not page:
            break
        before = page[-1].id
        passed = min(len(page), query.offset - skipped)
        skipped += passed
        logs += [_log(entry, _event(entry)) for entry in page[passed:]]
    return logs


def _entries(stream: Stream, after: str | None, clock: Callable[[], float]) -> Iterator[StreamEntry]:
    end = clock() + READ_SECONDS
    position = after or ""
    while True:
        page = (
            stream.newest(PAGE_ENTRIES, position) if after is None else stream.after(position, PAGE_ENTRIES)
        )
        yield from page
        if len(page) < PAGE_ENTRIES:
            return
        position = page[-1].id
        if clock() > end:
            raise TooLongError


def _matching(entry: StreamEntry, query: LogQuery) -> dict[str, Any] | None:
    """Return the event of `entry` if it matches; only one that may match is parsed."""
    if query.transaction_id is not None and query.transaction_id.encode() not in entry.event:
        return None
    event = _event(entry)
    if query.level is not None and event.get("level") != query.level:
        return None
    if query.transaction_id is not None:
        data = event.get("data")
        if not isinstance(data, dict) or data.get("transaction_id") != query.transaction_id:
            return None
    return event


def _event(entry: StreamEntry) -> dict[str, Any]:
    """Return the event; what somebody else wrote and is none is shown as its text."""
    event = event_in(entry.event)
    return {"message": as_text(entry.event)} if event is None else event


def _log(entry: StreamEntry, event: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": entry.id,
        "timestamp": event.get("timestamp"),
        "level": event.get("level"),
        "message": event.get("message"),
        "data": event.get("data"),
    }

"""`/logs_api`: the stream's entries in pages, for programs that collect them over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Final

import redis
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from vigie.settings import Settings
from vigie.telemetry.parsed_event import as_text, event_in
from vigie.telemetry.stream.reader import checked_id
from vigie.telemetry.stream.stream import Stream, StreamEntry

ROLE: Final = "read-logs"
"""The role that /logs_api demands; every role is granted while AUTH_ENABLED is off."""
BEGINNING: Final = "0-0"
LARGEST_EVENT_BYTES: Final = 1024 * 1024
"""What is larger is shown cut one byte beyond it, as text."""
PAGE_BYTES: Final = 8 * 1024 * 1024
"""A page ends early when its events have more; there may be more entries though it is short."""


class LogsUnavailableError(Exception):
    """The entries cannot be read now; the message is the reason, fit for the caller."""


class NotPermittedError(Exception):
    """The caller does not have the role."""


class LogsQuery(BaseModel):
    """What a caller of `/logs_api` may ask."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: str = ""
    """Entries newer than this id, oldest first; empty: from the oldest."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Most entries in the answer."""
    consumer: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{0,64}$")] = ""
    """Name of a collector; with `after` it confirms that it has everything up to that id."""

    @field_validator("after")
    @classmethod
    def _entry_id(cls, value: str) -> str:
        return checked_id(value) if value else ""


class LogsPage(BaseModel):
    """One page of entries."""

    logs: list[dict[str, JsonValue]]
    """id, producer, number, timestamp, level, message, data; producer "" and number 0: nobody numbered it."""
    next: str
    """`after` of the next call."""
    oldest: str | None
    """Oldest entry that is there; a consumer's last confirmed entry is kept, so an oldest one beyond it says
    that entries it had not collected are gone."""


class LogsReader:
    """Reads pages of the stream; blocking, so it is called in threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stream = Stream.open(settings.redis)

    def page(self, query: LogsQuery) -> LogsPage:
        """Return the page that `query` asks for, after confirming what it confirms.

        A consumer that is new is noted at its first call, so that nothing is trimmed before it confirms.
        Raises NotPermittedError without the role, LogsUnavailableError when there is no Redis to read.
        """
        with self._readable():
            if query.consumer:
                self._confirm(query.consumer, query.after)
            oldest, entries = self._stream.page(query.after, query.limit)
        entries = within(entries, PAGE_BYTES)
        return LogsPage(
            logs=[_log(entry) for entry in entries],
            next=entries[-1].id if entries else query.after,
            oldest=oldest,
        )

    def newest(self, limit: int) -> list[dict[str, JsonValue]]:
        """Return up to `limit` entries as a page has them, newest first. Raises as `page` does."""
        with self._readable():
            entries = self._stream.newest(limit)
        return [_log(entry) for entry in within(entries, PAGE_BYTES)]

    def close(self) -> None:
        """Close the connections."""
        self._stream.client.close()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Say why the stream cannot be read, if it cannot."""
        if self._settings.security.auth_enabled:
            raise NotPermittedError(f"/logs_api needs the role {ROLE}")
        if not self._settings.redis.log_to_redis:
            raise LogsUnavailableError("LOG_TO_REDIS is false: events go to standard output, not to Redis")
        try:
            yield
        except redis.RedisError as error:
            host, port = self._settings.redis.address
            raise LogsUnavailableError(f"Redis at {host}:{port} does not answer") from error

    def _confirm(self, consumer: str, after: str) -> None:
        if after:
            self._stream.confirm(consumer, after)
        elif consumer not in self._stream.cursors():
            self._stream.confirm(consumer, BEGINNING)


def within(entries: Sequence[StreamEntry], most_bytes: int) -> list[StreamEntry]:
    """Return the first entries that have at most `most_bytes` together, and at least one."""
    size = 0
    found: list[StreamEntry] = []
    for entry in entries:
        size += min(len(entry.event), LARGEST_EVENT_BYTES)
        if found and size > most_bytes:
            break
        found.append(entry)
    return found


def _log(entry: StreamEntry) -> dict[str, JsonValue]:
    """The entry with its event's fields; what is no event, or too large to be one of ours, is its message,
    as text."""
    place: dict[str, JsonValue] = {"id": entry.id, "producer": entry.producer, "number": entry.number}
    event = event_in(entry.event) if len(entry.event) <= LARGEST_EVENT_BYTES else None
    if event is None:
        text = as_text(entry.event[: LARGEST_EVENT_BYTES + 1])
        event = {"timestamp": None, "level": None, "message": text, "data": {}}
    return place | {name: event.get(name) for name in ("timestamp", "level", "message", "data")}

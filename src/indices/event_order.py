"""The order of events in the store, newest first, and a place in it as a text that an address can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

CURSOR: Final = r"^[0-9]{1,19}-[0-9]{1,19}-([0-9a-f]{2}){1,384}$"
"""A place in the order: time in nanoseconds, number, and producer in hexadecimal."""
LARGEST: Final = 2**63 - 1
EARLIEST: Final = datetime(1971, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2261, 12, 31, tzinfo=UTC)
"""What the store's nanoseconds reach."""
NEWEST_FIRST: Final = ({"@timestamp": "desc"}, {"producer": "desc"}, {"number": "desc"})


def ordered() -> Iterator[dict[str, Any]]:
    """Yield the conditions that leave out what has no place: documents that somebody put there by hand."""
    yield {"exists": {"field": "producer"}}
    yield {"exists": {"field": "number"}}


def cursor(nanoseconds: int, producer: str, number: int) -> str:
    """Return the text for the place behind an event; `place` reads it."""
    return f"{nanoseconds}-{number}-{producer.encode().hex()}"


def place(given: str) -> tuple[int, str, int]:
    """Return what the store sorts by of a cursor that matches CURSOR."""
    nanoseconds, number, producer = given.split("-")
    name = bytes.fromhex(producer).decode("utf-8", "replace")
    return min(int(nanoseconds), LARGEST), name, min(int(number), LARGEST)


def between(since: datetime | None, until: datetime | None) -> Iterator[dict[str, Any]]:
    """Yield the condition on the time, from `since` on and before `until`; none when both are None."""
    times: Mapping[str, datetime | None] = {"gte": since, "lt": until}
    bounds = {way: instant(when) for way, when in times.items() if when is not None}
    if bounds:
        yield {"range": {"@timestamp": bounds}}


def instant(when: datetime) -> str:
    """Return a time as the store's documents have theirs; one without an offset is in UTC."""
    try:
        known = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        known = EARLIEST if when.year <= EARLIEST.year else LATEST
    return min(max(known, EARLIEST), LATEST).isoformat(timespec="microseconds").replace("+00:00", "Z")

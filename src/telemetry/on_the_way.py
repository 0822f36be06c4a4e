"""Finding an event by its transaction while it is on its way: in a journal of this host, or in the stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import redis

from vigie.telemetry.event import PREDICTION, REQUEST
from vigie.telemetry.journal.segment import Segment
from vigie.telemetry.parsed_event import event_in
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.stream import Stream, StreamEntry

Place = Literal["journal", "stream", "being indexed", "dead letter"]

PAGE: Final = 500
CLOCKS_APART_MS: Final = 5000
"""How far Redis's clock may be behind the one that made the id."""
NEWEST_LETTERS: Final = 100
"""Dead letters that are looked through for the reason."""


class SearchTooLongError(Exception):
    """The search did not end in time."""


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """An event that is not in the store, or not known to be there."""

    place: Place
    event: dict[str, Any]
    reason: str = ""
    """Why it is a dead letter; empty where that is not among the newest letters."""


def find_on_the_way(stream: Stream, home: Path, transaction_id: str, deadline: float) -> OnTheWay | None:
    """Return where the event of a transaction is; None when it is neither in a journal nor in the stream.

    `home` holds the journals. An id that is no UUID version 7, or of a time to come, is looked for nowhere.
    Raises SearchTooLongError after the monotonic time `deadline`, redis.RedisError.
    """
    made_ms = _made_ms(transaction_id)
    if made_ms is None or made_ms > time.time() * 1000 + CLOCKS_APART_MS:
        return None
    # In the order of its way, so that it cannot slip past.
    in_journal = _in_journals(home, transaction_id, deadline)
    try:
        return _in_stream(stream, transaction_id, made_ms, deadline) or in_journal
    except redis.RedisError:
        if in_journal is None:
            raise
        return in_journal


def _made_ms(transaction_id: str) -> int | None:
    """Return the milliseconds since 1970 in a UUID version 7; None when it is none."""
    digits = transaction_id.replace("-", "")
    return int(digits[:12], 16) if len(digits) == 32 and digits[12] == "7" else None


def _in_journals(home: Path, transaction_id: str, deadline: float) -> OnTheWay | None:
    mark = f'"transaction_id":"{transaction_id}"'.encode()
    for folder in sorted((home / "producers").glob("*/")):
        segments = list(_segments(folder))
        try:
            shipped = max((segment.shipped for segment in segments), default=0)
            for segment in segments:
                for record in segment.holding(mark, deadline):
                    event = _event_of(record.event, transaction_id)
                    if record.number > shipped and event is not None:
                        return OnTheWay("journal", event)
        except TimeoutError as error:
            raise SearchTooLongError from error
        finally:
            for segment in segments:
                segment.close()
    return None


def _segments(folder: Path) -> Iterator[Segment]:
    for path in sorted(folder.glob("*.segment")):
        try:
            segment = Segment.open(path)
        except FileNotFoundError:  # shipped meanwhile
            continue
        if segment is not None:
            yield segment


def _in_stream(stream: Stream, transaction_id: str, made_ms: int, deadline: float) -> OnTheWay | None:
    sought, position = transaction_id.encode(), f"{max(0, made_ms - CLOCKS_APART_MS)}-0"
    while True:
        page = stream.after(position, PAGE)
        for entry in page:
            event = _event_of(entry.event, transaction_id) if sought in entry.event else None
            if event is not None:
                return _settled(stream, entry, event)
        if len(page) < PAGE:
            return None
        if time.monotonic() > deadline:
            raise SearchTooLongError
        position = page[-1].id


def _event_of(text: bytes, transaction_id: str) -> dict[str, Any] | None:
    """Return the event in `text` when it is the transaction's own, not one that only mentions it."""
    event = event_in(text)
    data = event.get("data") if event is not None else None
    own = (
        isinstance(data, dict)
        and data.get("transaction_id") == transaction_id
        and data.get("kind") in {PREDICTION, REQUEST}
    )
    return event if own else None


def _settled(stream: Stream, entry: StreamEntry, event: dict[str, Any]) -> OnTheWay | None:
    """Return where an entry of the stream stands; None when it makes no document, on purpose."""
    chunk, bit = divmod(entry.number - 1, keys.CHUNK_SIZE)
    if not entry.number:
        return OnTheWay("stream", event)
    with stream.client.pipeline(transaction=True) as pipe:
        pipe.hexists(keys.folded_key(entry.producer), f"{chunk}:indexed")
        pipe.getbit(keys.bitmap_key(entry.producer, "settled", chunk), bit)
        pipe.getbit(keys.bitmap_key(entry.producer, "dead", chunk), bit)
        pipe.getbit(keys.bitmap_key(entry.producer, "filtered", chunk), bit)
        folded, settled, dead, filtered = pipe.execute()
    if dead:
        letters = stream.letters.newest(NEWEST_LETTERS)
        reason = next((letter.reason for letter in letters if letter.entry_id == entry.id), "")
        return OnTheWay("dead letter", event, reason)
    if filtered:
        return None
    return OnTheWay("being indexed" if settled or folded else "stream", event)

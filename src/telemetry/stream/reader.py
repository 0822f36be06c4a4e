"""Reading the stream without consuming it: pages, counts, dead letters, confirmed cursors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import redis

from vigie.telemetry.stream import keys
from vigie.telemetry.stream.dead_letters import DeadLetter, DeadLetters
from vigie.telemetry.stream.items import Gap, StreamEntry
from vigie.telemetry.stream.keys import GROUP, NUMBER_LIMIT, STREAM
from vigie.telemetry.stream.ledger_state import LedgerState, ProducerState
from vigie.telemetry.stream.number_set import NumberSet
from vigie.telemetry.stream.scripts import script

SCAN_PAGE: Final = 1000
MOST_LISTED: Final = 50_000
"""Numbers that are held as such; the others are bits, since a million in a list are forty megabytes."""
LONGEST_PRODUCER: Final = 128
LONGEST_NUMBER: Final = 20
"""Bytes of a producer's name: it is part of every document's id, of which the store takes 512."""


class StreamReader:
    """What `/logs`, `/logs_api`, health and the ledger read."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.ledger = LedgerState(client)
        self.letters = DeadLetters(client)
        self._waiting = script(client, "waiting")

    def backlog(self) -> int:
        """Return how many events are in the stream and not settled: Σ high − Σ declared − Σ settled."""
        return self.ledger.totals().backlog

    def length(self) -> int:
        """Return how many entries the stream holds, settled or not."""
        return int(self.client.xlen(STREAM))

    def newest(self, count: int, before: str = "") -> list[StreamEntry]:
        """Return up to `count` entries, newest first, older than the id `before` (default: from the newest).

        Raises ValueError when `before` is not an entry id.
        """
        end = f"({checked_id(before)}" if before else "+"
        return _entries(self.client.xrevrange(STREAM, max=end, min="-", count=count))

    def after(self, after: str, count: int) -> list[StreamEntry]:
        """Return up to `count` entries newer than the id `after` ("": from the oldest), oldest first.

        Raises ValueError when `after` is not an entry id.
        """
        start = f"({checked_id(after)}" if after else "-"
        return _entries(self.client.xrange(STREAM, min=start, max="+", count=count))

    def page(self, after: str, count: int) -> tuple[str | None, list[StreamEntry]]:
        """Return the id of the oldest entry there is, and what `after` returns, as of one instant."""
        start = f"({checked_id(after)}" if after else "-"
        with self.client.pipeline(transaction=True) as pipe:
            pipe.xrange(STREAM, count=1)
            pipe.xrange(STREAM, min=start, count=count)
            oldest, entries = pipe.execute()
        return (text(oldest[0][0]) if oldest else None), _entries(entries)

    def dead_count(self) -> int:
        """Return how many dead letters wait."""
        return self.letters.count()

    def dead_letters(self, count: int, before: str = "") -> list[DeadLetter]:
        """Return up to `count` dead letters, newest first, older than the id `before`."""
        return self.letters.newest(count, before)

    def declared(self) -> dict[str, list[Gap]]:
        """Return the declared gaps of each producer that has any."""
        return self.ledger.declared()

    def producers(self) -> list[ProducerState]:
        """Return every producer's state, counts measured in the bitmaps."""
        return self.ledger.producers()

    def waiting(self) -> dict[str, NumberSet]:
        """Return the numbers of each producer that are in the stream and not settled, by looking at each."""
        found: defaultdict[str, NumberSet] = defaultdict(NumberSet)
        listed: defaultdict[str, list[int]] = defaultdict(list)
        after = ""
        while True:
            last, *pairs = self._waiting(keys=[STREAM], args=[GROUP, after, SCAN_PAGE])
            if not last or sum(map(len, listed.values())) > MOST_LISTED:
                for name, numbers in listed.items():
                    found[name] |= NumberSet.of_numbers(numbers)
                listed.clear()
            if not last:
                return dict(found)
            after = text(last)
            for producer, number in zip(pairs[::2], pairs[1::2], strict=True):
                entry = parsed(after, {b"producer": producer, b"number": number})
                if entry.number:
                    listed[entry.producer].append(entry.number)

    def confirm(self, consumer: str, after: str) -> None:
        """Note that `consumer` of /logs_api has everything up to the id `after`.

        Raises ValueError when `after` is not an entry id.
        """
        self.client.hset(keys.CURSORS, consumer, checked_id(after))

    def cursors(self) -> dict[str, str]:
        """Return what each consumer of /logs_api confirmed last."""
        stored: Any = self.client.hgetall(keys.CURSORS)
        return {text(consumer): text(entry_id) for consumer, entry_id in stored.items()}

    def forget_cursor(self, consumer: str) -> bool:
        """Stop keeping entries for `consumer`; return whether it was known."""
        return bool(self.client.hdel(keys.CURSORS, consumer))


@dataclass(frozen=True, slots=True)
class Delivered:
    """Entries as a consumer gets them, and the ids of those whose content is gone."""

    entries: list[StreamEntry]
    gone: list[str]


def claimed(answer: Any) -> Delivered:
    """Parse the answer of a group read: [(stream, [(id, fields)])] or nothing."""
    pairs = [pair for _, page in answer or () for pair in page]
    return Delivered(
        entries=[parsed(text(entry_id), fields) for entry_id, fields in pairs if entry_id and fields],
        gone=[text(entry_id) for entry_id, fields in pairs if entry_id and not fields],
    )


def parsed(entry_id: str, fields: dict[bytes, bytes]) -> StreamEntry:
    """Return the entry; without a producer and a number in bounds it is nobody's: "" and 0."""
    producer, number = fields.get(b"producer", b""), fields.get(b"number", b"")
    value = int(number) if number.isdigit() and len(number) <= LONGEST_NUMBER else 0
    event = fields.get(b"event", b"")
    if 0 < len(producer) <= LONGEST_PRODUCER and 1 <= value < NUMBER_LIMIT:
        return StreamEntry(entry_id, producer.decode("utf-8", "replace"), value, event)
    return StreamEntry(entry_id, "", 0, event)


def checked_id(entry_id: str) -> str:
    """Return `entry_id` when it has the form of one ("1700000000000-0"); raises ValueError otherwise."""
    milliseconds, dash, sequence = entry_id.partition("-")
    if milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) <= 15:
        if not dash:
            return f"{milliseconds}-0"
        if sequence.isascii() and sequence.isdigit() and len(sequence) <= 15:
            return entry_id
    raise ValueError(f"{entry_id!r} is not the id of a log entry, such as 1700000000000-0")


def position(entry_id: str) -> tuple[int, int]:
    """Return an entry id as numbers, which order as the entries do."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def text(value: bytes | str) -> str:
    """Return what Redis answered as text."""
    return value if isinstance(value, str) else value.decode()


def _entries(answer: Any) -> list[StreamEntry]:
    pages: Iterable[tuple[bytes, dict[bytes, bytes]]] = answer
    return [parsed(text(entry_id), fields) for entry_id, fields in pages]

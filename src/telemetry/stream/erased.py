"""The ledger's record of events erased on request, and what of them is left in Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson
import redis

from vigie.telemetry.stream import keys
from vigie.telemetry.stream.items import StreamEntry
from vigie.telemetry.stream.reader import parsed, text
from vigie.telemetry.stream.scripts import script

Recorded = Literal["new", "known", "unsettled", "other"]
"""new: recorded now. known: recorded before. unsettled: on its way, nothing recorded. other: it keeps the
state that it has (filtered, cleared)."""

PAGE: Final = 500
UUID_LENGTH: Final = 36
EventId = tuple[str, int]
"""Producer and number."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event must carry to be erased: one of the transaction ids, or of the subject ids."""

    transactions: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()

    def of(self, event: bytes) -> bool:
        """Whether the event carries it; only one that may is parsed."""
        wanted = self.transactions | self.subjects
        if not any(form in event for one in wanted for form in _in_json(one)):
            return False
        try:
            data = orjson.loads(event)["data"]
            return data.get("transaction_id") in self.transactions or data.get("subject_id") in self.subjects
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            # no event: its text is looked at, for ids that cannot be part of anything else
            return any(one.encode() in event for one in self.transactions if len(one) >= UUID_LENGTH)


@dataclass(frozen=True, slots=True)
class Erasable:
    """An event to be recorded as erased."""

    producer: str
    number: int
    letter: str = ""
    """Id of its dead letter, which goes in the same step."""
    documents: Mapping[str, int] = field(default_factory=dict)
    """Physical index → documents it has there."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter of an event that is looked for; a stray has producer "" and number 0."""

    id: str
    entry_id: str
    """Its entry in the stream."""
    producer: str
    number: int


class ErasedRecord:
    """Records erasures; every method raises redis.RedisError when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._erase = script(client, "erase")

    def add(self, events: Sequence[Erasable]) -> list[Recorded]:
        """Record at most 500 events as erased, and take away their letters, in one step."""
        arguments: list[str | int] = [keys.PREFIX, keys.CHUNK_BITS]
        for one in events:
            arguments += (one.producer, one.number, one.letter, len(one.documents))
            for index, count in one.documents.items():
                arguments += (index, count)
        answer: list[Any] = self._erase(keys=[keys.DEAD_LETTERS, keys.TOTALS], args=arguments)
        return [text(said) for said in answer]  # type: ignore[misc]  # the script's own words

    def entries(self, subject: Subject) -> Iterator[StreamEntry]:
        """Yield the entries of the stream whose event carries the subject, looking at each."""
        after = ""
        while page := self._page(keys.STREAM, after):
            for entry_id, fields in page:
                if subject.of(fields.get(b"event", b"")):
                    yield parsed(entry_id, fields)
            after = page[-1][0]

    def letters(self, subject: Subject) -> Iterator[Letter]:
        """Yield the dead letters whose event carries the subject, looking at each."""
        after = ""
        while page := self._page(keys.DEAD_LETTERS, after):
            for letter_id, fields in page:
                if subject.of(fields.get(b"event", b"")):
                    number = fields.get(b"number", b"")
                    known = b"stray" not in fields and number.isdigit() and fields.get(b"producer")
                    producer = text(fields[b"producer"]) if known else ""
                    entry_id = text(fields.get(b"id", b""))
                    yield Letter(letter_id, entry_id, producer, int(number) if known else 0)
            after = page[-1][0]

    def settled(self, events: Sequence[EventId]) -> list[bool]:
        """Return for each event whether it is settled."""
        with self._client.pipeline(transaction=False) as pipe:
            for producer, number in events:
                chunk, bit = divmod(number - 1, 1 << keys.CHUNK_BITS)
                pipe.getbit(keys.bitmap_key(producer, "settled", chunk), bit)
                pipe.hexists(keys.folded_key(producer), f"{chunk}:indexed")
            answers = pipe.execute()
        return [bool(bit or folded) for bit, folded in zip(answers[::2], answers[1::2], strict=True)]

    def remove_entries(self, ids: Sequence[str]) -> int:
        """Delete settled entries from the stream; return how many there were."""
        known = [one for one in ids if one]
        return int(self._client.xdel(keys.STREAM, *known)) if known else 0

    def remove_letters(self, ids: Sequence[str]) -> int:
        """Delete letters of no producer's events; return how many there were."""
        return int(self._client.xdel(keys.DEAD_LETTERS, *ids)) if ids else 0

    def forget_changes(self, subject: Subject) -> int:
        """Delete what waits to be shown of letters that were closed; return how many carried the subject."""
        gone, after = 0, ""
        while page := self._page(keys.DEAD_CHANGES, after):
            ids = [change_id for change_id, fields in page if subject.of(fields.get(b"event", b""))]
            if ids:
                gone += int(self._client.xdel(keys.DEAD_CHANGES, *ids))
            after = page[-1][0]
        return gone

    def _page(self, stream: str, after: str) -> list[tuple[str, dict[bytes, bytes]]]:
        answer: Any = self._client.xrange(stream, min=f"({after}" if after else "-", count=PAGE)
        return [(text(entry_id), fields) for entry_id, fields in answer]


def _in_json(value: str) -> tuple[bytes, bytes]:
    """Return how the text may stand in an event, without its quotes: as it is, or all in ASCII."""
    return orjson.dumps(value)[1:-1], json.dumps(value)[1:-1].encode()

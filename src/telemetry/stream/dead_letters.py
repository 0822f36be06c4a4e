"""Dead letters: the events that were refused for good, and what an operator decided about them.

A letter is an entry of the Redis stream `api_dead`, written by the settle script together with the
event's state. Letters never change; what a failed replay adds is kept beside them. One script decides
(`decide.lua`): it removes the letter and moves the event in the ledger in the same step.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal

import orjson
import redis

from vigie.telemetry.ids import iso_timestamp
from vigie.telemetry.parsed_event import as_text, event_in
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.keys import DEAD_CHANGES, DEAD_LETTERS
from vigie.telemetry.stream.scripts import script

PAGE: Final = 100
"""Letters read at once: each holds its event, which may be large."""
SCAN_PAGE: Final = 1000
LetterState = Literal["waiting", "replayed", "discarded"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One document that the store refused."""

    index: str
    """Physical index."""
    id: str
    status: int
    """HTTP status of the document, or of the request when that was refused as a whole."""
    type: str
    """The store's type of error; empty when it gave none."""
    reason: str
    """The store's reason."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was refused for good."""

    id: str
    producer: str
    """Empty when the entry had none."""
    number: int
    """0 when the entry had none."""
    event: bytes
    """As it was read: JSON, or whatever somebody wrote there."""
    entry_id: str
    """Its entry in the stream; empty in a letter that somebody made by hand."""
    reason: str
    failures: tuple[Failure, ...]
    """Every document that was refused; none when the event never became documents."""
    stored: Mapping[str, int]
    """Physical index → documents of the event that are stored all the same."""
    attempts: int
    """Deliveries to a worker, further sendings of a document, and failed replays."""
    first_at: str
    """When the worker that gave it up had read it (UTC)."""
    last_at: str
    """When it was declared dead, or its last replay failed (UTC)."""
    stray: bool
    """It is in no producer's ledger."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values: the event as an object, or as its text where it is none."""
        parsed = event_in(self.event)
        event = as_text(self.event) if parsed is None else parsed
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return found | {"event": event, "failures": [asdict(failure) for failure in self.failures]}


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall become of a letter."""

    letter_id: str
    outcome: Literal["indexed", "filtered", "dead", "discarded"]
    """indexed, filtered: replayed, and this is the event's state now. dead: the replay failed."""
    documents: Mapping[str, int] = field(default_factory=dict)
    """Physical index → documents of the event that are stored there now."""
    reason: str = ""
    failures: Sequence[Failure] = ()


@dataclass(frozen=True, slots=True)
class LetterChange:
    """What became of a letter, not yet shown in ml-api-dead."""

    id: str
    """The change's own id."""
    letter_id: str
    state: LetterState
    letter: DeadLetter | None
    """The letter as it was when it was closed; None when it is still there."""
    closed_at: str


class DeadLetters:
    """Reads and decides; every method raises redis.RedisError when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._decide, self._scan = script(client, "decide"), script(client, "letters")

    def count(self) -> int:
        """Return how many letters wait."""
        return int(self.client.xlen(DEAD_LETTERS))

    def newest(self, count: int, before: str = "") -> list[DeadLetter]:
        """Return up to `count` letters, newest first, older than the id `before` ("": from the newest)."""
        answer: Any = self.client.xrevrange(DEAD_LETTERS, max=f"({before}" if before else "+", count=count)
        return self._letters(answer)

    def after(self, after: str, count: int = PAGE) -> list[DeadLetter]:
        """Return up to `count` letters newer than the id `after` ("": from the oldest), oldest first."""
        answer: Any = self.client.xrange(DEAD_LETTERS, min=f"({after}" if after else "-", count=count)
        return self._letters(answer)

    def get(self, letter_id: str) -> DeadLetter | None:
        """Return one letter; None when there is none of that id, or the text is no id at all."""
        try:
            answer: Any = self.client.xrange(DEAD_LETTERS, letter_id, letter_id)
        except redis.ResponseError as error:
            if "Invalid stream ID" in str(error):
                return None
            raise
        found = self._letters(answer)
        return found[0] if found and found[0].id == letter_id else None

    def pages(self) -> Iterator[list[DeadLetter]]:
        """Yield the letters that wait now, oldest first, page by page; later ones are left."""
        newest: Any = self.client.xrevrange(DEAD_LETTERS, count=1)
        if not newest:
            return
        start, end = "-", newest[0][0].decode()
        while page := self._letters(self.client.xrange(DEAD_LETTERS, start, end, PAGE)):
            yield page
            start = f"({page[-1].id}"

    def numbers(self) -> dict[str, list[int]]:
        """Return the event numbers of the letters that wait, by producer, looking at each; no strays."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        after = ""
        while True:
            answer = self._scan(keys=[DEAD_LETTERS], args=[after, SCAN_PAGE])
            last, *pairs = (text.decode() for text in answer)
            if not last:
                return dict(found)
            after = last
            for producer, number in zip(pairs[::2], pairs[1::2], strict=True):
                if producer and number.isdigit():
                    found[producer].append(int(number))

    def decide(self, decisions: Sequence[Decision]) -> list[bool]:
        """Carry out decisions (at most 500 a call); return for each whether its letter was still there.

        A letter that is replayed or discarded is gone afterwards; one whose replay failed stays, with one
        attempt more, the new reason and the time.
        """
        if not decisions:
            return []
        arguments: list[str | bytes | int] = [keys.PREFIX, keys.CHUNK_BITS, iso_timestamp(time.time_ns())]
        for one in decisions:
            failures = orjson.dumps([asdict(failure) for failure in one.failures])
            arguments += (one.letter_id, one.outcome, one.reason, failures, len(one.documents))
            for index, count in one.documents.items():
                arguments += (index, count)
        answer = self._decide(keys=[DEAD_LETTERS, DEAD_CHANGES, keys.TOTALS], args=arguments)
        return [bool(done) for done in answer]

    # For ml-api-dead, which shows the letters

    def changes(self, after: str, count: int = PAGE) -> list[LetterChange]:
        """Return up to `count` changes that ml-api-dead does not show yet, after the id `after`."""
        answer: Any = self.client.xrange(DEAD_CHANGES, min=f"({after}" if after else "-", count=count)
        return [_change(change_id.decode(), stored) for change_id, stored in answer]

    def show_again(self, letter_id: str) -> None:
        """Note that ml-api-dead does not show this letter as it is."""
        self.client.xadd(DEAD_CHANGES, {"letter": letter_id, "state": "waiting"})

    def forget_changes(self, ids: Sequence[str]) -> None:
        """Note that ml-api-dead shows these changes."""
        if ids:
            self.client.xdel(DEAD_CHANGES, *ids)

    def mirrored(self) -> str:
        """Return the id of the last letter that ml-api-dead has ("": none)."""
        stored: Any = self.client.get(keys.DEAD_MIRRORED)
        return stored.decode() if stored else ""

    def set_mirrored(self, letter_id: str) -> None:
        """Note that ml-api-dead has every letter up to this one."""
        self.client.set(keys.DEAD_MIRRORED, letter_id)

    def _letters(self, answer: Any) -> list[DeadLetter]:
        """Return the letters of a page, each with what failed replays added."""
        with self.client.pipeline(transaction=False) as pipe:
            for letter_id, _ in answer:
                pipe.hgetall(keys.letter_key(letter_id.decode()))
            newer = pipe.execute()
        return [
            _letter(letter_id.decode(), {**stored, **added})
            for (letter_id, stored), added in zip(answer, newer, strict=True)
        ]


def _letter(letter_id: str, stored: Mapping[bytes, bytes]) -> DeadLetter:
    """Parse a letter; what a letter made by hand lacks is empty."""
    known = {name.decode(): value for name, value in stored.items()}
    text = {name: value.decode("utf-8", "replace") for name, value in known.items() if name != "event"}
    return DeadLetter(
        id=letter_id,
        producer=text.get("producer", ""),
        number=_whole(text.get("number", ""), 0),
        event=known.get("event", b""),
        entry_id=text.get("id", ""),
        reason=text.get("reason", ""),
        failures=_failures(known.get("failures", b"")),
        stored=_counts(known.get("stored", b"")),
        attempts=_whole(text.get("attempts", ""), 1),
        first_at=text.get("first_at", ""),
        last_at=text.get("last_at", ""),
        stray="stray" in text,
    )


def _change(change_id: str, stored: Mapping[bytes, bytes]) -> LetterChange:
    letter_id = stored[b"letter"].decode()
    state: Any = stored[b"state"].decode()
    closed_at = stored.get(b"closed_at", b"").decode()
    letter = None if state == "waiting" else _letter(letter_id, stored)
    return LetterChange(change_id, letter_id, state, letter, closed_at)


def _whole(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() else default


def _failures(stored: bytes) -> tuple[Failure, ...]:
    found = _json(stored)
    if not isinstance(found, list):
        return ()
    names = ("index", "id", "status", "type", "reason")
    complete = (one for one in found if isinstance(one, dict) and set(names) <= set(one))
    return tuple(Failure(**{name: one[name] for name in names}) for one in complete)


def _counts(stored: bytes) -> dict[str, int]:
    found = _json(stored)
    if not isinstance(found, dict):
        return {}
    return {str(index): int(count) for index, count in found.items() if isinstance(count, int | float)}


def _json(stored: bytes) -> Any:
    try:
        return orjson.loads(stored)
    except orjson.JSONDecodeError:
        return None

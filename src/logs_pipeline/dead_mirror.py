"""Shows the dead letters in the store: ml-api-dead is a copy of what is in Redis, for dashboards and alerts.

New letters are found behind a cursor, and what became of them in a queue of changes; both stay until the
store has taken the documents, so it catches up after the store was away. Redis is the truth: nothing is
decided by what ml-api-dead says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
import redis
from elasticsearch import ApiError, Elasticsearch, TransportError
from loguru import logger
from redis.exceptions import LockError

from vigie.indices.routing import Epoch, Epochs, epoch_of, letters_index
from vigie.indices.store_client import connect_store, fault_of
from vigie.indices.verdicts import Fault, item
from vigie.settings import StoreSettings
from vigie.telemetry.ids import iso_timestamp
from vigie.telemetry.parsed_event import event_in
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.dead_letters import DeadLetter, DeadLetters, LetterState
from vigie.telemetry.stream.reader import position

PAGE: Final = 50
MOST_SECONDS: Final = 5.0
"""How long one round may take: the housekeeping has other things to do."""
TURN_SECONDS: Final = 60
"""How long the turn of a process that died lasts."""
REQUEST_SECONDS: Final = 5.0
UNPROCESSABLE: Final = "unprocessable"
"""Cause of a letter whose event never became documents."""
LATEST_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""
SHOWN_BYTES: Final = 64 * 1024
"""The event is cut there: the platform's own are smaller, and the letter has it whole."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A letter as it is to be shown, by which action."""

    letter: DeadLetter
    state: LetterState
    action: Literal["create", "index"]
    closed_at: str = ""
    change: str = ""
    """Id of the change that it shows."""


class LetterMirror:
    """Brings ml-api-dead up to date; any number of processes may try, one at a time does it."""

    def __init__(self, client: redis.Redis, settings: StoreSettings) -> None:
        self._client = client
        self._letters = DeadLetters(client)
        self._epochs = Epochs(client, settings)
        self._settings = settings

    def run(self, stop: threading.Event) -> int:
        """Show what is not shown yet, for a few seconds at most; return how many documents were written.

        A store that is away is left for the next time. Raises redis.RedisError.
        """
        if not self._letters.after(self._letters.mirrored(), 1) and not self._letters.changes("", 1):
            return 0
        turn = self._client.lock(keys.DEAD_MIRROR_TURN, timeout=TURN_SECONDS, blocking=False)
        if not turn.acquire():
            return 0
        try:
            with connect_store(self._settings, timeout=REQUEST_SECONDS) as store:
                work = _Round(store, self._letters, self._epochs.read(), self._settings, stop)
                work.show_new()
                work.show_changes()
        except (ApiError, TransportError) as error:
            logger.debug("ml-api-dead waits: {}", fault_of(error, self._settings.url).text)
        finally:
            with suppress(LockError):  # it took longer than a turn lasts
                turn.release()
        return work.written


class _Round:
    """One round of at most MOST_SECONDS."""

    def __init__(
        self,
        store: Elasticsearch,
        letters: DeadLetters,
        epochs: Sequence[Epoch],
        settings: StoreSettings,
        stop: threading.Event,
    ) -> None:
        self._store = store
        self._letters = letters
        self._epochs = epochs
        self._settings = settings
        self._stop = stop
        self._end = time.monotonic() + MOST_SECONDS
        self.written = 0

    @property
    def _time_left(self) -> bool:
        return not self._stop.is_set() and time.monotonic() < self._end

    def show_new(self) -> None:
        """Show letters beyond the cursor. One that the store cannot take now waits among the changes."""
        while self._time_left and (page := self._letters.after(self._letters.mirrored(), PAGE)):
            for shown in self._unwritten([Shown(letter, "waiting", "create") for letter in page]):
                self._letters.show_again(shown.letter.id)
            self._letters.set_mirrored(page[-1].id)

    def show_changes(self) -> None:
        """Show what became of letters; what the store cannot take now keeps its place."""
        after = ""
        while self._time_left and (changes := self._letters.changes(after, PAGE)):
            after = changes[-1].id
            shown = []
            for change in changes:
                letter = change.letter or self._letters.get(change.letter_id)
                if letter is not None:  # else it was closed since: a later change says so
                    shown.append(Shown(letter, change.state, "index", change.closed_at, change.id))
            left = {one.change for one in self._unwritten(shown)}
            self._letters.forget_changes([change.id for change in changes if change.id not in left])

    def _unwritten(self, shown: Sequence[Shown]) -> list[Shown]:
        """Write documents; return those to be tried another time. One that is refused for good is given up.

        Raises ApiError or TransportError when the store takes nothing.
        """
        left = []
        for one, fault in zip(shown, self._faults(shown), strict=True):
            if fault.ruling == "done":
                self.written += 1
            elif fault.ruling in {"dead", "too_large"}:
                logger.warning("ml-api-dead lacks letter {}: {}", one.letter.id, fault.text)
            else:
                left.append(one)
        return left

    def _faults(self, shown: Sequence[Shown]) -> list[Fault]:
        if not shown:
            return []
        try:
            answer = self._store.bulk(operations=self._operations(shown))
        except ApiError as error:
            fault = fault_of(error, self._settings.url)
            if fault.ruling not in {"too_large", "unclear"}:
                raise
            if len(shown) == 1:  # perhaps its own fault: the others go on
                return [fault]
            return [found for one in shown for found in self._faults([one])]
        items: Any = answer.body.get("items", ()) if isinstance(answer.body, dict) else ()
        if len(items) != len(shown):  # a proxy's answer, or half of one
            return [Fault("retry")] * len(shown)
        found = [next(iter(one.values())) for one in items]
        return [item(one["status"], one.get("error")) for one in found]

    def _operations(self, shown: Iterable[Shown]) -> list[Any]:
        lines: list[Any] = []
        for one in shown:
            index = letters_index(self._prefix(one.letter), _written_at(one.letter))
            lines.append(orjson.dumps({one.action: {"_index": index, "_id": one.letter.id}}))
            lines.append(orjson.dumps(document(one.letter, one.state, one.closed_at)))
        return lines

    def _prefix(self, letter: DeadLetter) -> str:
        """Return the prefix of the event's own indices: it holds for the letter's whole life."""
        try:
            return epoch_of(letter.entry_id, self._epochs).prefix
        except (LookupError, ValueError):
            return self._settings.es_index_prefix


def document(letter: DeadLetter, state: LetterState, closed_at: str = "") -> dict[str, Any]:
    """Return the document that shows `letter`; what it lacks is left out."""
    written_at = iso_timestamp(_written_ms(letter) * 1_000_000)
    known = {
        "@timestamp": letter.last_at or written_at,
        "doc_type": "dead",
        "state": state,
        "letter_id": letter.id,
        "entry_id": letter.entry_id,
        "producer": letter.producer,
        "number": letter.number,
        "transaction_id": _transaction_id(letter.event),
        "cause": _cause(letter),
        "reason": letter.reason,
        "failures": [asdict(failure) for failure in letter.failures],
        "first_at": letter.first_at,
        "last_at": letter.last_at,
        "closed_at": closed_at,
        "event": letter.event[:SHOWN_BYTES].decode("utf-8", "replace"),
    }
    always = {"attempts": letter.attempts, "event_bytes": len(letter.event)}
    return {name: value for name, value in known.items() if value} | always


def _cause(letter: DeadLetter) -> str:
    """Return the store's type of error for its first refusal, or UNPROCESSABLE: what a panel can count by."""
    if not letter.failures:
        return UNPROCESSABLE
    return letter.failures[0].type or f"status {letter.failures[0].status}"


def _written_at(letter: DeadLetter) -> datetime:
    return datetime.fromtimestamp(_written_ms(letter) / 1000, UTC)


def _written_ms(letter: DeadLetter) -> int:
    """Return when the letter was written, from its id; somebody's own id may be beyond any calendar."""
    return min(position(letter.id)[0], LATEST_MS)


def _transaction_id(event: bytes) -> str:
    data = (event_in(event) or {}).get("data")
    found = data.get("transaction_id") if isinstance(data, dict) else None
    return found if isinstance(found, str) else ""

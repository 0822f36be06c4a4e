"""What an operator decides about dead letters: replay them once the cause is gone, or discard them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import redis
from elasticsearch import ApiError, TransportError

from vigie.errors import VigieError
from vigie.indices.routing import Epochs, end_of, epoch_of
from vigie.indices.store_client import connect_store, fault_of
from vigie.logs_pipeline.breaker import CircuitBreaker
from vigie.logs_pipeline.dead_mirror import LetterMirror
from vigie.logs_pipeline.features import PresentFeatures
from vigie.logs_pipeline.filter import Context, Document, Dropped, PoisonError, documents_of
from vigie.logs_pipeline.indexer import Indexer, Job
from vigie.logs_pipeline.templates import Provisioner
from vigie.schema import load_schema
from vigie.settings import Settings
from vigie.telemetry.stream.dead_letters import DeadLetter, DeadLetters, Decision
from vigie.telemetry.stream.ledger_state import LedgerState
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import StreamEntry, Verdict, connect

PATIENCE_SECONDS: Final = 30.0
"""How long a replay waits for a store that takes nothing."""


class DeadLetterError(VigieError):
    """A letter that does not exist, or a Redis or store that does not do its part; says which."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one letter."""

    letter: DeadLetter
    outcome: Literal["indexed", "filtered", "failed", "left", "gone"]
    """indexed, filtered: the event's state now. failed: the letter stays, with one attempt more.
    left: not decided, the letter is as it was. gone: somebody else decided meanwhile."""
    reason: str = ""
    """Why it failed or was left."""

    @property
    def done(self) -> bool:
        """Whether the letter is gone."""
        return self.outcome in {"indexed", "filtered", "gone"}


@contextmanager
def open_letters(settings: Settings) -> Iterator[DeadLetters]:
    """Give the letters; raises DeadLetterError, in words, when Redis does not answer inside."""
    client = connect(settings.redis, timeout=10.0)
    try:
        yield DeadLetters(client)
    except redis.RedisError as error:
        host, port = settings.redis.address
        raise DeadLetterError(redis_fault(error).told(f"Redis at {host}:{port}")) from error
    finally:
        client.close()


def chosen(letters: DeadLetters, ids: Sequence[str]) -> list[DeadLetter]:
    """Return the letters of `ids`, each once. Raises DeadLetterError that names every unknown one."""
    found = {letter_id: letters.get(letter_id) for letter_id in dict.fromkeys(ids)}
    unknown = [letter_id for letter_id, letter in found.items() if letter is None]
    if unknown:
        raise DeadLetterError(
            f"no dead letter has the id {', '.join(unknown)}: `vigie pipeline dead list` shows them"
        )
    return [letter for letter in found.values() if letter is not None]


def discard(settings: Settings, ids: Sequence[str] | None) -> int:
    """Throw away the letters of `ids`, or all that wait now (None); return how many.

    Their events stay dead in the ledger. Raises DeadLetterError.
    """
    with open_letters(settings) as letters:
        pages = letters.pages() if ids is None else [chosen(letters, ids)]
        decisions = ([Decision(letter.id, "discarded") for letter in page] for page in pages)
        return sum(sum(letters.decide(page)) for page in decisions)


def replay(
    settings: Settings,
    ids: Sequence[str] | None,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    now: datetime | None = None,
) -> Iterator[Replayed]:
    """Filter and index the events of `ids`, or of all letters that wait now (None), once more.

    Yields what became of each. Doing it twice, or twice at the same time, stores and counts each event
    once. When the store takes nothing for `patience_seconds`, the rest is left. Raises DeadLetterError.
    """
    schema = load_schema(settings.model.model_path)
    stop = threading.Event()
    with open_letters(settings) as letters, connect_store(settings.store) as store:
        pages = letters.pages() if ids is None else iter([chosen(letters, ids)])
        provisioner = Provisioner(store, settings.store)
        try:
            list(provisioner.run(schema))  # what was repaired holds from the first document on
        except (ApiError, TransportError) as error:
            raise DeadLetterError(
                f"nothing was replayed: {fault_of(error, settings.store.url).text}"
            ) from error
        context = Context(
            zone=ZoneInfo(settings.api.display_timezone),
            excluded_paths=settings.api.log_exclude_paths,
            present_features=PresentFeatures(schema, provisioner.models),
        )
        indexer = Indexer(store, settings.store.url, stop, CircuitBreaker())
        oldest = (now or datetime.now(UTC)) - timedelta(days=settings.store.retention_days)
        work = _Replay(letters, indexer, context, settings, oldest, _Patience(stop, patience_seconds))
        for page in pages:
            yield from work.run(page)
            if stop.is_set():
                break
        LetterMirror(letters.client, settings.store).run(threading.Event())


class _Patience:
    """Sets `stop` when nothing was heard for a while."""

    def __init__(self, stop: threading.Event, seconds: float) -> None:
        self.stop = stop
        self._seconds = seconds
        self._timer: threading.Timer | None = None

    def renew(self) -> None:
        """Something was heard."""
        self.end()
        self._timer = threading.Timer(self._seconds, self.stop.set)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Nothing more is waited for."""
        if self._timer is not None:
            self._timer.cancel()


class _Replay:
    """Takes letters page by page."""

    def __init__(
        self,
        letters: DeadLetters,
        indexer: Indexer,
        context: Context,
        settings: Settings,
        oldest: datetime,
        patience: _Patience,
    ) -> None:
        self._letters = letters
        self._indexer = indexer
        self._context = context
        self._oldest = oldest
        self._patience = patience
        self._epochs = Epochs(letters.client, settings.store).read()
        self._highs = LedgerState(letters.client).highs()

    def run(self, page: Sequence[DeadLetter]) -> list[Replayed]:
        """Replay a page; return what became of each letter, in order."""
        found: dict[str, Replayed] = {}
        jobs: list[tuple[DeadLetter, Job]] = []
        decided: list[tuple[DeadLetter, Decision]] = []
        for letter in page:
            match self._filtered(letter):
                case Job() as job:
                    jobs.append((letter, job))
                case Decision() as decision:
                    decided.append((letter, decision))
                case str() as reason:
                    found[letter.id] = Replayed(letter, "left", reason)
        letter_of = {id(job.entry): letter for letter, job in jobs}

        def settle(verdicts: Sequence[Verdict]) -> None:
            self._patience.renew()
            ruled = [(letter_of[id(verdict.entry)], verdict) for verdict in verdicts]
            found.update(self._decide([(letter, _decision(letter, verdict)) for letter, verdict in ruled]))

        found.update(self._decide(decided))
        self._patience.renew()
        try:
            self._indexer.index([job for _, job in jobs], settle)
        finally:
            self._patience.end()
        reason = self._indexer.breaker.reason or "the store fails on it, and took nothing else meanwhile"
        return [found.get(letter.id) or Replayed(letter, "left", reason) for letter in page]

    def _filtered(self, letter: DeadLetter) -> Job | Decision | str:
        """Return the documents to index, or the decision that needs no store, or why it is left."""
        try:
            return Job(_entry(letter), self._documents(letter))
        except _LeftError as error:
            return str(error)
        except Dropped:
            return Decision(letter.id, "filtered")
        except PoisonError as error:
            return Decision(letter.id, "dead", reason=str(error))
        except Exception as error:  # noqa: BLE001 - what the code fails on stays a dead letter
            return Decision(letter.id, "dead", reason=f"processing failed: {error!r}")

    def _documents(self, letter: DeadLetter) -> list[Document]:
        """Return the documents of its event. Raises _LeftError, Dropped or PoisonError."""
        if letter.stray and 0 < letter.number <= self._highs.get(letter.producer, 0):
            raise _LeftError("its number has become that of another event of its producer: discard it")
        try:
            epoch = epoch_of(letter.entry_id, self._epochs)
        except (LookupError, ValueError) as error:
            raise _LeftError("nothing says which index it belongs to: its entry is unknown") from error
        documents = documents_of(_entry(letter), epoch, self._context)
        for document in documents:
            end = end_of(document.physical)
            if end is not None and end <= self._oldest:
                raise _LeftError(f"{document.physical} is older than RETENTION_DAYS: discard it")
        return documents

    def _decide(self, decided: Sequence[tuple[DeadLetter, Decision]]) -> Iterator[tuple[str, Replayed]]:
        """Carry out decisions; yield what became of each letter, by its id."""
        there = self._letters.decide([decision for _, decision in decided])
        for (letter, decision), done in zip(decided, there, strict=True):
            if not done:
                yield letter.id, Replayed(letter, "gone")
            elif decision.outcome == "dead":
                yield letter.id, Replayed(letter, "failed", decision.reason)
            elif decision.outcome != "discarded":
                yield letter.id, Replayed(letter, decision.outcome)


class _LeftError(Exception):
    """The letter cannot be replayed as it is; the message says why."""


def _entry(letter: DeadLetter) -> StreamEntry:
    return StreamEntry(letter.entry_id, letter.producer, letter.number, letter.event)


def _decision(letter: DeadLetter, verdict: Verdict) -> Decision:
    documents: Mapping[str, int] = dict(verdict.documents)
    if verdict.state == "dead":
        return Decision(letter.id, "dead", documents, verdict.reason, verdict.failures)
    return Decision(letter.id, "indexed", documents)

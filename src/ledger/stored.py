"""The store's side of the ledger: documents counted there beside those that were accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

from elasticsearch import ApiError, Elasticsearch, TransportError

from vigie.indices.mappings import INDICES, LOGS, PERFS
from vigie.indices.routing import Epochs, alias_of, end_of
from vigie.indices.store_client import connect_store, fault_of
from vigie.settings import Settings
from vigie.telemetry.expired import Expired, ExpiredRecord
from vigie.telemetry.ledger_state import Bits
from vigie.telemetry.stream import Stream

PER_EVENT: Final[Mapping[str, int]] = {PERFS: 6}
"""Most documents of one event in an index, where it is more than one: its request and five functions."""
MOST_NAMED: Final = 5
"""Ranges looked up one by one to name what is missing in the store."""


class Account(Protocol):
    """A producer and its bits as first measured."""

    @property
    def producer(self) -> str: ...
    @property
    def bits(self) -> Bits: ...


@dataclass(frozen=True, slots=True)
class StoredDocuments:
    """One index: documents that the ledger expects there, those that the store counts, those expired."""

    index: str
    expected: int
    stored: int
    expired: int

    def __str__(self) -> str:
        expired = f", {self.expired:,} expired" if self.expired else ""
        return f"{self.index}: {self.stored:,} documents stored, {self.expected:,} expected{expired}"


@dataclass(frozen=True, slots=True)
class _Counter:
    """Counts a producer's documents, over the aliases of every prefix that was ever in use."""

    client: Elasticsearch
    prefixes: Sequence[str]

    def refresh(self) -> None:
        for index in INDICES:
            self.client.indices.refresh(index=self._aliases(index), **_LENIENT)

    def count(
        self, index: str, producer: str, first: int = 1, last: int | None = None, doc_type: str = ""
    ) -> int:
        numbers = {"gte": first} if last is None else {"gte": first, "lte": last}
        filters: list[dict[str, Any]] = [{"term": {"producer": producer}}, {"range": {"number": numbers}}]
        if doc_type:
            filters.append({"term": {"doc_type": doc_type}})
        query = {"bool": {"filter": filters}}
        answer = self.client.count(index=self._aliases(index), query=query, **_LENIENT)
        return int(answer["count"])

    def events(self, producer: str, first: int, last: int) -> int:
        """Count the events that are stored: each is in ml-api-logs, but for a report in ml-api-perfs."""
        return self.count(LOGS, producer, first, last) + self.count(
            PERFS, producer, first, last, doc_type="service"
        )

    def physical(self) -> dict[str, str]:
        """Return the physical indices that exist, each with its uuid."""
        found: dict[str, Any] = {}
        for prefix in self.prefixes:
            for index in INDICES:
                found |= self.client.indices.get_settings(index=f"{prefix}{index}-*").body
        return {name: about["settings"]["index"]["uuid"] for name, about in found.items()}

    def _aliases(self, index: str) -> str:
        return ",".join(f"{prefix}{index}" for prefix in self.prefixes)


_LENIENT: Final[dict[str, Any]] = {"ignore_unavailable": True, "allow_no_indices": True}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The store's side of the ledger."""

    documents: tuple[StoredDocuments, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def compare(settings: Settings, stream: Stream, accounts: Sequence[Account]) -> Comparison:
    """Count each producer's documents in each index, beside those that were accepted and are not expired.

    On a busy system bounds hold: accepted before ≤ stored ≤ accepted after + what may be in flight. An
    index that is gone without a record of its content was removed by somebody else, and is noted.
    Raises redis.RedisError; a store that is away is a problem.
    """
    epochs = Epochs(stream.client, settings.store).read()
    prefixes = sorted({epoch.prefix for epoch in epochs} | {settings.store.es_index_prefix})
    with connect_store(settings.store) as client:
        try:
            return _compare(_Counter(client, prefixes), stream, accounts)
        except (ApiError, TransportError) as error:
            fault = fault_of(error, settings.store.url)
            unknown = tuple(StoredDocuments(index, 0, 0, 0) for index in INDICES)
            return Comparison(unknown, (f"the store's documents were not counted: {fault.text}",))


Documents = Counter[tuple[str, str]]
"""(producer, index) → documents."""


def _compare(counter: _Counter, stream: Stream, accounts: Sequence[Account]) -> Comparison:
    counter.refresh()
    there_before = counter.physical()
    stored = Documents()
    for account in accounts:
        for index in INDICES:
            stored[account.producer, index] = counter.count(index, account.producer)
    there = counter.physical()
    record = ExpiredRecord(stream.client).read()  # last: an index is recorded before it is dropped
    expired, expired_before = _expired(record, there), _expired(record, there_before)
    # first what may be stored and not yet settled, then what is: an event is in one of them
    waiting = {producer: len(numbers) for producer, numbers in stream.waiting().items()}
    accepted = _accepted(accounts)
    gone = Documents({key: count for key, count in (accepted - expired).items() if _is_gone(key[1], there)})
    least, known = _by_alias(accepted) - _by_alias(expired + gone), stream.ledger.producer
    problems: list[str] = []
    for account in accounts:
        after = {(account.producer, name): n for name, n in known(account.producer).documents.items()}
        most = _by_alias(Documents(after)) - _by_alias(expired_before + gone)
        for index in INDICES:
            key = (account.producer, index)
            most[key] += waiting.get(account.producer, 0) * PER_EVENT.get(index, 1)
            if stored[key] < least[key]:
                problems.append(_too_few(counter, account, index, least[key] - stored[key]))
            if stored[key] > most[key]:
                many = stored[key] - most[key]
                problems.append(f"producer {account.producer}: {index} holds {many:,} documents too many")
    sums = [_sums(documents) for documents in (least, stored, _by_alias(expired))]
    documents = tuple(StoredDocuments(index, *(found[index] for found in sums)) for index in INDICES)
    return Comparison(documents, tuple(problems), tuple(_removed(gone)))


def _accepted(accounts: Sequence[Account]) -> Documents:
    found = Documents()
    for account in accounts:
        for physical, count in account.bits.documents.items():
            found[account.producer, physical] += count
    return found


def _expired(record: Sequence[Expired], there: Mapping[str, str]) -> Documents:
    """Return what was recorded of indices that are no longer there."""
    found, living = Documents(), set(there.values())
    for one in record:
        if one.uuid not in living:
            found[one.producer, one.index] += one.documents
    return found


def _is_gone(physical: str, there: Collection[str]) -> bool:
    return end_of(physical) is not None and physical not in there


def _by_alias(documents: Documents) -> Documents:
    """Return the same counts by alias without prefix, over all physical indices."""
    found = Documents()
    for (producer, physical), count in documents.items():
        alias = alias_of(physical, INDICES)
        if alias is not None:
            found[producer, alias] += count
    return found


def _sums(documents: Documents) -> Counter[str]:
    """Return the counts by index, over all producers."""
    found = Counter[str]()
    for (_, index), count in documents.items():
        found[index] += count
    return found


def _removed(gone: Documents) -> Iterator[str]:
    for index, count in sorted(_sums(gone).items()):
        yield f"index {index} was removed by somebody else, with {count:,} documents"


def _too_few(counter: _Counter, account: Account, index: str, count: int) -> str:
    said = f"producer {account.producer}: {index} lacks {count:,} documents"
    if index != LOGS:
        return said
    named = list(islice(_lacking(counter, account), MOST_NAMED))
    return f"{said}, of number {', '.join(named)}{' …' if count > len(named) else ''}" if named else said


def _lacking(counter: _Counter, account: Account) -> Iterator[str]:
    """Yield the numbers that are indexed and not in ml-api-logs, by halving ranges that hold too few."""
    indexed = account.bits.states["indexed"]
    spans = [(1, account.bits.upto)]
    while spans:
        first, last = spans.pop()
        wanted = int(indexed[first - 1 : last].sum())
        if wanted == 0 or counter.events(account.producer, first, last) >= wanted:
            continue
        if first == last:
            yield f"{first}"
        else:
            middle = (first + last) // 2
            spans += [(middle + 1, last), (first, middle)]

"""The store's side of the ledger: documents counted there beside those that were accepted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

from elasticsearch import ApiError, Elasticsearch, TransportError

from vigie.logs_pipeline.indices import INDICES, LOGS, PERFS
from vigie.logs_pipeline.routing import Epochs
from vigie.logs_pipeline.store_client import connect_store, fault_of
from vigie.settings import Settings
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
    """One index: documents that the ledger expects, and those that the store counts."""

    index: str
    expected: int
    stored: int

    def __str__(self) -> str:
        return f"{self.index}: {self.stored:,} documents stored, {self.expected:,} expected"


@dataclass(frozen=True, slots=True)
class _Counter:
    """Counts a producer's documents, over the aliases of every prefix that was ever in use."""

    client: Elasticsearch
    prefixes: Sequence[str]

    def refresh(self) -> None:
        for index in INDICES:
            self.client.indices.refresh(index=self._aliases(index), **_LENIENT)

    def count(self, index: str, producer: str, first: int = 1, last: int | None = None) -> int:
        numbers = {"gte": first} if last is None else {"gte": first, "lte": last}
        query = {"bool": {"filter": [{"term": {"producer": producer}}, {"range": {"number": numbers}}]}}
        answer = self.client.count(index=self._aliases(index), query=query, **_LENIENT)
        return int(answer["count"])

    def _aliases(self, index: str) -> str:
        return ",".join(f"{prefix}{index}" for prefix in self.prefixes)


_LENIENT: Final[dict[str, Any]] = {"ignore_unavailable": True, "allow_no_indices": True}


def compare(
    settings: Settings, stream: Stream, accounts: Sequence[Account]
) -> tuple[list[StoredDocuments], list[str]]:
    """Count each producer's documents in each index; return the sums, and what does not fit as sentences.

    On a busy system bounds hold: accepted before ≤ stored ≤ accepted after + what may be in flight.
    Raises redis.RedisError.
    """
    epochs = Epochs(stream.client, settings.store).read()
    prefixes = sorted({epoch.prefix for epoch in epochs} | {settings.store.es_index_prefix})
    expected = dict.fromkeys(INDICES, 0)
    stored = dict.fromkeys(INDICES, 0)
    problems: list[str] = []
    with connect_store(settings.store) as client:
        counter = _Counter(client, prefixes)
        try:
            counter.refresh()
            counts = {
                account.producer: {index: counter.count(index, account.producer) for index in INDICES}
                for account in accounts
            }
            # first what may be stored and not yet settled, then what is: an event is in one of them
            waiting = {producer: len(numbers) for producer, numbers in stream.waiting().items()}
            for account in accounts:
                after = stream.ledger.producer(account.producer).documents
                for index in INDICES:
                    found, least = counts[account.producer][index], account.bits.documents.get(index, 0)
                    most = after.get(index, 0) + waiting.get(account.producer, 0) * PER_EVENT.get(index, 1)
                    expected[index] += least
                    stored[index] += found
                    if found < least:
                        problems.append(_too_few(counter, account, index, least - found))
                    if found > most:
                        problems.append(
                            f"producer {account.producer}: {index} holds {found - most:,} documents too many"
                        )
        except (ApiError, TransportError) as error:
            fault = fault_of(error, settings.store.url)
            problems.append(f"the store's documents were not counted: {fault.text}")
    return [StoredDocuments(index, expected[index], stored[index]) for index in INDICES], problems


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
        if wanted == 0 or counter.count(LOGS, account.producer, first, last) >= wanted:
            continue
        if first == last:
            yield f"{first}"
        else:
            middle = (first + last) // 2
            spans += [(middle + 1, last), (first, middle)]

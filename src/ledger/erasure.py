"""Erasing events on request: recorded in the ledger first, then deleted wherever they are kept.

A crash between record and deletion is made good by doing it again. What is still on its way is left alone:
the worker that holds it would store it once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
from elasticsearch import ApiError, Elasticsearch, TransportError

from vigie.errors import VigieError
from vigie.indices.mappings import DEAD, INDICES
from vigie.indices.routing import Epochs
from vigie.indices.store_client import connect_store, fault_of
from vigie.ledger.counting import LENIENT
from vigie.settings import Settings
from vigie.telemetry.stream.erased import Erasable, ErasedRecord, EventId, Letter, Subject
from vigie.telemetry.stream.keys import NUMBER_LIMIT
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import connect

PAGE: Final = 100
"""Events erased at once, each with a few documents."""
HITS: Final = 1000
"""Hits per page of a search."""
MOST_HITS: Final = 5000
"""Documents of a page of events: a few each."""
_TERMS: Final = (("transaction_id", "transactions"), ("subject_id", "subjects"))


class ErasureError(VigieError):
    """Redis or the store is away or refuses; doing it again goes on where it stopped."""


@dataclass(slots=True)
class Erasure:
    """What was erased."""

    events: int = 0
    """Recorded as erased now."""
    again: int = 0
    """Recorded by an earlier run."""
    documents: int = 0
    entries: int = 0
    letters: int = 0
    unsettled: int = 0
    """Events still on their way, which were left."""

    @property
    def found(self) -> bool:
        """Whether there was anything."""
        return any((self.events, self.again, self.documents, self.entries, self.letters, self.unsettled))

    def lines(self) -> Iterator[str]:
        """Yield what to say."""
        if not self.found:
            yield "nothing found"
            return
        yield (
            f"erased {self.events:,} events: {self.documents:,} documents, {self.entries:,} entries of the "
            f"stream, {self.letters:,} dead letters"
        )
        if self.again:
            yield f"{self.again:,} events had been recorded as erased before"
        if self.unsettled:
            yield f"{self.unsettled:,} events are not indexed yet and were left: repeat this once they are"


def erase(settings: Settings, subject: Subject) -> Erasure:
    """Erase the events that carry one of the transaction or subject ids.

    Raises ErasureError when Redis or the store does not do its part; it may then be repeated.
    """
    if not settings.redis.log_to_redis:
        raise ErasureError("LOG_TO_REDIS=false: events go to standard output, none are kept here")
    client = connect(settings.redis, timeout=10.0)
    try:
        with connect_store(settings.store, timeout=30.0) as store:
            epochs = Epochs(client, settings.store).read()
            prefixes = sorted({epoch.prefix for epoch in epochs} | {settings.store.es_index_prefix})
            return _Eraser(ErasedRecord(client), store, prefixes, subject).run()
    except redis.RedisError as error:
        host, port = settings.redis.address
        raise ErasureError(redis_fault(error).told(f"Redis at {host}:{port}")) from error
    except (ApiError, TransportError) as error:
        raise ErasureError(fault_of(error, settings.store.url).text) from error
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where an event is kept in the store: physical index and id of each document."""

    documents: Mapping[EventId, Sequence[tuple[str, str]]]

    def counts(self, event: EventId) -> dict[str, int]:
        return dict(Counter(index for index, _ in self.documents.get(event, ())))


class _Eraser:
    def __init__(
        self, record: ErasedRecord, store: Elasticsearch, prefixes: Sequence[str], subject: Subject
    ) -> None:
        self._record = record
        self._store = store
        self._prefixes = prefixes
        self._subject = subject
        self._done = Erasure()
        self._nobodys: set[tuple[str, str]] = set()
        """Documents that somebody made by hand, without producer or number."""

    def run(self) -> Erasure:
        # Redis first: what is settled there is in the store when that is searched
        entries = [one for one in self._record.entries(self._subject) if one.number]
        settled = self._record.settled([(one.producer, one.number) for one in entries])
        letters = list(self._record.letters(self._subject))
        self._refresh()
        by_event = {(one.producer, one.number): one for one in letters if one.number}
        events = sorted({*self._stored_events(), *by_event})
        unsettled: set[EventId] = set()
        for start in range(0, len(events), PAGE):
            unsettled |= self._erase(events[start : start + PAGE], by_event)
        erased = set(events)
        for entry, done in zip(entries, settled, strict=True):
            event = (entry.producer, entry.number)
            if not done and event not in erased:
                unsettled.add(event)
        left = [one.id for one in entries if (one.producer, one.number) not in unsettled]
        strays = [one for one in letters if not one.number]
        self._done.letters += self._record.remove_letters([one.id for one in strays])
        self._done.entries = self._record.remove_entries([*left, *(one.entry_id for one in strays)])
        self._record.forget_changes(self._subject)
        self._done.documents += self._delete(sorted(self._nobodys))
        self._forget_letters(events)
        self._done.unsettled = len(unsettled)
        return self._done

    def _erase(self, events: Sequence[EventId], letters: Mapping[EventId, Letter]) -> set[EventId]:
        """Record a page of events, then delete their documents; return those still on their way."""
        kept = self._kept(events)
        asked = [
            Erasable(*event, letters[event].id if event in letters else "", kept.counts(event))
            for event in events
        ]
        unsettled: set[EventId] = set()
        doomed: list[tuple[str, str]] = []
        for event, said in zip(events, self._record.add(asked), strict=True):
            if said == "unsettled":
                unsettled.add(event)
                continue
            self._done.events += said == "new"
            self._done.again += said == "known"
            self._done.letters += event in letters
            doomed += kept.documents.get(event, ())
        self._done.documents += self._delete(doomed)
        return unsettled

    def _stored_events(self) -> Iterator[EventId]:
        """Yield the events whose documents carry the subject."""
        for field, name in _TERMS:
            wanted = sorted(getattr(self._subject, name))
            if not wanted:
                continue
            query = {"bool": {"filter": [{"terms": {field: wanted}}]}}
            for index in INDICES:
                yield from self._events_of(index, query)

    def _events_of(self, index: str, query: dict[str, Any]) -> Iterator[EventId]:
        after: list[Any] | None = None
        while True:
            more = {} if after is None else {"search_after": after}
            sort = [{"producer": "asc"}, {"number": "asc"}]
            hits = self._search(index, query, HITS, sort=sort, **more)
            for hit in hits:
                producer, number = hit["sort"]
                if producer and number and 0 < number < NUMBER_LIMIT:  # a missing one sorts as the largest
                    yield producer, number
                else:
                    self._nobodys.add((hit["_index"], hit["_id"]))
            if len(hits) < HITS:
                return
            after = hits[-1]["sort"]

    def _kept(self, events: Sequence[EventId]) -> _Kept:
        """Return every document of the events, under whatever id."""
        documents: dict[EventId, list[tuple[str, str]]] = {}
        for index in INDICES:
            for query in _of_events(events):
                for hit in self._search(index, query, MOST_HITS):
                    event = (hit["_source"]["producer"], int(hit["_source"]["number"]))
                    documents.setdefault(event, []).append((hit["_index"], hit["_id"]))
        return _Kept(documents)

    def _forget_letters(self, events: Sequence[EventId]) -> None:
        """Delete what shows the events in the index of dead letters, which is in no ledger."""
        queries = [
            query
            for start in range(0, len(events), PAGE)
            for query in _of_events(events[start : start + PAGE])
        ]
        if self._subject.transactions:
            queries.append(
                {"bool": {"filter": [{"terms": {"transaction_id": sorted(self._subject.transactions)}}]}}
            )
        doomed = {
            (hit["_index"], hit["_id"]) for query in queries for hit in self._search(DEAD, query, MOST_HITS)
        }
        self._delete(sorted(doomed))

    def _search(self, index: str, query: dict[str, Any], size: int, **more: Any) -> list[dict[str, Any]]:
        answer = self._store.search(index=self._aliases(index), query=query, size=size, **more, **LENIENT)
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits

    def _delete(self, documents: Sequence[tuple[str, str]]) -> int:
        deleted = 0
        for start in range(0, len(documents), 1000):
            operations = [
                {"delete": {"_index": index, "_id": document}}
                for index, document in documents[start : start + 1000]
            ]
            answer = self._store.bulk(operations=operations)
            for item in answer["items"]:
                status = item["delete"]["status"]
                deleted += status == 200
                if status not in {200, 404}:
                    raise ErasureError(f"the store refuses to delete: {item['delete'].get('error')}")
        if documents:
            self._refresh()
        return deleted

    def _refresh(self) -> None:
        for index in (*INDICES, DEAD):
            self._store.indices.refresh(index=self._aliases(index), **LENIENT)

    def _aliases(self, index: str) -> str:
        return ",".join(f"{prefix}{index}" for prefix in self._prefixes)


def _of_events(events: Sequence[EventId]) -> Iterator[dict[str, Any]]:
    """Yield queries for the documents of the events, producer by producer."""
    numbers: dict[str, list[int]] = {}
    for producer, number in events:
        numbers.setdefault(producer, []).append(number)
    for producer, some in numbers.items():
        yield {"bool": {"filter": [{"term": {"producer": producer}}, {"terms": {"number": some}}]}}

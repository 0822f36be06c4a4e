"""Drops whole indices older than RETENTION_DAYS, once the ledger has written down what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import redis
from elasticsearch import ApiError, Elasticsearch, NotFoundError, TransportError

from vigie.errors import VigieError
from vigie.indices.mappings import DEAD, INDICES
from vigie.indices.routing import Epochs, alias_of, end_of
from vigie.indices.store_client import connect_store, fault_of
from vigie.ledger.expiry import with_events
from vigie.settings import Settings
from vigie.telemetry.stream.expired import Expired, ExpiredRecord
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import Stream, connect

PAGE: Final = 1000
"""Producers counted per request."""


class RetentionError(VigieError):
    """Redis or the store is away or refuses; nothing was dropped that is not recorded."""


@dataclass(frozen=True, slots=True)
class Drop:
    """An index whose time is over."""

    index: str
    documents: int
    until: datetime
    """When its day or month ended."""
    dropped: bool
    """False in a dry run."""

    def __str__(self) -> str:
        what = "dropped" if self.dropped else "would drop"
        return f"{what} {self.index}: {self.documents:,} documents, all from before {self.until:%Y-%m-%d}"


def apply_retention(settings: Settings, *, dry_run: bool = False, now: datetime | None = None) -> list[Drop]:
    """Drop every index that is older than RETENTION_DAYS at `now`, by its own date; return what was dropped.

    With `dry_run` nothing is changed. Raises RetentionError when Redis or the store does not answer.
    """
    client = connect(settings.redis)
    try:
        with connect_store(settings.store) as store:
            epochs = Epochs(client, settings.store).read()
            prefixes = {epoch.prefix for epoch in epochs} | {settings.store.es_index_prefix}
            retention = Retention(store, Stream(client), settings.store.retention_days)
            return list(retention.run(prefixes, now or datetime.now(UTC), dry_run=dry_run))
    except redis.RedisError as error:
        host, port = settings.redis.address
        raise RetentionError(redis_fault(error).told(f"Redis at {host}:{port}")) from error
    except (ApiError, TransportError) as error:
        raise RetentionError(fault_of(error, settings.store.url).text) from error
    finally:
        client.close()


class Retention:
    """Records, then drops; a crash between the two leaves a record that the next run repeats unharmed."""

    def __init__(self, store: Elasticsearch, stream: Stream, retention_days: int) -> None:
        self._store = store
        self._stream = stream
        self._record = ExpiredRecord(stream.client)
        self._retention = timedelta(days=retention_days)

    def run(self, prefixes: Iterable[str], now: datetime, *, dry_run: bool) -> Iterator[Drop]:
        """Yield each index that is dropped (or would be), the oldest first."""
        over = [
            (until, index, uuid)
            for index, uuid in self._indices(prefixes)
            if (until := end_of(index)) is not None and until + self._retention <= now
        ]
        for until, index, uuid in sorted(over):
            try:
                if not dry_run and alias_of(index, (DEAD,)) is None:  # the ledger is about events alone
                    self._record_held(index, uuid)
                self._store.indices.refresh(index=index)
                documents = int(self._store.count(index=index)["count"])
                if not dry_run:
                    self._store.indices.delete(index=index)
            except NotFoundError:  # another worker was faster
                continue
            yield Drop(index, documents, until, dropped=not dry_run)

    def _indices(self, prefixes: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield name and uuid of the physical indices of the platform."""
        for prefix in sorted(prefixes):
            for alias in (*INDICES, DEAD):
                name = f"{prefix}{alias}"
                found: Any = self._store.indices.get_settings(index=f"{name}-*", expand_wildcards="open").body
                for index, about in found.items():
                    if end_of(index) is not None and index.rpartition("-")[0] == name:
                        yield index, about["settings"]["index"]["uuid"]

    def _record_held(self, index: str, uuid: str) -> None:
        """Record what `index` holds, once more when a late document came meanwhile."""
        held: list[Expired] = []
        while (found := with_events(self._store, self._stream, self._held(index, uuid))) != held:
            held = found
            self._record.add(index, uuid, held)

    def _held(self, index: str, uuid: str) -> list[Expired]:
        """Count each producer's documents, with the lowest and highest number of theirs.

        A document without a producer or a number is in no ledger: somebody put it there by hand.
        """
        self._store.indices.refresh(index=index)
        held: dict[str, Expired] = {}
        subs = {"first": {"min": {"field": "number"}}, "last": {"max": {"field": "number"}}}
        producers = {"terms": {"field": "producer", "size": PAGE}, "aggs": subs}
        while True:
            seen = [{"terms": {"producer": sorted(held)}}] if held else []
            numbered = {"bool": {"filter": [{"range": {"number": {"gte": 1}}}], "must_not": seen}}
            answer = self._store.search(index=index, size=0, query=numbered, aggs={"producers": producers})
            buckets = answer["aggregations"]["producers"]["buckets"]
            for bucket in buckets:
                first, last = int(bucket["first"]["value"]), int(bucket["last"]["value"])
                producer = bucket["key"]
                held[producer] = Expired(index, uuid, producer, bucket["doc_count"], first, last)
            if len(buckets) < PAGE:
                return [held[producer] for producer in sorted(held)]

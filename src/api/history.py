"""The predictions made so far, newest first, page by page, as the store has them.

They are read from ml-api-logs, which holds each one whole: failed and shed ones too, and what a refused one
had sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from elasticsearch import Elasticsearch

from vigie.api.store_questions import StoreQuestions
from vigie.indices.mappings import LOGS
from vigie.ledger.counting import LENIENT
from vigie.settings import Settings
from vigie.telemetry.event import PREDICTION

CURSOR: Final = r"^[0-9]{1,19}-[0-9]{1,19}-([0-9a-f]{2}){1,384}$"
"""A place in the order: time in nanoseconds, number, and producer in hexadecimal."""
LARGEST: Final = 2**63 - 1
EARLIEST: Final = datetime(1971, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2261, 12, 31, tzinfo=UTC)
"""What the store's nanoseconds reach."""

_SORT: Final = ({"@timestamp": "desc"}, {"producer": "desc"}, {"number": "desc"})
_SAME: Final = (
    "transaction_id", "batch_id", "subject_id", "correlation_id", "status", "status_code", "latency_ms",
    "model", "input_data", "rejected_input", "result",
)  # fmt: skip
_FIELDS: Final = ("@timestamp", *_SAME, "errors")


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """What GET /predict/history asks for; None does not narrow it."""

    transaction_id: str | None = None
    since: datetime | None = None
    """From this time on."""
    until: datetime | None = None
    """Before this time."""
    label: str | None = None
    model_version: str | None = None
    status: str | None = None
    subject_id: str | None = None
    limit: int = 100
    cursor: str | None = None
    """`next` of the page before, which matches CURSOR."""

    def clauses(self) -> Iterator[dict[str, Any]]:
        """Yield the conditions in the store's query language."""
        yield {"term": {"doc_type": PREDICTION}}
        # what somebody put there by hand has no place in the order
        yield {"exists": {"field": "producer"}}
        yield {"exists": {"field": "number"}}
        asked = {
            "transaction_id": self.transaction_id,
            "result.label": self.label,
            "model.version": self.model_version,
            "status": self.status,
            "subject_id": self.subject_id,
        }
        yield from ({"term": {field: value}} for field, value in asked.items() if value is not None)
        times = {"gte": self.since, "lt": self.until}
        bounds = {way: _instant(when) for way, when in times.items() if when is not None}
        if bounds:
            yield {"range": {"@timestamp": bounds}}


class HistoryReader:
    """Answers /predict/history."""

    def __init__(self, settings: Settings, store: StoreQuestions) -> None:
        self._index = f"{settings.store.es_index_prefix}{LOGS}"
        self._store = store

    async def read(self, query: HistoryQuery) -> dict[str, Any]:
        """Return {items, next}. Raises Problem (503) when the store is away or too slow."""
        return await self._store.ask(lambda store: self._page(store, query))

    def _page(self, store: Elasticsearch, query: HistoryQuery) -> dict[str, Any]:
        more: dict[str, Any] = {"source": list(_FIELDS), **LENIENT}
        if query.cursor is not None:
            more["search_after"] = place(query.cursor)
        answer = store.search(
            index=self._index,
            query={"bool": {"filter": list(query.clauses())}},
            sort=list(_SORT),
            size=query.limit + 1,  # one more says whether there is a next page
            track_total_hits=False,
            **more,
        )
        hits = answer["hits"]["hits"]
        page = hits[: query.limit]
        return {
            "items": [_item(hit["_source"]) for hit in page],
            "next": cursor(*page[-1]["sort"]) if len(hits) > len(page) else None,
        }


def cursor(nanoseconds: int, producer: str, number: int) -> str:
    """Return the text for the place behind a prediction; `place` reads it."""
    return f"{nanoseconds}-{number}-{producer.encode().hex()}"


def place(given: str) -> tuple[int, str, int]:
    """Return what the store sorts by of a cursor that matches CURSOR."""
    nanoseconds, number, producer = given.split("-")
    name = bytes.fromhex(producer).decode("utf-8", "replace")
    return min(int(nanoseconds), LARGEST), name, min(int(number), LARGEST)


def _instant(when: datetime) -> str:
    """Return a time as the store's documents have theirs; one without an offset is in UTC."""
    try:
        known = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        known = EARLIEST if when.year <= EARLIEST.year else LATEST
    return min(max(known, EARLIEST), LATEST).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _item(source: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: source.get(name) for name in _SAME}
    return {**found, "timestamp": source["@timestamp"], "errors": source.get("errors") or []}

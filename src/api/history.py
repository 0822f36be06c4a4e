"""The predictions made so far, newest first, page by page, as the store has them.

They are read from ml-api-logs, which holds each one whole: failed and shed ones too, and what a refused one
had sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from elasticsearch import Elasticsearch

from vigie.api.store_questions import StoreQuestions
from vigie.indices.event_order import NEWEST_FIRST, between, cursor, ordered, place
from vigie.indices.mappings import LOGS
from vigie.ledger.counting import LENIENT
from vigie.settings import Settings
from vigie.telemetry.event import PREDICTION

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
        yield from ordered()
        asked = {
            "transaction_id": self.transaction_id,
            "result.label": self.label,
            "model.version": self.model_version,
            "status": self.status,
            "subject_id": self.subject_id,
        }
        yield from ({"term": {field: value}} for field, value in asked.items() if value is not None)
        yield from between(self.since, self.until)


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
            sort=list(NEWEST_FIRST),
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


def _item(source: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: source.get(name) for name in _SAME}
    return {**found, "timestamp": source["@timestamp"], "errors": source.get("errors") or []}

"""One request from end to end: its event, what it cost, and every document there is of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
from elasticsearch import ApiError, Elasticsearch, TransportError

from vigie.api.problems import Problem
from vigie.api.store_questions import RETRY, StoreQuestions
from vigie.indices.mappings import DEAD, INDICES, LOGS
from vigie.indices.routing import alias_of
from vigie.ledger.counting import LENIENT
from vigie.settings import Settings
from vigie.telemetry.emitter import journal_home
from vigie.telemetry.event import PREDICTION, REQUEST
from vigie.telemetry.on_the_way import OnTheWay, SearchTooLongError, find_on_the_way
from vigie.telemetry.parsed_event import event_in
from vigie.telemetry.stream.stream import Stream

SEARCH_PART: Final = 0.25
"""Part of the request's time limit that looking through journals and stream may take."""
SOCKET_SECONDS: Final = 2.0
MOST_DOCUMENTS: Final = 200
"""Documents shown of one request: a few, and whatever was logged meanwhile."""
_ADDED: Final = frozenset({"@timestamp", "level", "message", "doc_type", "hour_of_day", "day_of_week"})
"""Fields of a document in ml-api-logs that are not of the event's `data`."""
_WAITING: Final = {
    "journal": "it is in a journal of this host, and not in Redis yet",
    "stream": "it is in the stream, and the pipeline has not indexed it yet",
    "being indexed": "it is indexed, and the store does not show it yet",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store has of a request."""

    documents: Mapping[str, Sequence[Mapping[str, Any]]]
    """Index → documents, each with index (the physical one), id and source."""
    rows: int | None = None
    """Predictions of a batch that are stored."""

    @property
    def event(self) -> dict[str, Any] | None:
        """The request's event, as it was before it became documents."""
        for document in self.documents.get(LOGS, ()):
            source = document["source"]
            if source.get("doc_type") in {PREDICTION, REQUEST}:
                data = {name: value for name, value in source.items() if name not in _ADDED}
                return {
                    "timestamp": source["@timestamp"],
                    "level": source.get("level"),
                    "message": source.get("message"),
                    "data": {"kind": source["doc_type"], **data},
                }
        return None

    @property
    def letter(self) -> Mapping[str, Any] | None:
        """Its dead letter, waiting or closed."""
        letters = [document["source"] for document in self.documents.get(DEAD, ())]
        return letters[0] if letters else None


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and content of the answer."""

    status: int
    content: dict[str, Any]


class TraceReader:
    """Answers /predict/{transaction_id}."""

    def __init__(self, settings: Settings, store: StoreQuestions) -> None:
        self._prefix = settings.store.es_index_prefix
        self._store = store
        self._enabled = settings.redis.log_to_redis
        self._home = journal_home(settings)
        self._seconds = settings.api.request_timeout * SEARCH_PART
        self._stream = Stream.open(settings.redis, timeout=SOCKET_SECONDS)

    async def read(self, transaction_id: str) -> Answer:
        """Return the trace (200), or where its event is while it is on its way (202).

        Raises Problem: 404 for an id that is nowhere, 503 when what has to be asked is away or too slow.
        """
        return await self._store.ask(lambda store: self._trace(store, transaction_id))

    def close(self) -> None:
        """Let go of Redis."""
        self._stream.client.close()

    def _trace(self, store: Elasticsearch, transaction_id: str) -> Answer:
        away: Problem | None = None
        try:
            stored = self._stored(store, transaction_id)
            if stored is not None:
                return Answer(200, _trace_of(transaction_id, stored))
        except (ApiError, TransportError) as error:
            away = self._store.problem(error)
        found = self._on_the_way(transaction_id)
        if found is not None and found.place == "dead letter":
            return Answer(200, _dead_trace(transaction_id, found))
        if away is None and (found is None or found.place == "being indexed"):
            # It may have got there since, or be there and not be shown.
            self._refresh(store)
            stored = self._stored(store, transaction_id)
            if stored is not None:
                return Answer(200, _trace_of(transaction_id, stored))
        if found is not None:
            said = {"state": found.place, "detail": _WAITING[found.place], "event": found.event}
            return Answer(202, {"transaction_id": transaction_id, **said})
        raise away or Problem(404, f"There is no request {transaction_id}: never made, expired or erased")

    def _stored(self, store: Elasticsearch, transaction_id: str) -> Stored | None:
        """Return what the store has; None when the request's own event is neither stored nor dead."""
        answer = store.search(
            index=self._aliases((*INDICES, DEAD)),
            query={"term": {"transaction_id": transaction_id}},
            sort=[{"doc_type": "desc"}],  # what was logged comes last but for a dead letter
            size=MOST_DOCUMENTS,
            track_total_hits=False,
            **LENIENT,
        )
        documents: dict[str, list[dict[str, Any]]] = {}
        for hit in answer["hits"]["hits"]:
            index = alias_of(hit["_index"], (*INDICES, DEAD)) or hit["_index"]
            shown = {"index": hit["_index"], "id": hit["_id"], "source": hit["_source"]}
            documents.setdefault(index, []).append(shown)
        stored = Stored(documents)
        if stored.event is None and stored.letter is None:
            return None
        if stored.event is None or stored.event["data"]["kind"] != REQUEST:
            return stored
        rows = {"bool": {"filter": [{"term": {"batch_id": transaction_id}}]}}
        counted = store.count(index=self._aliases((LOGS,)), query=rows, **LENIENT)
        return Stored(documents, rows=counted["count"] or None)

    def _refresh(self, store: Elasticsearch) -> None:
        store.indices.refresh(index=self._aliases((*INDICES, DEAD)), **LENIENT)

    def _aliases(self, indices: Sequence[str]) -> str:
        return ",".join(f"{self._prefix}{index}" for index in indices)

    def _on_the_way(self, transaction_id: str) -> OnTheWay | None:
        if not self._enabled:
            return None
        try:
            return find_on_the_way(self._stream, self._home, transaction_id, time.monotonic() + self._seconds)
        except redis.RedisError as error:
            detail = f"It is not in the store, and Redis does not answer ({type(error).__name__})"
            raise Problem(503, detail, headers=RETRY) from None
        except SearchTooLongError:
            detail = (
                f"It is not in the store; the stream could not be searched within {self._seconds:g} seconds"
            )
            raise Problem(503, detail, headers=RETRY) from None


def _trace_of(transaction_id: str, stored: Stored) -> dict[str, Any]:
    letter = stored.letter
    event = stored.event or (event_in(letter["event"].encode()) if letter else None)
    dead = letter is not None and letter["state"] == "waiting"
    names = ("letter_id", "state", "reason", "attempts", "first_at", "last_at")
    return {
        "transaction_id": transaction_id,
        "state": "dead letter" if dead else "stored",
        **_parts(event),
        "rows": stored.rows,
        "dead_letter": None if letter is None else {name: letter.get(name) for name in names},
        "documents": stored.documents,
    }


def _dead_trace(transaction_id: str, found: OnTheWay) -> dict[str, Any]:
    return {
        "transaction_id": transaction_id,
        "state": "dead letter",
        **_parts(found.event),
        "rows": None,
        "dead_letter": {"state": "waiting", "reason": found.reason},
        "documents": {},
    }


def _parts(event: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the event, and what it says of the request's cost."""
    data = (event or {}).get("data") or {}
    metrics = data.get("performance_metrics")
    return {
        "event": event,
        "metrics": metrics,
        "stages": data.get("stages"),
        "top_functions": (metrics or {}).get("top_functions") or [],
    }

"""Joins outcomes that were indexed before their prediction, and retires those that were corrected.

A document is rewritten only if it is still the one that was read, so an erased one stays erased, and of two
workers that do the same one comes too late.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from elasticsearch import ApiError, Elasticsearch, TransportError
from loguru import logger

from vigie.indices.mappings import MESSAGE
from vigie.indices.store_client import connect_store, fault_of
from vigie.logs_pipeline.feedback_join import LENIENT, Hit, Known, Source, joined_if_sound, known
from vigie.logs_pipeline.guard import Guard
from vigie.settings import Settings
from vigie.telemetry.flusher import TELEMETRY_THREAD
from vigie.telemetry.stream.keys import FEEDBACK_TURN
from vigie.telemetry.stream.stream import Stream

PERIOD_SECONDS: Final = 3.0
PAGE: Final = 200
MOST_PAGES: Final = 20
"""Pages of one look; the next one goes on behind them."""
YOUNG: Final = timedelta(minutes=15)
"""Outcomes that arrived since then are looked for all the time: their predictions are on their way."""
LONGEST: Final = timedelta(days=30)
OLD_SECONDS: Final = 600.0
"""How often those of the last thirty days are looked for."""
PATIENCE: Final = timedelta(hours=1)
"""How long a correction waits for what it corrects: that may be a dead letter, or dropped with its index."""
REQUEST_SECONDS: Final = 10.0
_WANTED: Final[Any] = ["transaction_id"]
_TURN: Final = 0.9
_ORDER: Final = ("@timestamp", "producer", "number")


class FeedbackWatch(threading.Thread):
    """Looks every period for outcomes that are not joined, in one worker of the group at a time."""

    def __init__(
        self, settings: Settings, guard: Guard | None = None, *, period_seconds: float = PERIOD_SECONDS
    ) -> None:
        super().__init__(name=f"{TELEMETRY_THREAD}-feedback", daemon=True)
        self._settings = settings
        self._guard = guard or Guard()
        self._period_seconds = period_seconds
        self._stopping = threading.Event()
        self._old_at = 0.0
        self._young_after: Any = None
        """Where the look through the young ones goes on: more of them may wait than one look takes."""
        self._old_after: Any = None
        """The same of the older ones."""
        self._told = ""

    def run(self) -> None:
        """Look every period, until stopped."""
        while not self._stopping.wait(self._period_seconds):
            with self._guard.job("joining outcomes"):
                if self._my_turn():
                    self.look()

    def stop(self) -> None:
        """End; what is being looked at is not waited for."""
        self._stopping.set()

    def look(self, *, whole: bool = False) -> int:
        """Join and retire what can be; return how many documents were rewritten. A store that is away is left
        for the next time.

        With `whole` the store first shows everything that it has taken, and all of it is looked at.
        """
        settings = self._settings.store
        try:
            with connect_store(settings, timeout=REQUEST_SECONDS) as client:
                if whole:
                    client.indices.refresh(index=f"{settings.es_index_prefix}{MESSAGE}", **LENIENT)
                written = self._look(client, datetime.now(UTC), sys.maxsize if whole else MOST_PAGES)
        except (ApiError, TransportError) as error:
            said = fault_of(error, settings.url).text
            if said != self._told:  # once, not every period
                self._told = said
                logger.info("outcomes are not joined: {}", said)
            return 0
        self._told = ""
        return written

    def _look(self, client: Elasticsearch, now: datetime, pages: int) -> int:
        young = {"gte": _text(now - YOUNG)}
        written, self._young_after = self._walk(client, now, young, self._young_after, pages)
        if time.monotonic() >= self._old_at:
            old = {"gte": _text(now - LONGEST), "lt": _text(now - YOUNG)}
            more, self._old_after = self._walk(client, now, old, self._old_after, pages)
            written += more
            if self._old_after is None:
                self._old_at = time.monotonic() + OLD_SECONDS
        return written

    def _walk(
        self, client: Elasticsearch, now: datetime, bounds: Source, after: Any, pages: int
    ) -> tuple[int, Any]:
        """Work off the outcomes of a time; return how many were rewritten, and where to go on, if at all."""
        written = 0
        for _ in range(pages):
            if self._stopping.is_set():
                break
            page = self._page(client, bounds, after)
            written += self._work_off(client, page, now)
            if len(page) < PAGE:
                return written, None
            after = page[-1]["sort"]
        return written, after

    def _page(self, client: Elasticsearch, bounds: Source, after: Any) -> Sequence[Hit]:
        """Return the next outcomes that are neither joined nor retired, newest first."""
        clauses: list[Source] = [
            {"term": {"doc_type": "feedback"}},
            {"term": {"outcome.joined": False}},
            {"term": {"outcome.superseded": False}},
            {"range": {"@timestamp": bounds}},
        ]
        answer = client.search(
            index=f"{self._settings.store.es_index_prefix}{MESSAGE}",
            query={"bool": {"filter": clauses}},
            size=PAGE,
            sort=[{name: "desc"} for name in _ORDER],
            source=_WANTED,
            track_total_hits=False,
            **({} if after is None else {"search_after": after}),
            **LENIENT,
        )
        hits: Sequence[Hit] = answer["hits"]["hits"]
        return hits

    def _work_off(self, client: Elasticsearch, page: Sequence[Hit], now: datetime) -> int:
        ids = {hit["_source"]["transaction_id"] for hit in page}
        if not ids:
            return 0
        found = known(client, self._settings.store.es_index_prefix, ids, REQUEST_SECONDS)
        operations: list[Any] = []
        for one in found.values():
            for hit, source in rewrites(one, now):
                place = {"_index": hit["_index"], "_id": hit["_id"]}
                read = {"if_seq_no": hit["_seq_no"], "if_primary_term": hit["_primary_term"]}
                operations += [orjson.dumps({"index": {**place, **read}}), orjson.dumps(source)]
        if not operations:
            return 0
        answer = client.bulk(operations=operations)
        verdicts = [item["index"] for item in answer["items"]]
        for verdict in verdicts:
            if verdict["status"] not in {200, 409}:  # 409: somebody else changed it; looked at again
                logger.warning("an outcome could not be rewritten: {}", verdict.get("error"))
        return sum(verdict["status"] == 200 for verdict in verdicts)

    def _my_turn(self) -> bool:
        stream = Stream.open(self._settings.redis)
        with closing(stream.client):
            turn_ms = int(self._period_seconds * _TURN * 1000)
            return bool(stream.client.set(FEEDBACK_TURN, "joining", nx=True, px=turn_ms))


def _text(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rewrites(found: Known, now: datetime) -> Iterator[tuple[Hit, Source]]:
    """Yield the outcomes of one prediction whose documents must change, and what they are to be.

    The one recorded last counts, the others are superseded. A correction is not joined before what it
    corrects is there: else both would count for a while.
    """
    for position, hit in enumerate(found.outcomes):
        source = hit["_source"]
        outcome = source["outcome"]
        counts = position == len(found.outcomes) - 1
        changed = None
        if (
            not outcome["joined"]
            and found.prediction is not None
            and (not counts or _may_join(found, hit, now))
        ):
            changed = joined_if_sound(source, found.prediction)
        if not counts and not outcome["superseded"]:
            changed = changed or source
            changed = {**changed, "outcome": {**changed["outcome"], "superseded": True}}
        if changed is not None:
            yield hit, changed


def _may_join(found: Known, hit: Hit, now: datetime) -> bool:
    source = hit["_source"]
    if not source["outcome"]["correction"] or now - datetime.fromisoformat(source["@timestamp"]) > PATIENCE:
        return True
    return any(not other["_source"]["outcome"]["correction"] for other in found.outcomes)

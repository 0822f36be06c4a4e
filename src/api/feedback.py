"""Taking outcomes for POST /feedback: off the event loop, each recorded once, bounded and limited in time.

What Redis knows of an outcome is asked first, then the store; one script decides and writes. A call that is
repeated after a lost answer finds its outcomes "known".
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal
from uuid import UUID

import redis
from elasticsearch import ApiError, TransportError

from vigie.api.exchange import Exchange
from vigie.api.feedback_reading import Given, Item, Refused
from vigie.api.problems import Problem
from vigie.indices.mappings import MESSAGE
from vigie.indices.store_client import connect_store, fault_of
from vigie.settings import Settings
from vigie.telemetry.event import FEEDBACK, Event
from vigie.telemetry.metrics.figures import Figures
from vigie.telemetry.stream.outcomes import NewOutcome, NoRoomError, Outcomes
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import connect

Status = Literal["recorded", "known", "kept", "corrected", "conflict", "unknown", "invalid"]
FAILED: Final[tuple[Status, ...]] = ("conflict", "unknown", "invalid")
SECONDS: Final = 2.0
"""How long Redis, and the store, may take for one call."""
WAIT_SECONDS: Final = 8.0
"""How long a call waits in all."""
THREADS: Final = 4
MOST_WAITING: Final = 64
"""Calls in hand beyond which further ones are turned away."""
YOUNG_MS: Final = 24 * 3600 * 1000
"""Age of an id up to which its prediction may still be on its way into the store."""
AHEAD_MS: Final = 60_000
"""How far ahead another machine's clock may be."""
MOST_HITS: Final = 10_000
_WANTED: Final[Any] = ["transaction_id", "doc_type", "status", "outcome"]
RETRY: Final = {"retry-after": "5"}
_LENIENT: Final[Mapping[str, Any]] = {"ignore_unavailable": True, "allow_no_indices": True}


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one item."""

    status: Status
    transaction_id: str | None
    detail: str = ""
    refused: Refused | None = None


class UncertainError(Exception):
    """Redis failed while it was recording: it may have recorded everything, or nothing."""

    def __init__(self, cause: redis.RedisError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class FeedbackWriter:
    """Records outcomes; every call of Redis and the store is in a thread of its own and limited in time."""

    def __init__(self, settings: Settings, figures: Figures) -> None:
        self._settings = settings
        self._figures = figures
        self._address = "{}:{}".format(*settings.redis.address)
        self._redis = connect(settings.redis, timeout=SECONDS)
        self._store = connect_store(settings.store, timeout=SECONDS)
        self._outcomes = Outcomes(self._redis, settings.redis.redis_stream_max_entries)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="feedback")
        self._waiting = 0

    async def take(self, items: Sequence[Item], exchange: Exchange) -> list[Taken]:
        """Record what can be recorded; return what became of each item, in their order.

        Raises Problem (503) when Redis or the store is away, or does not answer in time: nothing was taken,
        or what was will be found known.
        """
        if not self._settings.redis.log_to_redis:
            raise Problem(503, "LOG_TO_REDIS=false: events go to standard output, no outcome can be recorded")
        if self._waiting >= MOST_WAITING:
            raise Problem(503, "Too many outcomes are being recorded; send this again", headers=RETRY)
        work = partial(self._take, items, exchange.instant.timestamp, exchange.correlation_id)
        self._waiting += 1
        job = asyncio.get_running_loop().run_in_executor(self._threads, work)
        job.add_done_callback(self._done)
        try:
            taken = await asyncio.wait_for(asyncio.shield(job), WAIT_SECONDS)
        except redis.RedisError as error:
            told = redis_fault(error).told(f"Redis at {self._address}")
            raise Problem(503, f"{told}. Nothing was recorded", headers=RETRY) from None
        except UncertainError as error:
            told = redis_fault(error.cause).told(f"Redis at {self._address}")
            said = "It may have recorded them: send this again, what was recorded is known then"
            raise Problem(503, f"{told}. {said}", headers=RETRY) from None
        except (ApiError, TransportError) as error:
            told = fault_of(error, self._settings.store.url).text
            raise Problem(503, f"{told}. Nothing was recorded", headers=RETRY) from None
        except NoRoomError:
            raise Problem(
                503,
                "The stream is full of events that are not indexed yet; nothing was recorded",
                headers=RETRY,
            ) from None
        except TimeoutError:
            raise Problem(
                503, f"No answer within {WAIT_SECONDS:g} seconds; send it again", headers=RETRY
            ) from None
        for status, count in Counter(one.status for one in taken).items():
            self._figures.feedback(status, count)
        return taken

    def count_invalid(self) -> None:
        """Count a call that was refused before anything of it was looked at."""
        self._figures.feedback("invalid", 1)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._redis.close()
        self._store.close()

    def _done(self, job: asyncio.Future[list[Taken]]) -> None:
        self._waiting -= 1
        if not job.cancelled():
            job.exception()

    def _take(self, items: Sequence[Item], timestamp: str, correlation_id: str | None) -> list[Taken]:
        given = [item for item in items if isinstance(item, Given)]
        stored = self._stored(given)
        taken: dict[int, Taken] = {}
        accepted: list[tuple[int, Given]] = []
        for position, item in enumerate(items):
            reason = "" if isinstance(item, Refused) else stored.unknown(item.transaction_id)
            if isinstance(item, Refused):
                taken[position] = Taken("invalid", item.transaction_id, _reasons(item), item)
            elif reason:
                taken[position] = Taken("unknown", item.transaction_id, reason)
            else:
                accepted.append((position, item))
        new = [_new(item, stored.labels.get(item.transaction_id, ""), timestamp, correlation_id)
               for _, item in accepted]  # fmt: skip
        try:
            answers = self._outcomes.record(new) if new else []
        except redis.RedisError as error:
            raise UncertainError(error) from error
        for (position, item), (status, before) in zip(accepted, answers, strict=True):
            found: Status = status
            if status == "recorded" and item.transaction_id not in stored.predictions:
                found = "kept"
            taken[position] = Taken(found, item.transaction_id, _detail(found, before))
        return [taken[position] for position in range(len(items))]

    def _stored(self, given: Sequence[Given]) -> Stored:
        """Return what is known of the ids; the store is asked for those that Redis does not know."""
        ids = list(dict.fromkeys(item.transaction_id for item in given))
        labels = self._outcomes.labels(ids) if ids else []
        stored = Stored({one for one, label in zip(ids, labels, strict=True) if label}, time.time_ns())
        asked = sorted(set(ids) - stored.recorded)
        if not asked:
            return stored
        clauses = [{"terms": {"transaction_id": asked}}, {"terms": {"doc_type": ["prediction", "feedback"]}}]
        answer = self._store.search(
            index=f"{self._settings.store.es_index_prefix}{MESSAGE}",
            query={"bool": {"filter": clauses}},
            size=MOST_HITS,
            sort=[{"@timestamp": "asc"}, {"producer": "asc"}, {"number": "asc"}],
            source=_WANTED,
            track_total_hits=False,
            **_LENIENT,
        )
        for hit in answer["hits"]["hits"]:
            stored.add(hit["_source"])
        return stored


class Stored:
    """What Redis and the store know of the ids of one call."""

    def __init__(self, recorded: set[str], now_ns: int) -> None:
        """`recorded` are the ids whose outcome Redis knows."""
        self.recorded = recorded
        self.predictions: set[str] = set()
        self.labels: dict[str, str] = {}
        """Labels that only the store knows."""
        self._refused: set[str] = set()
        self._now_ms = now_ns // 1_000_000

    def add(self, source: Mapping[str, Any]) -> None:
        """Take note of a document; they come in the order of their time."""
        transaction_id = source["transaction_id"]
        if source["doc_type"] == FEEDBACK:
            if not source["outcome"].get("superseded"):
                self.labels[transaction_id] = source["outcome"]["label"]
        elif source.get("status") == "ok":
            self.predictions.add(transaction_id)
        else:
            self._refused.add(transaction_id)

    def unknown(self, transaction_id: str) -> str:
        """Say why there can be no outcome for that id; empty when there can."""
        if (
            transaction_id in self.recorded
            or transaction_id in self.labels
            or transaction_id in self.predictions
        ):
            return ""
        if transaction_id in self._refused:
            return "That request was refused: there is no prediction"
        made_ms = _made_ms(transaction_id)
        if made_ms is not None and self._now_ms - YOUNG_MS < made_ms <= self._now_ms + AHEAD_MS:
            return ""
        return "No prediction of that id is stored, and it is not one of the last 24 hours"


def _made_ms(transaction_id: str) -> int | None:
    """Return when an id of version 7 was made, in milliseconds since 1970; None for another."""
    made = UUID(transaction_id)
    return made.int >> 80 if made.version == 7 else None


def _new(given: Given, stored: str, timestamp: str, correlation_id: str | None) -> NewOutcome:
    event = _event(given, timestamp, correlation_id, correction=False)
    correction = _event(given, timestamp, correlation_id, correction=True) if given.correct else None
    return NewOutcome(given.transaction_id, given.label, stored, event, correction)


def _event(given: Given, timestamp: str, correlation_id: str | None, *, correction: bool) -> Event:
    shown = " (correction)" if correction else ""
    event = Event(
        timestamp=timestamp,
        level="INFO",
        message=f"[{given.transaction_id}] outcome {given.label}{shown}",
        data={
            "kind": "feedback",
            "transaction_id": given.transaction_id,
            "outcome": {
                "label": given.label,
                "position": given.position,
                "at": given.at or timestamp,
                "correction": correction,
            },
        },
    )
    if correlation_id is not None:
        event["data"]["correlation_id"] = correlation_id
    return event


def _detail(status: Status, before: str) -> str:
    match status:
        case "conflict":
            return f'The outcome is recorded as {before}; send "correct": true to correct it'
        case "corrected":
            return f"It was {before}"
        case "kept":
            return "The prediction is not stored yet; the outcome is joined to it when it is"
        case _:
            return ""


def _reasons(refused: Refused) -> str:
    return "; ".join(f"{error['field']} {error['reason']}".strip() for error in refused.errors)

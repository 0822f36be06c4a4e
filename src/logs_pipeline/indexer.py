"""Sends documents to the store until each has a verdict, and settles an event when all of its have.

Its own loop over the client's `bulk`: the client's helpers retry nothing on time-outs and report a
partial failure badly. A document is created under a fixed id, so sending it again is harmless. A bulk goes
out as the bytes that the filter made, and of the answer only the verdicts are asked for: a whole one is a
third as long as the documents.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import orjson
from elasticsearch import ApiError, Elasticsearch, TransportError

from vigie.indices.store_client import fault_of
from vigie.indices.verdicts import DONE, Fault, item
from vigie.logs_pipeline.breaker import BulkSize, CircuitBreaker, backoff
from vigie.logs_pipeline.filter import Document
from vigie.telemetry.ids import iso_timestamp
from vigie.telemetry.stream.dead_letters import Failure
from vigie.telemetry.stream.stream import StreamEntry, Verdict

VERDICTS: Final = ("errors", "items.*.status", "items.*.error")
"""What of the answer to a bulk is asked for."""
ALONE_AFTER: Final = 5
"""Attempts after which a document that the server fails on is sent alone, to see whether it is the cause."""


@dataclass(slots=True)
class Job:
    """An event on its way into the store."""

    entry: StreamEntry
    documents: Sequence[Document]
    suspect: bool = False
    """Delivered too often: its documents are sent alone."""
    open: int = field(init=False)
    stored: dict[str, int] = field(default_factory=dict)
    """Physical index → documents the store has taken."""
    failures: list[Failure] = field(default_factory=list)
    reason: str = ""
    """Why it is dead: what became of the first document that was refused."""
    attempts: int = 1
    """How often the document was sent that was sent most."""
    read_ns: int = field(default_factory=time.time_ns)

    def __post_init__(self) -> None:
        self.open = len(self.documents)

    @property
    def has_outcome(self) -> bool:
        """Whether its last document is that of an outcome, to be joined with a prediction."""
        return bool(self.documents) and bool(self.documents[-1].prediction)

    def refused(self, document: Document, fault: Fault) -> None:
        """Note that `document` can never be stored."""
        found = Failure(document.physical, document.id, fault.status, fault.type, fault.reason or fault.text)
        self.failures.append(found)
        self.reason = self.reason or fault.text

    def verdict(self) -> Verdict:
        """Return the state the event ends in: dead when any of its documents is."""
        if not self.failures:
            return Verdict(self.entry, "indexed", self.stored)
        first_at = iso_timestamp(self.read_ns)
        return Verdict(self.entry, "dead", self.stored, self.reason, self.failures, self.attempts, first_at)


@dataclass(slots=True)
class Line:
    """One document of a bulk."""

    job: Job
    document: Document
    action: bytes
    failures: int = 0
    """Times the server failed on it."""
    sent: int = 0
    """Times it was sent."""
    stored_before: int = -1
    """Documents the store had taken when the server failed on it first."""

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.action) + len(self.document.source) + 2

    @property
    def alone(self) -> bool:
        """Whether it goes in a bulk of its own."""
        return self.failures >= ALONE_AFTER


class Indexer:
    """Shared by the workers' threads: one breaker and one bulk size for all."""

    def __init__(
        self, client: Elasticsearch, url: str, stop: threading.Event, breaker: CircuitBreaker
    ) -> None:
        self._client = client
        self._url = url
        self._stop = stop
        self.breaker = breaker
        self.bulk_size = BulkSize()
        self.retried = 0
        """Documents sent again, over the indexer's life."""
        self._stored = 0

    def index(self, jobs: Sequence[Job], settle: Callable[[Sequence[Verdict]], None]) -> None:
        """Send the documents of `jobs` until each has a verdict, or until stop is set.

        `settle` is called with the verdicts of the events that have all of theirs, as they come.
        """
        lines = [
            Line(job, document, _action(document), ALONE_AFTER if job.suspect else 0)
            for job in jobs
            for document in job.documents
        ]
        attempt = 0
        while lines and not self._stop.is_set():
            again: list[Line] = []
            for bulk in self._bulks(lines):
                again += self._send(bulk)
                finished = {id(line.job): line.job for line in bulk if line.job.open == 0}
                if finished:
                    settle([job.verdict() for job in finished.values()])
            self.retried += len(again)
            attempt = 0 if len(again) < len(lines) else attempt + 1
            lines = again
            if lines and self.breaker.reason is None:  # an open breaker waits by itself
                self._stop.wait(backoff(attempt))

    def _bulks(self, lines: Sequence[Line]) -> Iterator[list[Line]]:
        """Yield the bulks; each is cut when it is its turn, to the size the store takes by then."""
        alone = [line for line in lines if line.alone]  # now: what fails meanwhile is for the next round
        yield from self.bulk_size.cut([line for line in lines if not line.alone])
        yield from ([line] for line in alone)

    def _send(self, bulk: Sequence[Line]) -> list[Line]:
        """Send one bulk, note the verdicts, and return the lines that must be sent again."""
        if not self.breaker.wait(self._stop):
            return list(bulk)
        try:
            return self._sent(bulk)
        except Exception:
            reason = self.breaker.reason
            if reason is not None:  # this was the one try that all others wait for
                self.breaker.trip(reason)
            raise

    def _sent(self, bulk: Sequence[Line]) -> list[Line]:
        again = []
        tripping: Fault | None = None
        failed: Fault | None = None
        for line, fault in zip(bulk, self._faults(bulk), strict=True):
            job = line.job
            line.sent += 1
            job.attempts = max(job.attempts, line.sent)
            if fault.ruling == "done":
                index = line.document.physical
                job.stored[index] = job.stored.get(index, 0) + 1
                job.open -= 1
                self._stored += 1
                continue
            if fault.trips:
                tripping = fault
            if fault.ruling == "dead" or (fault.ruling == "unclear" and self._guilty(line)):
                job.refused(line.document, fault)
                job.open -= 1
            else:
                again.append(line)
                failed = fault
        if tripping is None and failed is not None and len(again) == len(bulk):
            # nothing of it was taken: the store is at fault, unless one document is that it fails on
            tripping = failed if len(bulk) > 1 or failed.ruling == "retry" else None
        if tripping is not None:
            self.breaker.trip(tripping.text)
        elif len(again) < len(bulk):
            self.breaker.close()
        return again

    def _faults(self, bulk: Sequence[Line]) -> list[Fault]:
        """Send the bulk once (in halves where it is too large) and return the ruling on each line."""
        started = time.monotonic()
        try:
            answer = self._client.bulk(operations=_body(bulk), filter_path=VERDICTS)
        except (ApiError, TransportError) as error:
            fault = fault_of(error, self._url)
            if fault.ruling == "too_large":
                self.bulk_size.failed()
                if len(bulk) > 1:
                    middle = len(bulk) // 2
                    return [*self._faults(bulk[:middle]), *self._faults(bulk[middle:])]
                text = f"the store takes no request of its size ({bulk[0].size} bytes)"
                return [replace(fault, ruling="dead", text=text, reason=text)]
            if fault.ruling == "retry":
                self.bulk_size.failed()
            return [fault] * len(bulk)
        items = answer.body.get("items") if isinstance(answer.body, dict) else None
        if not isinstance(items, list) or len(items) != len(bulk):  # cut off, or of somebody else's making
            text = f"the store at {self._url} gave no full answer to a bulk: see its log, or that of a proxy"
            return [Fault("retry", text, trips=True)] * len(bulk)
        faults = [_ruling(next(iter(found.values()))) for found in items]
        if any(fault.ruling == "retry" for fault in faults):
            self.bulk_size.failed()
        else:
            self.bulk_size.succeeded(time.monotonic() - started)
        return faults

    def _guilty(self, line: Line) -> bool:
        """Whether the server fails on this document alone while it takes others; notes the failure."""
        if line.stored_before < 0:
            line.stored_before = self._stored
        guilty = line.alone and self._stored > line.stored_before
        line.failures += 1
        return guilty


def _ruling(found: Mapping[str, Any]) -> Fault:
    status = found["status"]
    if status == 201:
        return DONE
    fault = item(status, found.get("error"))
    return replace(fault, ruling="dead") if fault.ruling == "too_large" else fault


def _action(document: Document) -> bytes:
    return b"%b%b}}" % (_opening(document.physical), orjson.dumps(document.id))


@lru_cache(maxsize=64)
def _opening(physical: str) -> bytes:
    return b'{"create":{"_index":%b,"_id":' % orjson.dumps(physical)


def _body(bulk: Sequence[Line]) -> Any:
    """Return the request; typed as what the client's stubs want, which is more than the client does."""
    lines = [part for line in bulk for part in (line.action, line.document.source)]
    lines.append(b"")
    return b"\n".join(lines)

"""Sends outcomes when they are due.

Open loop as well: an outcome is due at a time of its own, whatever the API does. What is due is sent in one
list, so that a slow API gets longer lists and nothing piles up here.
"""

from __future__ import annotations

import heapq
import itertools
import ssl
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx

from vigie.simulation.outcome_tally import MOST_TRIES, MOST_WAITING, OutcomeTally
from vigie.simulation.requests import Request
from vigie.simulation.run import PATIENCE_SECONDS, Clock, Result, SystemClock

MOST_AT_ONCE: Final = 500
"""Outcomes of one list; the API takes 1,000."""
RETRY_SECONDS: Final = 2.0
"""How long after a failure a list is sent again: the API takes each outcome once."""
LOOK_SECONDS: Final = 0.05
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True, order=True)
class _Known:
    """An outcome on its way; in the order in which they are due."""

    due: float
    number: int
    transaction_id: str = field(compare=False)
    label: str = field(compare=False)
    tries: int = field(default=0, compare=False)


class OutcomeSender:
    """Sends each outcome when it is due; is told of every answer to rows (as a run's `heard`)."""

    def __init__(
        self, url: str, *, clock: Clock | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.tally = OutcomeTally()
        self._url = url
        self._clock = clock or SystemClock()
        self._transport = transport
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._waiting: list[_Known] = []
        self._last = threading.Event()
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="outcomes")
        self._work: Future[None] | None = None

    def __call__(self, request: Request, results: Sequence[Result]) -> None:
        """Keep the outcomes of the rows of one answer until they are due."""
        now = self._clock.now()
        for row, result in zip(request.rows, results, strict=True):
            if row.known_after_seconds is None or row.label is None or "error" in result:
                continue
            due, number = now + row.known_after_seconds, next(self._numbers)
            self._keep(_Known(due, number, result["transaction_id"], row.label))

    def start(self) -> None:
        """Begin to send, from a thread of its own."""
        self._work = self._pool.submit(self._send_all)

    def finish(self) -> None:
        """Let it end once all that it was told of is sent."""
        self._last.set()

    @property
    def finished(self) -> bool:
        """Whether it has ended, by itself or by what it stumbled over."""
        return self._work is not None and self._work.done()

    def stop(self) -> None:
        """End now, without what is not due; raises what it stumbled over."""
        self._stopped.set()
        self._pool.shutdown()
        if self._work is not None:
            self._work.result()

    def _send_all(self) -> None:
        with self._client() as client:
            while not self._stopped.is_set():
                if known := self._due():
                    self._send(client, known)
                elif self._last.is_set() and not self.tally.waiting:
                    return
                else:
                    self._clock.wait(LOOK_SECONDS, self._stopped)

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._url,
            timeout=PATIENCE_SECONDS,
            trust_env=False,
            verify=ssl.create_default_context(),
            transport=self._transport,
        )

    def _keep(self, known: _Known) -> None:
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self.tally.left_out += 1
                return
            heapq.heappush(self._waiting, known)
            self.tally.waiting = len(self._waiting)

    def _due(self) -> list[_Known]:
        """Return what is due, the earliest first, and no more than goes into one list."""
        found: list[_Known] = []
        now = self._clock.now()
        with self._lock:
            while self._waiting and self._waiting[0].due <= now and len(found) < MOST_AT_ONCE:
                found.append(heapq.heappop(self._waiting))
        return found

    def _send(self, client: httpx.Client, known: Sequence[_Known]) -> None:
        statuses = self._asked(client, known)
        again = self._clock.now() + RETRY_SECONDS
        for one, status in zip(known, statuses, strict=True):
            if status:
                self.tally.statuses[status] += 1
            elif one.tries + 1 >= MOST_TRIES:
                self.tally.failed += 1
            else:
                self._keep(replace(one, due=again, tries=one.tries + 1))
        with self._lock:
            self.tally.waiting = len(self._waiting)

    def _asked(self, client: httpx.Client, known: Sequence[_Known]) -> Sequence[str]:
        """Return what the API says of each; empty texts where it failed, or nobody answered."""
        given = [{"transaction_id": one.transaction_id, "label": one.label} for one in known]
        try:
            answer = client.post("/feedback", json=given)
            if 400 <= answer.status_code < 500 and answer.status_code != _TOO_MANY:
                return ["refused"] * len(known)
            answer.raise_for_status()
            results: Sequence[Mapping[str, Any]] = answer.json()["results"]
            statuses = [str(one["status"]) for one in results]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            statuses = []
        return statuses if len(statuses) == len(known) else [""] * len(known)

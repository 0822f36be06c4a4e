"""Clients that keep their own list of what was answered: the judges of delivery."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

CLIENTS = 16
LOAD_THREADS = 2
ROWS = 100
"""Rows of one call of /predict/batch: each is an event."""
RETRY_SECONDS = 0.05
TRICKLE_SECONDS = 0.2
"""Pause between two calls of a thread once the wanted number is answered."""


@dataclass
class Client:
    """Sends predictions at full speed and keeps its own list: what it sent, and what was answered."""

    url: str
    records: list[dict[str, object]]
    answered: dict[str, str] = field(default_factory=dict)
    """Transaction id by the request's own id."""
    unanswered: set[str] = field(default_factory=set)
    """Requests whose answer never came: they may or may not have been served."""

    async def send_all(self) -> None:
        """Send every record until each has an answer; a lost connection sends it again under a new id."""
        waiting = list(self.records)
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as client:
            await asyncio.gather(*(self._work(client, waiting) for _ in range(CLIENTS)))

    async def _work(self, client: httpx.AsyncClient, waiting: list[dict[str, object]]) -> None:
        while waiting:
            record = waiting.pop()
            request_id = str(uuid.uuid4())
            try:
                answer = await client.post("/predict", json=record, headers={"X-Request-ID": request_id})
            except httpx.HTTPError:
                self.unanswered.add(request_id)
                waiting.append(record)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            assert answer.status_code == 200, answer.text
            assert answer.headers["X-Transaction-Id"] == answer.json()["transaction_id"]
            self.answered[request_id] = answer.json()["transaction_id"]


@dataclass
class Load:
    """Volume: batches of real predictions from threads, until `wanted` rows are answered and `stop` is set.

    Between the two it trickles, so that faults which need traffic to act find some.
    """

    url: str
    records: Sequence[dict[str, object]]
    label: str
    """What the ids of its requests, the events' correlation ids, begin with."""
    wanted: int
    answered: set[str] = field(default_factory=set)
    """Transaction ids of the answered rows: one event each."""
    batches: set[str] = field(default_factory=set)
    """Answered calls of /predict/batch: beside its rows each is an event."""
    unanswered: set[str] = field(default_factory=set)
    """Requests that were not answered with 200: their events may or may not exist."""
    newest: str = ""
    """Timestamp of the newest answer, by the API's clock."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: int = 0

    def start(self) -> None:
        """Begin to send."""
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(LOAD_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send until `wanted` rows are answered, then end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""
        return self._open

    def _work(self, number: int) -> None:
        turn = number
        with httpx.Client(base_url=self.url, timeout=20) as client:
            while not (enough := len(self.answered) >= self.wanted) or not self._stop.is_set():
                if enough:
                    self._stop.wait(TRICKLE_SECONDS)
                turn += 1
                self._call(client, turn)

    def _call(self, client: httpx.Client, turn: int) -> None:
        """Send one batch; every fourth call is a single prediction."""
        request_id = f"{self.label}-{uuid.uuid4()}"
        start = turn * ROWS % (len(self.records) - ROWS)
        single = turn % 4 == 0
        path, body = ("/predict", self.records[start]) if single else ("/predict/batch", self._rows(start))
        with self._lock:
            self._open += 1
        try:
            answer = client.post(path, json=body, headers={"X-Request-ID": request_id})
            found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        except (httpx.HTTPError, ValueError):
            found = {}
        with self._lock:
            self._open -= 1
            if found:
                self.answered.update(row["transaction_id"] for row in found.get("results", [found]))
                self.newest = found["timestamp"]
                if not single:
                    self.batches.add(request_id)
            else:
                self.unanswered.add(request_id)
        if not found:
            time.sleep(RETRY_SECONDS)

    def _rows(self, start: int) -> list[dict[str, object]]:
        return list(self.records[start : start + ROWS])

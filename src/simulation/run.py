"""Sends requests when they are due, by a number of users at once.

Open loop: the times are fixed beforehand, and a slow API does not move them. A request that finds every user
waiting for an answer is sent late, and its latency is counted from the moment it was due: a closed loop
would leave out the requests that suffer most.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import httpx

from vigie.simulation.requests import Request
from vigie.simulation.tally import LATE_SECONDS, NO_ANSWER, Tally

PATIENCE_SECONDS: Final = 30.0
"""How long an answer is waited for."""

Result = Mapping[str, Any]
"""An answer to one row: transaction_id, label … or, in a batch, error."""
Heard = Callable[[Request, Sequence[Result]], None]
"""Told of each answer to rows, with a result for each of them."""


class Clock(Protocol):
    """Tells the time, and waits."""

    def now(self) -> float:
        """Return the seconds since some moment."""

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Wait so long, or until the event; return whether it is set."""


class SystemClock:
    """The time of this machine."""

    def now(self) -> float:
        """Return the seconds since some moment."""
        return time.monotonic()

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Wait so long, or until the event; return whether it is set."""
        return until.wait(seconds) if seconds > 0 else until.is_set()


@dataclass
class Run:
    """One run: `planned` requests, each with the second from the start at which it is due."""

    url: str
    planned: Iterator[tuple[float, Request]]
    users: int = 1
    heard: Heard | None = None
    tally: Tally = field(default_factory=Tally)
    clock: Clock = field(default_factory=SystemClock)
    transport: httpx.BaseTransport | None = None
    began: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _pool: ThreadPoolExecutor | None = None
    _users: list[Future[None]] = field(default_factory=list)

    def start(self) -> None:
        """Begin to send, from a thread for each user."""
        context = ssl.create_default_context()  # costs as much as fifty requests: one for all users
        clients = [self._client(context) for _ in range(self.users)]
        self.began = self.clock.now()
        self._pool = ThreadPoolExecutor(self.users, thread_name_prefix="user")
        self._users = [self._pool.submit(self._work, client) for client in clients]

    @property
    def finished(self) -> bool:
        """Whether everything planned was sent and answered, or a user stumbled."""
        return all(user.done() for user in self._users)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self.clock.now() - self.began

    def stop(self) -> None:
        """Send no more and wait for the answers under way; raises what a user stumbled over."""
        self._stopped.set()
        self.join()

    def join(self) -> None:
        """Wait until everything planned was sent and answered; raises what a user stumbled over."""
        if self._pool is not None:
            self._pool.shutdown()
        for user in self._users:
            user.result()

    def _client(self, context: ssl.SSLContext) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            timeout=PATIENCE_SECONDS,
            trust_env=False,
            verify=context,
            transport=self.transport,
        )

    def _work(self, client: httpx.Client) -> None:
        """Take the next request, wait until it is due, send it; until there is none."""
        with client:
            while True:
                with self._turn:
                    due, request = next(self.planned, (0.0, None))
                if request is None or self.clock.wait(self.began + due - self.clock.now(), self._stopped):
                    return
                self._send(client, request, self.began + due)

    def _send(self, client: httpx.Client, request: Request, due: float) -> None:
        late = self.clock.now() - due > LATE_SECONDS
        headers = {"content-type": "application/json"} if request.body is not None else {}
        results: Sequence[Result] = ()
        try:
            answer = client.request(request.method, request.path, content=request.body, headers=headers)
            status = answer.status_code
            if request.rows and answer.is_success:
                results = _results(request, answer)
        except (httpx.HTTPError, ValueError, KeyError, AttributeError, TypeError):
            status = NO_ANSWER  # nobody there, or an answer that is not the API's
        self.tally.count(request.kind, status, self.clock.now() - due, late)
        if results:
            self.tally.count_predictions(sum("error" not in result for result in results))
            if self.heard is not None:
                self.heard(request, results)


def _results(request: Request, answer: httpx.Response) -> Sequence[Result]:
    """Return a result for each row; raises ValueError and the like when the answer holds something else."""
    body = answer.json()
    results: Sequence[Result] = body.get("results", [body])
    if len(results) != len(request.rows):
        raise ValueError(f"{len(results)} results for {len(request.rows)} rows")
    for result in results:
        if "error" not in result:
            result["transaction_id"]
    return results

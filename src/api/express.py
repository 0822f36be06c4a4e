"""The express lane: predictions answered by the HTTP protocol itself, a whole turn of the loop in one go.

An ASGI task, its messages and its awaits cost a request more than the model and its event together. So a
request for a hot endpoint that is complete in one read and has nothing unusual about it waits here for
the next turn of the loop; then all that came are validated, predicted, journalled by one append and
answered. Everything else takes the ASGI way, which gives the same answer: validation, answer, event and
headers are the same functions. A model that is too dear to run on the loop has no express lane.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from vigie.api.answer import Answer
from vigie.api.busy_poll import BusyPoll
from vigie.api.dispatch import answer_of, failed
from vigie.api.events import Recorder
from vigie.api.exchange import Exchange
from vigie.api.gateway import DATA_HEADERS, Gateway, Identify, server_timing
from vigie.api.hot import SinglePrediction
from vigie.api.problems import Problem
from vigie.api.roles import may
from vigie.model.batcher import InferenceError
from vigie.model.inference import Inference
from vigie.model.predictor import Predictor
from vigie.telemetry.context import current_transaction
from vigie.telemetry.event import PREDICTION, ModelIdentity

UNUSUAL: Final = frozenset(
    {b"origin", b"expect", b"content-encoding", b"transfer-encoding", b"x-profile", b"upgrade"}
)
"""Headers that ask for more than an answer: such a request takes the ASGI way."""
Send = Callable[[int, bytes, bytes], None]
"""Takes status, header lines and body of an answer to the wire."""


class Head:
    """The head of a request, parsed."""

    __slots__ = ("headers", "scope", "target", "usual")

    def __init__(self, scope: HTTPScope) -> None:
        self.target = scope["method"], scope["path"]
        self.scope = dict(zip(("method", "path"), self.target, strict=True))
        self.headers = dict(scope["headers"])
        is_json = self.headers.get(b"content-type") == b"application/json"
        self.usual = is_json and UNUSUAL.isdisjoint(self.headers)
        """Whether it asks for nothing that only the ASGI way has."""

    @property
    def body_bytes(self) -> int:
        """Length of the body behind it."""
        return int(self.headers.get(b"content-length", b"0"))


@dataclass(slots=True)
class Passenger:
    """A request on the lane, and where its answer goes."""

    endpoint: SinglePrediction
    exchange: Exchange
    send: Send
    answer: Answer | None = None


class ExpressLane:
    """Answers together, by one model, what arrived in one turn of the event loop."""

    def __init__(
        self,
        endpoints: Mapping[tuple[str, str], SinglePrediction],
        model: ModelIdentity,
        predictor: Predictor,
        recorder: Recorder,
        identify: Identify,
        max_body_bytes: int,
        busy_poll: BusyPoll,
    ) -> None:
        self._endpoints = endpoints if predictor.runs_inline else {}
        self._model = model
        self._predictor = predictor
        self._recorder = recorder
        self._identify = identify
        self._max_body_bytes = max_body_bytes
        self._busy_poll = busy_poll
        self._waiting: list[Passenger] = []
        self.is_open = bool(self._endpoints)

    def take(self, head: Head, body: bytes, send: Send) -> bool:
        """Answer a complete request by calling `send` in the next turn of the loop.

        Returns False, and does nothing, where it has to take the ASGI way.
        """
        endpoint = self._endpoints.get(head.target)
        if endpoint is None or not head.usual or len(body) > self._max_body_bytes:
            return False
        exchange = Exchange(head.scope, head.headers, self._identify(head.headers))
        if not may(exchange.principal, *head.target):
            return False
        exchange.kind, exchange.model = PREDICTION, self._model
        exchange.body = body
        if not self._waiting:
            # The next turn of the loop: whatever else is ready in this one travels along.
            asyncio.get_running_loop().call_soon(self._depart)
        self._waiting.append(Passenger(endpoint, exchange, send))
        return True

    def _depart(self) -> None:
        """Validate, predict and answer all; each bears an equal share of the CPU time around the model."""
        passengers, self._waiting = self._waiting, []
        cpu, departed = time.thread_time_ns(), time.perf_counter_ns()
        valid, records = [], []
        for one in passengers:
            try:
                records.append(one.endpoint.read(one.exchange))
                valid.append(one)
            except Problem as problem:
                one.answer = answer_of(problem, one.exchange)
            except Exception as error:  # noqa: BLE001 - the log is told, the client gets a problem document
                one.answer = _failure(one.exchange, error)
        outcomes = self._predictor.predict_now(records, departed) if records else []
        for one, outcome in zip(valid, outcomes, strict=True):
            one.answer = _answer(one, outcome)
        answered_at = time.thread_time_ns()  # a system call: once a turn, and the recorder goes on from it
        inferred_ms = sum(one.cost.cpu_time_ms for one in outcomes if isinstance(one, Inference))
        share = max(0, answered_at - cpu - int(inferred_ms * 1e6)) // len(passengers)
        for one in passengers:
            one.exchange.cpu_ns += share
        answered = [(one, one.answer) for one in passengers if one.answer is not None]
        self._recorder.record_all([(one.exchange, answer.status) for one, answer in answered], answered_at)
        for one, answer in answered:
            one.send(answer.status, header_lines(one.exchange, answer), answer.body)
        first = passengers[0]
        self._busy_poll.answered(first.send if len(passengers) == 1 else None, first.exchange.started_ns)


def _answer(passenger: Passenger, outcome: Inference | InferenceError) -> Answer:
    try:
        if isinstance(outcome, InferenceError):
            raise outcome
        return passenger.endpoint.answer(passenger.exchange, outcome)
    except Exception as error:  # noqa: BLE001 - the log is told, the client gets a problem document
        return _failure(passenger.exchange, error)


def _failure(exchange: Exchange, error: Exception) -> Answer:
    token = current_transaction.set(exchange.instant.id)
    try:
        return answer_of(failed(exchange, error), exchange)
    finally:
        current_transaction.reset(token)


def header_lines(exchange: Exchange, answer: Answer) -> bytes:
    """Return the headers of `answer` as they go over the wire."""
    own = b"".join(b"%b: %b\r\n" % header for header in answer.headers) if answer.headers else b""
    return b"content-type: %b\r\ncontent-length: %d\r\n%bx-transaction-id: %b\r\nserver-timing: %b\r\n%b" % (
        answer.content_type,
        len(answer.body),
        own,
        exchange.instant.id.encode(),
        server_timing(exchange),
        DATA_HEADER_LINES,
    )


DATA_HEADER_LINES: Final = b"".join(b"%b: %b\r\n" % header for header in DATA_HEADERS)


LONGEST_KNOWN_HEAD: Final = 1024
MOST_KNOWN_HEADS: Final = 512


class KnownHeads:
    """Heads that were parsed before, by their bytes: a client's next request mostly has the same.

    Equal bytes at the beginning of a message are the same head, so such a request needs no parser. The oldest
    head gives way to a new one.
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, tuple[Head, int]] = {}

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """Return head and body when `data` is one whole request with a known head."""
        end = data.find(b"\r\n\r\n", 0, LONGEST_KNOWN_HEAD) + 4
        known = self._heads.get(data[:end])
        return (known[0], data[end:]) if known is not None and len(data) == end + known[1] else None

    def learn(self, data: bytes, head: Head) -> None:
        """Keep the head that `data`, one whole request, was parsed to."""
        end = data.find(b"\r\n\r\n", 0, LONGEST_KNOWN_HEAD) + 4
        if end > len(b"\r\n\r\n") and len(data) == end + head.body_bytes:
            if len(self._heads) >= MOST_KNOWN_HEADS:
                del self._heads[next(iter(self._heads))]
            self._heads[data[:end]] = head, head.body_bytes


class ExpressProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with an express lane beside its ASGI tasks."""

    _heads: Final = KnownHeads()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._candidate: tuple[RequestResponseCycle, ASGI3Application] | None = None
        app = self.config.loaded_app
        self._gateway = app if isinstance(app, Gateway) else None
        self._messages = 0
        """Messages that the parser has begun in what is being parsed just now."""
        self._between = True
        """Whether the parser stands between two messages."""
        self._riding = False
        """Whether a request that the parser has not seen is being answered."""
        self._behind = b""
        """What came behind such a request, and waits for its answer."""
        self._boarded: Head | None = None
        """Head of the request that the parser has just handed to the lane."""
        self._stopping = False
        self._answered_at = 0.0

    def data_received(self, data: bytes) -> None:
        """Answer a request whose head is known without parsing it; parse everything else.

        Where a body is still to come, the ASGI way bounds the time that takes.
        """
        if self._riding:
            self._behind += data
            self.flow.pause_reading()
            return
        cycle = self.cycle
        idle = self._between and (cycle is None or cycle.response_complete) and not self.flow.write_paused
        lane = None if self._gateway is None else self._gateway.lane  # another model brings another lane
        if idle and lane is not None and lane.is_open:
            known = self._heads.find(data)
            if known is not None and lane.take(*known, self._arrive):
                self._riding = True
                return
        self._messages = 0
        super().data_received(data)
        if self._candidate is not None:
            cycle, app = self._candidate
            self._candidate = None
            super()._start_asgi_task(cycle, app)
        elif idle and self._between and self._messages == 1 and self._boarded is not None:
            self._heads.learn(data, self._boarded)
        self._boarded = None

    def _arrive(self, status: int, header_lines: bytes, body: bytes) -> None:
        """Answer the request that the parser has not seen."""
        self._riding = False
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._write(status, header_lines, body, last=self._stopping)
        self._answered_at = self.loop.time()
        if self._stopping:
            self.transport.close()
        elif self._behind:
            data, self._behind = self._behind, b""
            self.flow.resume_reading()
            self.data_received(data)
        elif self.timeout_keep_alive_task is None:
            self._wait_for_more(self.timeout_keep_alive)

    def _wait_for_more(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection when nothing was answered on it for the whole time."""
        rest = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if self._riding or rest > 0:  # one timer serves many answers
            self._wait_for_more(max(rest, 1.0))
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Close the connection, once what is on its way is answered."""
        if self._riding:
            self._stopping = True
        else:
            super().shutdown()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._between = False
        self._messages += 1
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The request is complete: it can be answered."""
        self._between = True
        super().on_message_complete()
        if self._candidate is not None and self._candidate[0] is self.cycle:
            cycle, app = self._candidate
            self._candidate = None
            self._start(cycle, app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._gateway is None or app is not self.app:
            super()._start_asgi_task(cycle, app)
        elif cycle.more_body:  # its body may be in what is being parsed just now
            self._candidate = cycle, app
        else:
            self._start(cycle, app)

    def _start(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        lane = None if self._gateway is None else self._gateway.lane
        if lane is not None and lane.is_open and cycle.keep_alive and not self.flow.write_paused:
            head = Head(cycle.scope)
            if lane.take(head, bytes(cycle.body), partial(self._finish, cycle)):
                self._boarded = head
                return
        super()._start_asgi_task(cycle, app)

    def _finish(self, cycle: RequestResponseCycle, status: int, header_lines: bytes, body: bytes) -> None:
        cycle.response_started = cycle.response_complete = True
        if not cycle.disconnected:
            self._write(status, header_lines, body, last=not cycle.keep_alive)  # False: the server stops
            if not cycle.keep_alive:
                self.transport.close()
        cycle.on_response()
        cycle.on_response = lambda: None  # as uvicorn does: it would keep the connection alive in memory

    def _write(self, status: int, header_lines: bytes, body: bytes, *, last: bool) -> None:
        ((_, date),) = self.server_state.default_headers
        end = b"connection: close\r\n\r\n" if last else b"\r\n"
        self.transport.write(b"%bdate: %b\r\n%b%b%b" % (STATUS_LINE[status], date, header_lines, end, body))

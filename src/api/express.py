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
from vigie.api.dispatch import answer_of, failed
from vigie.api.events import Recorder
from vigie.api.exchange import Exchange
from vigie.api.gateway import DATA_HEADERS, Gateway, Identify, server_timing
from vigie.api.hot import SinglePrediction
from vigie.api.problems import Problem
from vigie.api.roles import may
from vigie.model.batcher import InferenceError
from vigie.model.predictor import Inference, Predictor
from vigie.telemetry.context import current_transaction
from vigie.telemetry.event import PREDICTION

UNUSUAL: Final = frozenset(
    {b"origin", b"expect", b"content-encoding", b"transfer-encoding", b"x-profile", b"upgrade"}
)
"""Headers that ask for more than an answer: such a request takes the ASGI way."""
Send = Callable[[int, bytes, bytes], None]
"""Takes status, header lines and body of an answer to the wire."""


@dataclass(slots=True)
class Passenger:
    """A request on the lane, and where its answer goes."""

    endpoint: SinglePrediction
    exchange: Exchange
    send: Send
    answer: Answer | None = None


class ExpressLane:
    """Answers together what arrived in one turn of the event loop."""

    def __init__(
        self,
        endpoints: Mapping[tuple[str, str], SinglePrediction],
        predictor: Predictor,
        recorder: Recorder,
        identify: Identify,
        max_body_bytes: int,
    ) -> None:
        self._endpoints = endpoints if predictor.runs_inline else {}
        self._predictor = predictor
        self._recorder = recorder
        self._identify = identify
        self._max_body_bytes = max_body_bytes
        self._waiting: list[Passenger] = []

    def take(self, scope: HTTPScope, body: bytearray, send: Send) -> bool:
        """Answer a complete request by calling `send` in the next turn of the loop.

        Returns False, and does nothing, where it has to take the ASGI way.
        """
        endpoint = self._endpoints.get((scope["method"], scope["path"]))
        if endpoint is None or len(body) > self._max_body_bytes:
            return False
        headers = dict(scope["headers"])
        if headers.get(b"content-type") != b"application/json" or not UNUSUAL.isdisjoint(headers):
            return False
        exchange = Exchange(scope, headers, self._identify(headers))
        if not may(exchange.principal, exchange.method, exchange.path):
            return False
        exchange.kind = PREDICTION
        exchange.body = bytes(body)
        if not self._waiting:
            # The next turn of the loop: whatever else is ready in this one travels along.
            asyncio.get_running_loop().call_soon(self._depart)
        self._waiting.append(Passenger(endpoint, exchange, send))
        return True

    def _depart(self) -> None:
        """Validate, predict and answer everybody; each bears an equal share of the CPU time that took."""
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
        validated = time.thread_time_ns()
        outcomes = self._predictor.predict_now(records, departed) if records else []
        predicted = time.thread_time_ns()
        for one, outcome in zip(valid, outcomes, strict=True):
            one.answer = _answer(one, outcome)
        share = (time.thread_time_ns() - predicted + validated - cpu) // len(passengers)
        for one in passengers:
            one.exchange.cpu_ns += share
        answered = [(one, one.answer) for one in passengers if one.answer is not None]
        self._recorder.record_all([(one.exchange, answer.status) for one, answer in answered])
        for one, answer in answered:
            one.send(answer.status, header_lines(one.exchange, answer), answer.body)


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


class ExpressProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with an express lane beside its ASGI tasks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._candidate: tuple[RequestResponseCycle, ASGI3Application] | None = None
        app = self.config.loaded_app
        self._lane = app.lane if isinstance(app, Gateway) else None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._lane is None or app is not self.app:
            super()._start_asgi_task(cycle, app)
        elif cycle.more_body:  # its body may be in what is being parsed just now
            self._candidate = cycle, app
        else:
            self._start(cycle, app)

    def on_message_complete(self) -> None:
        """The request is complete: it can be answered."""
        super().on_message_complete()
        if self._candidate is not None and self._candidate[0] is self.cycle:
            cycle, app = self._candidate
            self._candidate = None
            self._start(cycle, app)

    def data_received(self, data: bytes) -> None:
        """Parse what came; where a body is still to come, the ASGI way bounds the time that takes."""
        super().data_received(data)
        if self._candidate is not None:
            cycle, app = self._candidate
            self._candidate = None
            super()._start_asgi_task(cycle, app)

    def _start(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        usual = cycle.keep_alive and not self.flow.write_paused
        send = partial(self._finish, cycle)
        if self._lane is None or not usual or not self._lane.take(cycle.scope, cycle.body, send):
            super()._start_asgi_task(cycle, app)

    def _finish(self, cycle: RequestResponseCycle, status: int, header_lines: bytes, body: bytes) -> None:
        cycle.response_started = cycle.response_complete = True
        if not cycle.disconnected:
            ((_, date),) = self.server_state.default_headers
            end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"  # the server stops
            self.transport.write(
                b"%bdate: %b\r\n%b%b%b" % (STATUS_LINE[status], date, header_lines, end, body)
            )
            if not cycle.keep_alive:
                self.transport.close()
        cycle.on_response()
        cycle.on_response = lambda: None  # as uvicorn does: it would keep the connection alive in memory

"""The gateway: the outermost ASGI application. Ids, the event, and what every response carries.

Order of a request: ids and timestamp from one reading of the clock → CORS where an Origin asks for
it → the dispatcher. On the way back the event is emitted before the last part of the body is handed to
the server, so an answer that somebody has is always in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vigie.api.deadline import DeadlineError
from vigie.api.dispatch import Dispatcher, failed
from vigie.api.events import CLIENT_CLOSED_REQUEST, Recorder
from vigie.api.exchange import Exchange
from vigie.api.hot import HotEndpoint
from vigie.api.limits import ClientGoneError
from vigie.api.roles import Principal, everybody
from vigie.telemetry.context import current_transaction

if TYPE_CHECKING:
    from vigie.api.express import ExpressLane

RawHeader = tuple[bytes, bytes]

EVERYWHERE: Sequence[RawHeader] = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
DATA_HEADERS: Sequence[RawHeader] = (
    *EVERYWHERE,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""On every response (OWASP's REST security cheat sheet); frame-ancestors stands for X-Frame-Options."""
DOCUMENTATION_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    b"style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com; "
    b"font-src https://fonts.gstatic.com; img-src 'self' data: https://fastapi.tiangolo.com "
    b"https://cdn.redoc.ly; worker-src blob:; frame-ancestors 'none'"
)
DOCUMENTATION_HEADERS: Sequence[RawHeader] = (
    *EVERYWHERE,
    (b"content-security-policy", DOCUMENTATION_POLICY),
    (b"referrer-policy", b"no-referrer"),
)
"""The two documentation pages load their viewer from where FastAPI says; nothing else runs scripts."""
DOCUMENTATION_PATHS = {"/docs", "/redoc"}

Identify = Callable[[Mapping[bytes, bytes]], Principal]


class Gateway:
    """Wraps the dispatcher; anything but HTTP (lifespan) goes to `lifespan`."""

    def __init__(
        self,
        app: Dispatcher,
        recorder: Recorder,
        lifespan: ASGIApp,
        *,
        cors_origins: Sequence[str] = (),
        identify: Identify = everybody,
        lane: ExpressLane | None = None,
    ) -> None:
        self.lane = lane
        """What answers predictions without an ASGI task, where the server can."""
        self._app = app
        self._recorder = recorder
        self._lifespan = lifespan
        self._identify = identify
        self._cross_origin: ASGIApp = (
            CORSMiddleware(
                app,
                allow_origins=cors_origins,
                allow_methods=("GET", "POST", "DELETE"),
                allow_headers=("*",),
                expose_headers=("X-Transaction-Id", "Server-Timing", "Retry-After"),
            )
            if cors_origins
            else app
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            raise RuntimeError(f"the API does not speak {scope['type']}")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        exchange = Exchange(scope, headers, self._identify(headers))
        current_transaction.set(exchange.instant.id)
        if b"origin" not in headers:
            endpoint = self._app.endpoint(exchange)
            if endpoint is not None:
                await self._answer(endpoint, exchange, receive, send)
                return
        state = scope.setdefault("state", {})
        state["exchange"] = exchange
        state["principal"] = exchange.principal
        response = _Response(exchange, self._recorder, send, state)
        app = self._cross_origin if b"origin" in headers else self._app
        try:
            await app(scope, receive, response.send)
        except ClientGoneError:
            response.end(CLIENT_CLOSED_REQUEST)
        except DeadlineError:
            response.end(504)  # between two parts of the body: the status is out, the connection ends here
        except Exception as error:  # noqa: BLE001 - the answer is out or cannot be sent; the log is told
            failed(exchange, error)
            response.end(500)
        finally:
            response.end(503)  # cancelled: the server stops before the answer

    async def _answer(self, endpoint: HotEndpoint, exchange: Exchange, receive: Receive, send: Send) -> None:
        """Serve a hot endpoint: the same as for everything else, with nothing in between."""
        status = 503  # cancelled: the server stops before the answer
        try:
            answer = await self._app.answer(endpoint, exchange, receive)
            status = answer.status
        except ClientGoneError:
            status = CLIENT_CLOSED_REQUEST
            return
        finally:
            self._recorder.record(exchange, status)
        headers = [*answer.raw_headers(), *common_headers(exchange)]
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})
        except Exception as error:  # noqa: BLE001 - the answer is out or cannot be sent; the log is told
            failed(exchange, error)


class _Response:
    """Passes the response on, adds the headers, and emits the event exactly once."""

    __slots__ = ("_ended", "_exchange", "_recorder", "_send", "_start", "_state", "status")

    def __init__(self, exchange: Exchange, recorder: Recorder, send: Send, state: dict[str, object]) -> None:
        self._exchange = exchange
        self._recorder = recorder
        self._send = send
        self._state = state
        self._start: Message | None = None
        self._ended = False
        self.status = 0

    async def send(self, message: Message) -> None:
        """Take one message of the application; the start is held back until the body begins."""
        if message["type"] == "http.response.start":
            self._start = message
            self.status = message["status"]
            return
        if not message.get("more_body", False):
            self.end(self.status)
        if self._start is not None:
            start, self._start = self._start, None
            self._state["started"] = True
            start["headers"] = [*start["headers"], *common_headers(self._exchange)]
            await self._send(start)
        await self._send(message)

    def end(self, status: int) -> None:
        """Emit the event of the exchange, unless that has happened."""
        if not self._ended:
            self._ended = True
            self._recorder.record(self._exchange, status)


def common_headers(exchange: Exchange) -> list[RawHeader]:
    """Return the headers that every response carries."""
    return [
        (b"x-transaction-id", exchange.instant.id.encode()),
        (b"server-timing", server_timing(exchange)),
        *(DOCUMENTATION_HEADERS if exchange.path in DOCUMENTATION_PATHS else DATA_HEADERS),
    ]


def server_timing(exchange: Exchange) -> bytes:
    """Return the Server-Timing header: the total and each stage so far, in milliseconds."""
    stages = exchange.stages
    return (_timing_form(tuple(stages)) % (exchange.elapsed_ms(), *stages.values())).encode()


@lru_cache(maxsize=64)
def _timing_form(stages: tuple[str, ...]) -> str:
    names = ("total", *(name.removesuffix("_ms") for name in stages))
    return ", ".join(f"{name};dur=%.3f" for name in names)

"""Between the gateway and the endpoints: limits, roles, and errors turned into problem documents."""

from __future__ import annotations

from collections.abc import Mapping

from loguru import logger
from starlette.types import ASGIApp, Receive, Scope, Send

from vigie.api.answer import Answer
from vigie.api.deadline import DeadlineError, Deadlines
from vigie.api.exchange import Exchange, exchange_of
from vigie.api.hot import HotEndpoint
from vigie.api.limits import ClientGoneError, check_length, counted
from vigie.api.problems import Problem
from vigie.api.roles import ENDPOINTS, may

UNAVAILABLE = "The service failed to answer; its log has the reason under the transaction id"


class Dispatcher:
    """A table (method, path) of hot endpoints, which are answered directly; everything else goes to `app`."""

    def __init__(
        self,
        app: ASGIApp,
        hot: Mapping[tuple[str, str], HotEndpoint],
        *,
        max_body_bytes: int,
        timeout_seconds: float,
    ) -> None:
        self._app = app
        self._hot = hot
        self._max_body_bytes = max_body_bytes
        self._deadlines = Deadlines(timeout_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, always within the time limit and never with a bare exception."""
        exchange = exchange_of(scope)
        try:
            await self._deadlines.limit(self._route(exchange, scope, receive, send))
        except Problem as problem:
            await answer_of(problem, exchange).send(send)
        except ClientGoneError:
            raise
        except DeadlineError:
            if scope["state"].get("started"):
                raise
            late = Problem(504, f"No answer within {self._deadlines.seconds:g} seconds")
            await answer_of(late, exchange).send(send)
        except Exception as error:
            if scope["state"].get("started"):
                raise
            await answer_of(failed(exchange, error), exchange).send(send)

    async def _route(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._hot.get((exchange.method, exchange.path))
        if endpoint is not None:
            exchange.kind = endpoint.kind
        if not may(exchange.principal, exchange.method, exchange.path):
            role = ENDPOINTS[exchange.method, exchange.path]
            raise Problem(403, f"This needs the role {role.value}")
        if endpoint is not None:
            answer = await endpoint.answer(exchange, receive)
            await answer.send(send)
        else:
            check_length(exchange.headers, self._max_body_bytes)
            await self._app(scope, counted(receive, self._max_body_bytes), send)


def answer_of(problem: Problem, exchange: Exchange) -> Answer:
    """Return the answer that carries `problem`, and let the event know its reasons."""
    exchange.errors = problem.errors
    return Answer.of_problem(problem, exchange)


def failed(exchange: Exchange, error: BaseException) -> Problem:
    """Log `error` with its stack trace under the transaction id, and return the 500 problem that hides it."""
    logger.opt(exception=error).error("{} {} failed", exchange.method, exchange.path)
    return Problem(500, UNAVAILABLE)

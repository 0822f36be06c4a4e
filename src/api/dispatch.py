"""Between the gateway and the endpoints: limits, roles, and errors turned into problem documents."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping

from loguru import logger
from starlette.types import ASGIApp, Receive, Scope, Send

from vigie.api.answer import Answer
from vigie.api.deadline import DeadlineError, Deadlines
from vigie.api.exchange import Exchange, exchange_of
from vigie.api.hot import HotEndpoint
from vigie.api.limits import ClientGoneError, check_length, counted
from vigie.api.problems import Problem
from vigie.api.roles import allowed_methods, may, role_of

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

    def endpoint(self, exchange: Exchange) -> HotEndpoint | None:
        """Return the hot endpoint that the request is for, if it is for one."""
        return self._hot.get((exchange.method, exchange.path))

    async def answer(self, endpoint: HotEndpoint, exchange: Exchange, receive: Receive) -> Answer:
        """Answer a request of `endpoint`, within the time limit and never with a bare exception.

        Raises only ClientGoneError, and CancelledError when the server stops.
        """
        exchange.kind, exchange.model = endpoint.kind, endpoint.model
        task = self._deadlines.begin()
        try:
            _demand_role(exchange)
            return await endpoint.answer(exchange, receive)
        except Problem as problem:
            return answer_of(problem, exchange)
        except ClientGoneError:
            raise
        except CancelledError:
            if not self._deadlines.is_late(task):
                raise
            return answer_of(self._late(), exchange)
        except Exception as error:  # noqa: BLE001 - the log is told, the client gets a problem document
            return answer_of(failed(exchange, error), exchange)
        finally:
            self._deadlines.end(task)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, always within the time limit and never with a bare exception."""
        exchange = exchange_of(scope)
        endpoint = self.endpoint(exchange)
        if endpoint is not None:
            answer = await self.answer(endpoint, exchange, receive)
            await answer.send(send)
            return
        try:
            await self._deadlines.limit(self._route(exchange, scope, receive, send))
        except Problem as problem:
            await answer_of(problem, exchange).send(send)
        except ClientGoneError:
            raise
        except DeadlineError:
            if scope["state"].get("started"):
                raise
            await answer_of(self._late(), exchange).send(send)
        except Exception as error:
            if scope["state"].get("started"):
                raise
            await answer_of(failed(exchange, error), exchange).send(send)

    async def _route(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        _demand_role(exchange)
        check_length(exchange.headers, self._max_body_bytes)
        if exchange.method == "HEAD" and "GET" in allowed_methods(exchange.path):
            scope = {**scope, "method": "GET"}  # its headers; the server leaves the body out
        await self._app(scope, counted(receive, self._max_body_bytes), send)

    def _late(self) -> Problem:
        return Problem(504, f"No answer within {self._deadlines.seconds:g} seconds")


def _demand_role(exchange: Exchange) -> None:
    """Raise Problem (403) when the sender may not use the endpoint."""
    if not may(exchange.principal, exchange.method, exchange.path):
        role = role_of(exchange.method, exchange.path)
        raise Problem(403, f"This needs the role {role.value}")


def answer_of(problem: Problem, exchange: Exchange) -> Answer:
    """Return the answer that carries `problem`, and let the event know its reasons and its subject."""
    exchange.errors, exchange.subject_id = problem.errors, problem.subject_id
    return Answer.of_problem(problem, exchange)


def failed(exchange: Exchange, error: BaseException) -> Problem:
    """Log `error` with its stack trace under the transaction id, and return the 500 problem that hides it."""
    logger.opt(exception=error).error("{} {} failed", exchange.method, exchange.path)
    return Problem(500, UNAVAILABLE)

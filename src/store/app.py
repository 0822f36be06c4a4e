"""The store as an ASGI application: routing, errors, and handlers in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import orjson
from loguru import logger

from vigie.store import http
from vigie.store.alias_routes import ALIAS_ROUTES
from vigie.store.document_routes import DOCUMENT_ROUTES
from vigie.store.engine import Engine
from vigie.store.errors import StoreError
from vigie.store.http import Answer, Call, Route
from vigie.store.index_routes import INDEX_ROUTES
from vigie.store.search_routes import SEARCH_ROUTES
from vigie.store.template_routes import TEMPLATE_ROUTES

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Fixed names before variables: the first template that fits wins.
ROUTES: tuple[Route, ...] = (*TEMPLATE_ROUTES, *SEARCH_ROUTES, *DOCUMENT_ROUTES, *ALIAS_ROUTES, *INDEX_ROUTES)
_RESERVED = frozenset(route.template.split("/")[1] for route in ROUTES) - {"", "{index}"}
_HANDLER_THREADS = 12
_COMMIT_THREADS = 6


class _Refused(Exception):  # noqa: N818 - an answer that is no error object
    """A refusal whose body is not Elasticsearch's error object."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class StoreApp:
    """The ASGI application over an engine. Handlers block, so each runs in a thread; `close` ends those."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._handlers = ThreadPoolExecutor(_HANDLER_THREADS, thread_name_prefix="store-handler")
        self._commits: Executor = ThreadPoolExecutor(_COMMIT_THREADS, thread_name_prefix="store-commit")

    def close(self) -> None:
        """Wait for the handlers under way and end the threads."""
        self._handlers.shutdown()
        self._commits.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            answer = await self._answer(scope, headers, receive)
        except StoreError as error:
            answer = Answer(error.status, error.body())
        except _Refused as refused:
            answer = refused.answer
        except Exception as error:  # noqa: BLE001 - told to the client, and logged with its request
            logger.opt(exception=error).error("{} {} failed", scope["method"], scope["path"])
            reason = f"the store failed on this request: {error}"
            answer = Answer(500, StoreError(500, "exception", reason).body())
        await _send_answer(answer, scope, headers, send)

    async def _answer(self, scope: Scope, headers: dict[str, str], receive: Receive) -> Answer:
        route, variables = _find_route(scope)
        parameters = http.query_parameters(scope["query_string"])
        http.check_parameters(scope["path"], parameters, route.parameters)
        body = await _read_body(receive)
        if body:
            http.check_content_type(headers.get("content-type", ""))
        body = http.decoded_body(body, headers.get("content-encoding", ""))
        call = Call(self._engine, self._commits, variables, parameters, body)
        return await asyncio.get_running_loop().run_in_executor(self._handlers, route.handler, call)


def _find_route(scope: Scope) -> tuple[Route, dict[str, str]]:
    segments = http.path_segments(scope.get("raw_path") or scope["path"].encode())
    allowed: list[str] = []
    for route in ROUTES:
        variables = route.match(segments)
        if variables is None or variables.get("index") in _RESERVED:
            continue
        if scope["method"] in route.methods:
            return route, variables
        allowed += route.methods
    uri, method = scope["path"], scope["method"]
    if allowed:
        text = f"Incorrect HTTP method for uri [{uri}] and method [{method}], allowed: [{', '.join(allowed)}]"
        raise _Refused(Answer(405, {"error": text, "status": 405}))
    raise _Refused(Answer(400, {"error": f"no handler found for uri [{uri}] and method [{method}]"}))


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        part = message.get("body", b"")
        size += len(part)
        if size > http.MAX_BODY_BYTES:
            raise _Refused(Answer(413))
        parts.append(part)
        if not message.get("more_body", False):
            break
    return b"".join(parts)


async def _send_answer(answer: Answer, scope: Scope, headers: dict[str, str], send: Send) -> None:
    compatible = "vnd.elasticsearch" in headers.get("accept", "")
    option = orjson.OPT_INDENT_2 if b"pretty" in scope["query_string"] else None
    body = b"" if answer.body is None else orjson.dumps(answer.body, option=option)
    media_type = http.COMPATIBLE_JSON_TYPE if compatible else http.JSON_TYPE
    sent_headers: list[tuple[bytes, bytes]] = [
        (b"x-elastic-product", b"Elasticsearch"),
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": sent_headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

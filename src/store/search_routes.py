"""Handlers of search, multi-search and count."""

from __future__ import annotations

import time

import orjson

from vigie.store.errors import JsonObject, StoreError, illegal_argument
from vigie.store.http import INDICES_PARAMETERS, Answer, Call, Route
from vigie.store.search import SearchRequest, count, parse_count, parse_request, search
from vigie.store.settings import result_window

# They concern caches and the choice of a shard's copy; the answer is the same with any value.
_INERT = frozenset({"request_cache", "preference", "ccs_minimize_roundtrips", "max_concurrent_searches"})
_BODY_PARAMETERS = frozenset({"size", "from", "track_total_hits"})
_MULTI_HEADER = frozenset({"index", *INDICES_PARAMETERS, *_INERT})


def _search(call: Call) -> Answer:
    body = call.json()
    for name in _BODY_PARAMETERS & call.parameters.keys():
        body[name] = call.parameters[name]
    return Answer(200, _run(call, parse_request(body), None))


def _run(call: Call, request: SearchRequest, expression: str | None) -> JsonObject:
    indices = call.indices(expression)
    held = call.engine.catalog.indices
    windows = [result_window(held[index.name].settings) for index in indices if index.name in held]
    return search(indices, request, windows)


def _count(call: Call) -> Answer:
    query = parse_count(call.json())
    indices = call.indices()
    shards = {"total": len(indices), "successful": len(indices), "skipped": 0, "failed": 0}
    return Answer(200, {"count": count(indices, query), "_shards": shards})


def _multi_search(call: Call) -> Answer:
    started = time.perf_counter()
    if not call.body.endswith(b"\n"):
        raise illegal_argument("The msearch request must be terminated by a newline [\\n]")
    lines = call.body[:-1].split(b"\n")
    if len(lines) % 2:
        raise illegal_argument("The msearch request must have a body line for each header line")
    # All are read before any runs: one that cannot be read refuses the request, one that fails only itself.
    searches = [
        (_header(header), parse_request(_json(body)))
        for header, body in zip(lines[::2], lines[1::2], strict=True)
    ]
    responses = [_multi_search_one(call, header, request) for header, request in searches]
    return Answer(200, {"took": int((time.perf_counter() - started) * 1000), "responses": responses})


def _json(line: bytes) -> JsonObject:
    try:
        content = orjson.loads(line or b"{}")
    except orjson.JSONDecodeError as error:
        raise StoreError(400, "x_content_parse_exception", str(error)) from error
    if not isinstance(content, dict):
        raise StoreError(400, "parsing_exception", "each line of a multi-search must be a JSON object")
    return content


def _header(line: bytes) -> JsonObject:
    header = _json(line)
    for key in header:
        if key not in _MULTI_HEADER:
            raise illegal_argument(f"key [{key}] is not supported in the metadata section")
    return header


def _multi_search_one(call: Call, header: JsonObject, request: SearchRequest) -> JsonObject:
    index = header.get("index", call.variables.get("index", ""))
    options = {name: str(header[name]).lower() for name in INDICES_PARAMETERS & header.keys()}
    part = Call(call.engine, call.executor, call.variables, {**call.parameters, **options}, b"")
    try:
        return {**_run(part, request, ",".join(index) if isinstance(index, list) else index), "status": 200}
    except StoreError as error:
        return error.body()


_SEARCH_PARAMETERS = INDICES_PARAMETERS | _INERT | _BODY_PARAMETERS
SEARCH_ROUTES: tuple[Route, ...] = (
    Route(("GET", "POST"), "/_search", _search, _SEARCH_PARAMETERS),
    Route(("GET", "POST"), "/{index}/_search", _search, _SEARCH_PARAMETERS),
    Route(("GET", "POST"), "/_count", _count, INDICES_PARAMETERS | {"preference"}),
    Route(("GET", "POST"), "/{index}/_count", _count, INDICES_PARAMETERS | {"preference"}),
    Route(("GET", "POST"), "/_msearch", _multi_search, INDICES_PARAMETERS | _INERT),
    Route(("GET", "POST"), "/{index}/_msearch", _multi_search, INDICES_PARAMETERS | _INERT),
)

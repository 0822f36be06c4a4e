"""The search request: checked, run on each generation, merged and shaped as Elasticsearch's answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import orjson

from vigie.store.aggregation_spec import AggregationSpec, parse_aggregations
from vigie.store.aggregations import aggregate
from vigie.store.columns import ID, SEQUENCE, SOURCE
from vigie.store.errors import JsonObject, ShardError, StoreError, illegal_argument, parsing, require_keys
from vigie.store.generation import Generation, panics_caught
from vigie.store.index import StoreIndex
from vigie.store.mapping import Mapping
from vigie.store.query import compile_query
from vigie.store.query_context import Query, QueryContext, all_of
from vigie.store.ranking import Ranked, best, in_order
from vigie.store.settings import DEFAULT_RESULT_WINDOW
from vigie.store.sorting import (
    ResolvedKey,
    SortKey,
    after_query,
    parse_search_after,
    parse_sort,
    resolve,
    shown_value,
)
from vigie.store.source_filter import SourceFilter

_BODY_KEYS = frozenset(
    {
        "query",
        "size",
        "from",
        "sort",
        "search_after",
        "aggs",
        "aggregations",
        "track_total_hits",
        "_source",
        "timeout",
        "track_scores",
        "version",
        "seq_no_primary_term",
    }
)
_INERT = {"track_scores": False, "version": False}
_DEFAULT_TOTAL_LIMIT = 10_000


@dataclass(slots=True)
class SearchRequest:
    """A search's parameters, checked; `total_limit` None counts all, 0 nothing."""

    query: JsonObject
    size: int = 10
    start: int = 0
    sort: list[SortKey] = field(default_factory=list)
    search_after: object = None
    total_limit: int | None = _DEFAULT_TOTAL_LIMIT
    aggregations: dict[str, AggregationSpec] = field(default_factory=dict)
    source_filter: SourceFilter = field(default_factory=SourceFilter)
    with_sequence: bool = False


@dataclass(slots=True)
class _Target:
    """One generation to search, with query and sort compiled for it."""

    context: QueryContext
    query: Query
    keys: list[ResolvedKey]


@dataclass(frozen=True, slots=True)
class _Hit:
    target: _Target
    ranked: Ranked
    score: float | None


def parse_request(body: JsonObject) -> SearchRequest:
    """Return the request of a search body. Raises for whatever is not supported."""
    for key in body:
        if key not in _BODY_KEYS:
            raise parsing(f"Unknown key for a value in [{key}] (or not supported by this store).")
    for key, only in _INERT.items():
        if body.get(key, only) is not only:
            raise parsing(f"[{key}] is not supported by this store")
    request = SearchRequest(
        {"match_all": {}} if body.get("query") is None else body["query"],
        _count_of(body, "size", 10),
        _count_of(body, "from", 0),
        parse_sort(body.get("sort")),
        body.get("search_after"),
        _total_limit(body.get("track_total_hits", _DEFAULT_TOTAL_LIMIT)),
        parse_aggregations(body.get("aggs", body.get("aggregations")) or {}),
        SourceFilter.parse(body.get("_source")),
        _flag(body, "seq_no_primary_term"),
    )
    check_query(request.query)
    if request.search_after is not None and request.start:
        raise StoreError(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: [from] parameter must be set to 0 when [search_after] is used;",
        )
    return request


def _count_of(body: JsonObject, name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    try:
        number = int(value)
    except (TypeError, ValueError) as error:
        raise parsing(f"[{name}] must be a number, not [{value}]") from error
    if number < 0:
        raise illegal_argument(f"[{name}] parameter cannot be negative, found [{number}]")
    return number


def _flag(body: JsonObject, name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise parsing(f"[{name}] must be true or false, not [{value}]")
    return value


def _total_limit(given: object) -> int | None:
    if given in (True, "true"):
        return None
    if given in (False, "false"):
        return 0
    if isinstance(given, str) and given.isdecimal():
        given = int(given)
    if not isinstance(given, int) or given < 0:
        raise illegal_argument(f"[track_total_hits] parameter must be positive or equals to -1, got {given}")
    return given


def search(indices: Sequence[StoreIndex], request: SearchRequest, windows: Sequence[int] = ()) -> JsonObject:
    """Run the request over the indices and return the response body.

    `windows` are the indices' result windows. Raises a ShardError for what only shows against the mapping.
    """
    started = time.perf_counter()
    window = min(windows, default=DEFAULT_RESULT_WINDOW)
    if indices and request.start + request.size > window:
        raise ShardError(
            "illegal_argument_exception",
            "Result window is too large, from + size must be less than or equal to: "
            f"[{window}] but was [{request.start + request.size}].",
        )
    with panics_caught(orjson.dumps(request.query).decode()):
        targets = _targets(indices, request)
        total = _total(targets, request)
        hits = _hits(targets, request)
        shown = [_shown_hit(hit, request) for hit in hits[request.start :]]
        scores = [hit.score for hit in hits if hit.score is not None]
        response: JsonObject = {
            "took": 0,
            "timed_out": False,
            "_shards": {"total": len(indices), "successful": len(indices), "skipped": 0, "failed": 0},
            "hits": {**total, "max_score": max(scores, default=None if indices else 0.0), "hits": shown},
        }
        if request.aggregations and indices:
            pairs = [(target.context, target.query) for target in targets]
            response["aggregations"] = aggregate(pairs, request.aggregations)
    response["took"] = int((time.perf_counter() - started) * 1000)
    return response


def count(indices: Sequence[StoreIndex], query: JsonObject) -> int:
    """Return how many documents match, exactly."""
    with panics_caught(orjson.dumps(query).decode()):
        return sum(_count(target) for target in _targets(indices, SearchRequest(query)))


def _targets(indices: Sequence[StoreIndex], request: SearchRequest) -> list[_Target]:
    """Compile the request for each generation."""
    now = time.time_ns()
    targets: list[_Target] = []
    for index in indices:
        index.refresh()
        newest = index.generations[-1].mapping
        for generation in index.generations:
            context = QueryContext(generation, generation.searcher, index.name, now, newest)
            targets.append(_target(context, request))
    return targets


def _target(context: QueryContext, request: SearchRequest) -> _Target:
    query = compile_query(request.query, context)
    return _Target(context, query, resolve(request.sort, context))


def _count(target: _Target) -> int:
    return target.context.count(target.query)


def _total(targets: list[_Target], request: SearchRequest) -> JsonObject:
    if request.total_limit == 0:
        return {}
    found = sum(_count(target) for target in targets)
    if request.total_limit is None or found <= request.total_limit:
        return {"total": {"value": found, "relation": "eq"}}
    return {"total": {"value": request.total_limit, "relation": "gte"}}


def _hits(targets: list[_Target], request: SearchRequest) -> list[_Hit]:
    limit = request.start + request.size
    if request.size == 0:
        for target in targets:
            parse_search_after(request.search_after, target.keys, target.context.now)
        return []
    if not request.sort:
        if request.search_after is not None and targets:
            parse_search_after(request.search_after, [], 0)
        return _scored_hits(targets, limit)
    hits: list[_Hit] = []
    for target in targets:
        after = parse_search_after(request.search_after, target.keys, target.context.now)
        query = target.query
        if after is not None:
            query = all_of(query, after_query(after, target.keys, target.context))
        hits += [_Hit(target, ranked, None) for ranked in best(query, target.keys, limit, target.context)]
    return in_order(hits, request.sort, lambda hit: hit.ranked.values)[:limit]


def _scored_hits(targets: list[_Target], limit: int) -> list[_Hit]:
    hits = [
        _Hit(target, Ranked((), address, 0), float(score))
        for target in targets
        if target.context.searcher.num_docs
        for score, address in target.context.searcher.search(target.query, limit=limit, count=False).hits
    ]
    hits.sort(key=lambda hit: hit.score or 0.0, reverse=True)
    return hits[:limit]


def _shown_hit(hit: _Hit, request: SearchRequest) -> JsonObject:
    document = hit.target.context.searcher.doc(hit.ranked.address)
    shown: JsonObject = {"_index": hit.target.context.index, "_id": document[ID][0], "_score": hit.score}
    if request.with_sequence:
        (sequence,) = hit.target.context.searcher.fast_field_values(SEQUENCE, [hit.ranked.address])
        shown |= {"_seq_no": int(sequence or 0), "_primary_term": 1}
    source = request.source_filter.applied(document[SOURCE][0])
    if source is not None:
        shown["_source"] = source
    if request.sort:
        pairs = zip(hit.ranked.values, hit.target.keys, strict=True)
        shown["sort"] = [shown_value(value, resolved) for value, resolved in pairs]
    return shown


def parse_count(body: JsonObject) -> JsonObject:
    """Return the query of a count body; everything else in it is refused."""
    require_keys("count", body, frozenset({"query"}))
    query: JsonObject = {"match_all": {}} if body.get("query") is None else body["query"]
    check_query(query)
    return query


@lru_cache(maxsize=1)
def _nothing() -> QueryContext:
    mapping = Mapping({"dynamic": "false"})
    generation = Generation(mapping)
    return QueryContext(generation, generation.searcher, "", 0, mapping)


def check_query(query: JsonObject) -> None:
    """Raise for a query that makes no sense whatever the mapping, also when no index is searched."""
    compile_query(query, _nothing())

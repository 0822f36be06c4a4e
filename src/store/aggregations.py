"""Aggregations over generations: tantivy's own where they are exact, in a form that can be added up.

Groupings (terms, histograms) and metrics of one level run as one tantivy aggregation that returns every
bucket, counts and sums rather than averages, and the distinct values rather than percentiles or
cardinalities. Of many documents percentiles come from quantiles of a sketch. Aggregations whose buckets are
queries (filter, filters, range, missing) run once more per bucket with that query added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from itertools import pairwise

import tantivy

from vigie.store.aggregation_results import FieldType, finished
from vigie.store.aggregation_spec import METRICS, AggregationSpec
from vigie.store.columns import (
    NO_FLOAT,
    NO_INTEGER,
    NO_KEYWORD,
    SEQUENCE,
    SEVERAL,
    Column,
    decode_term,
    encode_term,
)
from vigie.store.errors import JsonObject, ShardError
from vigie.store.mapping import DATE_TYPES
from vigie.store.partials import Bucket, Buckets, Key, Moments, Partial, Values, add_all
from vigie.store.query import compile_query, exists
from vigie.store.query_context import Query, QueryContext, all_of, any_of, none_of
from vigie.store.ranges import Bounds, between
from vigie.store.sorting import require_doc_values

# More than tantivy ever returns (it stops at 65,000 buckets with an error), so that no term is cut off.
_ALL_TERMS = 1_000_000
_MOST_EXACT = 20_000
"""Documents up to which percentiles are those of the values themselves; of more they are sketched."""
_SKETCH = 1000
"""Steps of a sketch: quantiles whose values tantivy's DDSketch knows to a hundredth of themselves."""
_SKETCH_PERCENTS = [100 * step / _SKETCH for step in range(_SKETCH + 1)]
_LIMIT_ERROR = "bucket limit was exceeded"
_EMPTY_COLUMNS = {"keyword": NO_KEYWORD, "float": NO_FLOAT, "integer": NO_INTEGER}
_NUMERIC_ONLY = METRICS - {"value_count", "cardinality"} | {"histogram", "range"}

Specs = MappingOf[str, AggregationSpec]


@dataclass(frozen=True, slots=True)
class _Source:
    """The column that an aggregation reads; one without values where the field is not mapped."""

    name: str
    kind: str
    column: Column | None


def aggregate(targets: Sequence[tuple[QueryContext, Query]], specs: Specs) -> JsonObject:
    """Return the aggregations' results over the documents that match each target's query."""
    held: dict[str, Partial] = {}
    for context, query in targets:
        _check_fields(specs, context)
        add_all(held, _collect(specs, query, context))
    types = _field_types(specs, [context for context, _ in targets])
    return {name: finished(spec, held.get(name), types) for name, spec in specs.items()}


def _field_types(specs: Specs, contexts: list[QueryContext]) -> dict[str, FieldType]:
    types: dict[str, FieldType] = {}
    for spec in specs.values():
        for context in contexts:
            mapped = context.mapping.fields.get(spec.field)
            if mapped is not None:
                types[spec.field] = FieldType(mapped.type, mapped.format)
                break
        types |= _field_types(spec.subs, contexts)
    return types


def _check_fields(specs: Specs, context: QueryContext) -> None:
    for spec in specs.values():
        mapped = context.mapping.fields.get(spec.field)
        if mapped is not None and spec.kind != "missing":
            require_doc_values(spec.field, context)
            wrong = (
                (spec.kind == "date_histogram" and mapped.type not in DATE_TYPES)
                or (spec.kind in _NUMERIC_ONLY and mapped.type == "keyword")
                or (spec.kind in ("range", "histogram") and mapped.type in DATE_TYPES)
            )
            if wrong:
                raise ShardError(
                    "illegal_argument_exception",
                    f"Field [{spec.field}] of type [{mapped.type}] is not supported for aggregation "
                    f"[{spec.kind}]",
                )
        _check_fields(spec.subs, context)


def _collect(specs: Specs, query: Query, context: QueryContext) -> dict[str, Partial]:
    grouped = {name: spec for name, spec in specs.items() if not spec.is_split_by_query}
    result = _grouped(grouped, query, context) if grouped else {}
    for name, spec in specs.items():
        if spec.is_split_by_query:
            result[name] = _split(spec, query, context)
    for path, spec in _splits_below(grouped, ()):
        for key, part in _bucket_queries(spec, context):
            tree = spec.subs
            for parent in reversed(path):
                tree = {parent.name: replace(parent, subs=tree)}
            found = _collect(tree, all_of(query, part), context)
            _graft(result, found, [parent.name for parent in path], spec.name, key)
    return result


def _splits_below(
    specs: Specs, path: tuple[AggregationSpec, ...]
) -> Iterator[tuple[tuple[AggregationSpec, ...], AggregationSpec]]:
    """Yield each query-split aggregation inside groupings, with the groupings around it."""
    for spec in specs.values():
        if spec.is_split_by_query:
            if path:
                yield path, spec
        else:
            yield from _splits_below(spec.subs, (*path, spec))


def _graft(base: dict[str, Partial], found: dict[str, Partial], path: list[str], name: str, key: Key) -> None:
    """Put what a bucket's query found into each bucket of the groupings around its aggregation."""
    held, more = base.get(path[0]), found.get(path[0])
    if not isinstance(held, Buckets) or not isinstance(more, Buckets):
        return
    for group, bucket in held.by_key.items():
        other = more.by_key.get(group, Bucket())
        if len(path) > 1:
            _graft(bucket.subs, other.subs, path[1:], name, key)
            continue
        split = bucket.subs.setdefault(name, Buckets())
        if isinstance(split, Buckets):
            split.by_key[key] = other


def _split(spec: AggregationSpec, query: Query, context: QueryContext) -> Buckets:
    buckets = Buckets()
    for key, part in _bucket_queries(spec, context):
        both = all_of(query, part)
        count = context.count(both)
        buckets.by_key[key] = Bucket(count, _collect(spec.subs, both, context) if count and spec.subs else {})
    return buckets


def _bucket_queries(spec: AggregationSpec, context: QueryContext) -> list[tuple[Key, Query]]:
    if spec.kind == "filter":
        return [("", compile_query(spec.parameters, context))]
    if spec.kind == "missing":
        return [("", none_of(exists(spec.field, context)))]
    if spec.kind == "range":
        return [(n, _range_query(spec, part, context)) for n, part in enumerate(spec.parameters["ranges"])]
    filters = spec.parameters["filters"]
    named = filters.items() if isinstance(filters, dict) else enumerate(filters)
    queries: list[tuple[Key, Query]] = [(key, compile_query(part, context)) for key, part in named]
    other = spec.parameters.get("other_bucket_key") or (
        "_other_" if spec.parameters.get("other_bucket") else None
    )
    if other is not None:
        queries.append((other, none_of(any_of([query for _, query in queries]))))
    return queries


def _range_query(spec: AggregationSpec, part: JsonObject, context: QueryContext) -> Query:
    column = context.column(spec.field)
    if column is None:
        return Query.empty_query()
    bounds = Bounds(part.get("from"), part.get("to"), includes_high=False)
    return between(column, bounds, context.generation, context.now)


def _grouped(specs: Specs, query: Query, context: QueryContext) -> dict[str, Partial]:
    _refuse_several_values(specs, query, context)
    percentiles = list(_percentiles_in(specs))
    of_times = any(_is_time(spec, context) for spec in percentiles)  # a hundredth of an epoch is decades
    exact = not percentiles or of_times or context.count(query) <= _MOST_EXACT
    request = _native_specs(specs, context, exact)
    result: dict[str, Partial] = {}
    for answer in _run(request, query, context):
        add_all(result, _decoded(specs, answer, context, exact))
    return result


def _percentiles_in(specs: Specs) -> Iterator[AggregationSpec]:
    for spec in specs.values():
        if spec.kind == "percentiles":
            yield spec
        yield from _percentiles_in(spec.subs)


def _is_time(spec: AggregationSpec, context: QueryContext) -> bool:
    mapped = context.mapping.fields.get(spec.field)
    return mapped is not None and mapped.type in DATE_TYPES


def _run(request: JsonObject, query: Query, context: QueryContext) -> Iterator[JsonObject]:
    """Run a native aggregation; one of too many buckets by halves of the documents, in order of writing."""
    pending: list[tuple[int, int] | None] = [None]
    while pending:
        part = pending.pop()
        narrowed = query if part is None else all_of(query, _written_between(*part, context))
        try:
            yield context.searcher.aggregate(narrowed, request)
        except ValueError as error:
            low, high = part or (0, context.generation.last_sequence(context.searcher))
            if _LIMIT_ERROR not in str(error) or low >= high:
                raise
            middle = (low + high) // 2
            pending += [(low, middle), (middle + 1, high)]


def _written_between(low: int, high: int, context: QueryContext) -> Query:
    return Query.range_query(context.generation.schema, SEQUENCE, tantivy.FieldType.Integer, low, high)


def _refuse_several_values(specs: Specs, query: Query, context: QueryContext) -> None:
    """tantivy counts a document once per value in a numeric bucket, Elasticsearch once per bucket."""
    for spec in specs.values():
        column = context.column(spec.field)
        if column is not None and column.kind != "keyword" and spec.kind not in METRICS:
            several = Query.term_query(context.generation.schema, SEVERAL, column.name)
            if context.searcher.search(all_of(several, query), limit=1, count=False).hits:
                raise ShardError(
                    "illegal_argument_exception",
                    f"[{spec.kind}] over [{spec.field}], of which a document has several values, is not "
                    "supported by this store",
                )


def _source(spec: AggregationSpec, context: QueryContext) -> _Source:
    column = context.column(spec.field)
    if column is not None:
        return _Source(column.millis, column.kind, column)
    kind = "keyword" if isinstance(spec.parameters.get("missing"), str) else "integer"
    return _Source(_EMPTY_COLUMNS[kind], kind, None)


def _native_specs(specs: Specs, context: QueryContext, exact: bool) -> JsonObject:
    result: JsonObject = {}
    for name, spec in specs.items():
        if spec.is_split_by_query:
            continue
        source = _source(spec, context)
        if spec.kind == "percentiles" and not exact:
            result |= _sketch(name, spec, source)
            continue
        body: JsonObject = _native(spec, source)
        subs = _native_specs(spec.subs, context, exact)
        if subs:
            body["aggs"] = subs
        result[name] = body
    return result


def _sketch(name: str, spec: AggregationSpec, source: _Source) -> JsonObject:
    about = {"field": source.name, **_extra(spec, source)}
    return {
        name: {"percentiles": {**about, "percents": _SKETCH_PERCENTS, "keyed": False}},
        _count_of(name): {"value_count": about},
    }


def _count_of(name: str) -> str:
    return f"{name}>count"  # a name that no request can have


def _extra(spec: AggregationSpec, source: _Source) -> JsonObject:
    missing = spec.parameters.get("missing")
    return {} if missing is None else {"missing": _missing_value(missing, source)}


def _native(spec: AggregationSpec, source: _Source) -> JsonObject:
    extra = _extra(spec, source)
    if spec.kind == "date_histogram":
        rounding = spec.rounding()
        return _histogram(source.name, rounding.grain_ms, rounding.grain_offset_ms)
    if spec.kind == "histogram":
        return _histogram(source.name, spec.parameters["interval"], spec.parameters.get("offset", 0))
    if spec.kind in ("terms", "cardinality", "percentiles"):
        return {"terms": {"field": source.name, "size": _ALL_TERMS, "segment_size": _ALL_TERMS, **extra}}
    kind = "value_count" if spec.kind == "value_count" else "stats"
    return {kind: {"field": source.name, **extra}}


def _histogram(name: str, interval: float, offset: float) -> JsonObject:
    return {"histogram": {"field": name, "interval": interval, "offset": offset, "min_doc_count": 1}}


def _missing_value(value: object, source: _Source) -> object:
    if source.kind == "keyword":
        return encode_term(str(value))
    return int(value) if isinstance(value, bool) else value


def _decoded(specs: Specs, answer: JsonObject, context: QueryContext, exact: bool) -> dict[str, Partial]:
    return {
        name: _sketched(answer[name]["values"], int(answer[_count_of(name)]["value"]))
        if spec.kind == "percentiles" and not exact
        else _decoded_one(spec, answer[name], context, exact)
        for name, spec in specs.items()
        if not spec.is_split_by_query
    }


def _sketched(quantiles: Sequence[JsonObject], count: int) -> Values:
    """Return `count` values as their quantiles: each stands for the values up to the next one's."""
    values = Values()
    if count:
        places = [(count - 1) * step // _SKETCH for step in range(_SKETCH + 1)] + [count]
        for quantile, (place, following) in zip(quantiles, pairwise(places), strict=True):
            value = quantile["value"]
            values.counts[value] = values.counts.get(value, 0) + following - place
    return values


def _decoded_one(spec: AggregationSpec, answer: JsonObject, context: QueryContext, exact: bool) -> Partial:
    source = _source(spec, context)
    if spec.kind == "value_count":
        return Moments(count=int(answer["value"]))
    if spec.kind in ("cardinality", "percentiles"):
        return Values({_key(bucket["key"], source): bucket["doc_count"] for bucket in answer["buckets"]})
    if spec.kind in METRICS:
        return Moments(answer["count"], answer["sum"], answer["min"], answer["max"])
    rounding = spec.rounding() if spec.kind == "date_histogram" else None
    buckets = Buckets()
    for bucket in answer["buckets"]:
        key = _key(bucket["key"], source)
        if rounding is not None:
            key = rounding.floor(int(key))
        found = Bucket(bucket["doc_count"], _decoded(spec.subs, bucket, context, exact))
        buckets.by_key.setdefault(key, Bucket()).add(found)
    return buckets


def _key(key: Key, source: _Source) -> Key:
    if source.kind == "keyword":
        return decode_term(str(key))
    return float(key) if source.kind == "float" else key

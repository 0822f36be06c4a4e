"""Aggregation results in Elasticsearch's shape, from the partial results of all indices."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from typing import Any

import numpy as np

from vigie.store.aggregation_spec import AggregationSpec
from vigie.store.date_math import parse_instant
from vigie.store.dates import DATE_DEFAULT, NANOS_PER_MS, DateFormat, date_format
from vigie.store.errors import JsonObject, ShardError
from vigie.store.mapping import DATE_TYPES
from vigie.store.partials import Bucket, Buckets, Key, Moments, Partial, Values

# Elasticsearch's default of search.max_buckets.
_MAX_BUCKETS = 65_536


@dataclass(frozen=True, slots=True)
class FieldType:
    """Type and date format of an aggregated field."""

    type: str
    format: DateFormat


Types = MappingOf[str, FieldType]


def finished(spec: AggregationSpec, partial: Partial | None, types: Types) -> JsonObject:
    """Return the response of an aggregation; `partial` is None when nothing was found."""
    if isinstance(partial, Moments) or spec.kind in ("avg", "min", "max", "sum", "stats", "value_count"):
        body = _metric(spec, partial if isinstance(partial, Moments) else Moments(), types.get(spec.field))
    elif spec.kind == "percentiles":
        body = _percentiles(spec, partial if isinstance(partial, Values) else Values(), types.get(spec.field))
    elif spec.kind == "cardinality":
        body = {"value": len(partial.counts) if isinstance(partial, Values) else 0}
    else:
        body = _buckets(spec, partial if isinstance(partial, Buckets) else Buckets(), types)
    return body if spec.meta is None else {"meta": spec.meta, **body}


def _buckets(spec: AggregationSpec, buckets: Buckets, types: Types) -> JsonObject:
    if spec.kind == "terms":
        return _terms(spec, buckets, types)
    if spec.kind in ("histogram", "date_histogram"):
        return _histogram(spec, buckets, types)
    if spec.kind in ("filter", "missing"):
        return _bucket(spec, {}, buckets.by_key.get("", Bucket()), types)
    if spec.kind == "range":
        return _ranges(spec, buckets, types)
    filters = spec.parameters["filters"]
    if isinstance(filters, dict):
        names = [*filters, *(key for key in buckets.by_key if key not in filters)]
        return {
            "buckets": {key: _bucket(spec, {}, buckets.by_key.get(key, Bucket()), types) for key in names}
        }
    shown = [_bucket(spec, {}, bucket, types) for bucket in buckets.by_key.values()]
    return {"buckets": shown}


def _bucket(spec: AggregationSpec, head: JsonObject, bucket: Bucket, types: Types) -> JsonObject:
    subs = {name: finished(sub, bucket.subs.get(name), types) for name, sub in spec.subs.items()}
    return {**head, "doc_count": bucket.count, **subs}


def _terms(spec: AggregationSpec, buckets: Buckets, types: Types) -> JsonObject:
    minimum = spec.parameters.get("min_doc_count", 1)
    kept = {key: bucket for key, bucket in buckets.by_key.items() if bucket.count >= minimum}
    keys = _ordered(spec, kept, types)
    chosen = keys[: spec.parameters.get("size", 10)]
    shown = [_bucket(spec, _shown_key(key, types.get(spec.field)), kept[key], types) for key in chosen]
    others = sum(kept[key].count for key in keys[len(chosen) :])
    return {"doc_count_error_upper_bound": 0, "sum_other_doc_count": others, "buckets": shown}


def _shown_key(key: Key, field: FieldType | None) -> JsonObject:
    if field is not None and field.type == "boolean":
        return {"key": int(key), "key_as_string": "true" if key else "false"}
    if field is not None and field.type in DATE_TYPES:
        return {"key": int(key), "key_as_string": field.format.format(int(key) * NANOS_PER_MS)}
    return {"key": key}


def _ordered(spec: AggregationSpec, buckets: dict[Key, Bucket], types: Types) -> list[Key]:
    keys = sorted(buckets)
    for path, descending in reversed(spec.order()):
        values: dict[Key, Any] = {key: _order_value(spec, path, key, buckets[key], types) for key in keys}
        lacking = [key for key in keys if values[key] is None]
        present = [key for key in keys if values[key] is not None]
        keys = sorted(present, key=values.__getitem__, reverse=descending) + lacking
    return keys


def _order_value(spec: AggregationSpec, path: str, key: Key, bucket: Bucket, types: Types) -> Key | None:
    if path == "_key":
        return key
    if path == "_count":
        return bucket.count
    name, _, part = path.partition(".")
    result = finished(spec.subs[name], bucket.subs.get(name), types)
    value: Key | None
    if "values" in result:
        by_percent = _percentile_values(spec.subs[name], bucket.subs.get(name))
        value = by_percent.get(float(part or "nan"))
    else:
        value = result.get(part or "value")
    return value


def _histogram(spec: AggregationSpec, buckets: Buckets, types: Types) -> JsonObject:
    by_key = dict(buckets.by_key)
    minimum = spec.parameters.get("min_doc_count", 0)
    if minimum == 0:
        for key in _gaps(spec, by_key, types.get(spec.field)):
            by_key.setdefault(key, Bucket())
    kept = {key: bucket for key, bucket in by_key.items() if bucket.count >= minimum}
    heads = {key: _histogram_key(spec, key, types.get(spec.field)) for key in _ordered(spec, kept, types)}
    if spec.parameters.get("keyed"):
        named = {str(head.get("key_as_string", head["key"])): (key, head) for key, head in heads.items()}
        return {
            "buckets": {name: _bucket(spec, head, kept[key], types) for name, (key, head) in named.items()}
        }
    return {"buckets": [_bucket(spec, head, kept[key], types) for key, head in heads.items()]}


def _histogram_key(spec: AggregationSpec, key: Key, field: FieldType | None) -> JsonObject:
    if spec.kind == "histogram":
        return {"key": float(key)}
    given = spec.parameters.get("format")
    formats = date_format(given) if given else field.format if field else DATE_DEFAULT
    return {"key_as_string": formats.format(int(key) * NANOS_PER_MS, spec.zone()), "key": int(key)}


def _gaps(spec: AggregationSpec, buckets: dict[Key, Bucket], field: FieldType | None) -> list[Key]:
    """Return the keys from the first to the last bucket or extended bound, evenly by the interval."""
    ends = [float(key) for key in buckets]
    if spec.kind == "histogram":
        interval = float(spec.parameters["interval"])
        offset = float(spec.parameters.get("offset", 0))
        bounds = (spec.parameters.get("extended_bounds") or {}).values()
        ends += [math.floor((float(bound) - offset) / interval) * interval + offset for bound in bounds]
        if not ends:
            return []
        first = round((min(ends) - offset) / interval)
        last = round((max(ends) - offset) / interval)
        _check_bucket_count(last - first)
        return [number * interval + offset for number in range(first, last + 1)]
    rounding = spec.rounding()
    formats = date_format(spec.parameters["format"]) if "format" in spec.parameters else None
    for name, bound in (spec.parameters.get("extended_bounds") or {}).items():
        known = formats or (field.format if field else DATE_DEFAULT)
        instant = parse_instant(bound, known, time.time_ns(), round_up=name == "max", zone=spec.zone())
        ends.append(rounding.floor(instant // NANOS_PER_MS))
    keys: list[Key] = []
    key = int(min(ends, default=0))
    while ends and key <= max(ends):
        keys.append(key)
        _check_bucket_count(len(keys))
        key = rounding.following(key)
    return keys


def _check_bucket_count(count: int) -> None:
    if count > _MAX_BUCKETS:
        raise ShardError(
            "too_many_buckets_exception",
            f"Trying to create too many buckets. Must be less than or equal to: [{_MAX_BUCKETS}] but this "
            "number of buckets was exceeded.",
        )


def _ranges(spec: AggregationSpec, buckets: Buckets, types: Types) -> JsonObject:
    shown: list[tuple[str, JsonObject]] = []
    for number, part in enumerate(spec.parameters["ranges"]):
        low, high = part.get("from"), part.get("to")
        ends = {name: float(end) for name, end in (("from", low), ("to", high)) if end is not None}
        key = part.get("key") or f"{ends.get('from', '*')}-{ends.get('to', '*')}"
        shown.append((key, _bucket(spec, ends, buckets.by_key.get(number, Bucket()), types)))
    if spec.parameters.get("keyed"):
        return {"buckets": dict(shown)}
    return {"buckets": [{"key": key, **bucket} for key, bucket in shown]}


def _metric(spec: AggregationSpec, moments: Moments, field: FieldType | None) -> JsonObject:
    if spec.kind == "value_count":
        return {"value": moments.count}
    mean = moments.total / moments.count if moments.count else None
    numbers: JsonObject = {
        "min": moments.least,
        "max": moments.greatest,
        "avg": mean,
        "sum": float(moments.total),
    }
    if spec.kind != "stats":
        number = numbers[spec.kind]
        text = _as_text(number, field)
        return {"value": number, **({} if text is None else {"value_as_string": str(text)})}
    texts = {f"{name}_as_string": _as_text(number, field) for name, number in numbers.items()}
    shown = {
        name: text == "true" if field and field.type == "boolean" else text for name, text in texts.items()
    }
    named = {name: text for name, text in shown.items() if texts[name] is not None and moments.count}
    return {"count": moments.count, **numbers, **named}


def _as_text(number: float | None, field: FieldType | None) -> str | None:
    if number is None or field is None:
        return None
    if field.type in DATE_TYPES:
        return field.format.format(int(number) * NANOS_PER_MS, dt.UTC)
    return ("true" if number else "false") if field.type == "boolean" else None


def _percentiles(spec: AggregationSpec, values: Values, field: FieldType | None) -> JsonObject:
    found = _percentile_values(spec, values)
    if not spec.parameters.get("keyed", True):
        return {"values": [{"key": percent, "value": value} for percent, value in found.items()]}
    shown: JsonObject = {}
    for percent, value in found.items():
        shown[str(percent)] = value
        text = _as_text(value, field)
        if text is not None:
            shown[f"{percent}_as_string"] = text
    return {"values": shown}


def _percentile_values(spec: AggregationSpec, partial: Partial | None) -> dict[float, float | None]:
    """Return the percentiles of `partial`, interpolated linearly: t-digest approaches them, of few equals."""
    percents = sorted(spec.percents())
    if not isinstance(partial, Values) or not partial.counts:
        return dict.fromkeys(percents)
    values = np.fromiter(
        (float(value) for value in partial.counts), dtype=np.float64, count=len(partial.counts)
    )
    times = np.fromiter(partial.counts.values(), dtype=np.int64, count=len(partial.counts))
    order = np.argsort(values)
    values, ends = values[order], np.cumsum(times[order])
    places = np.asarray(percents) / 100 * (int(ends[-1]) - 1)
    below = values[np.searchsorted(ends, np.floor(places), side="right")]
    above = values[np.searchsorted(ends, np.ceil(places), side="right")]
    found = below + (above - below) * (places - np.floor(places))
    return {percent: float(value) for percent, value in zip(percents, found, strict=True)}

"""Aggregations as requested: checked against what this store supports."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field

from vigie.store.date_math import Rounding, calendar_rounding, fixed_rounding
from vigie.store.dates import time_zone
from vigie.store.errors import JsonObject, ShardError, StoreError, illegal_argument, parsing, unknown_field

METRICS = frozenset({"avg", "min", "max", "sum", "stats", "value_count", "cardinality", "percentiles"})
GROUPINGS = frozenset({"terms", "date_histogram", "histogram"})
DEFAULT_PERCENTS = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
_HISTOGRAM = frozenset({"field", "min_doc_count", "extended_bounds", "order", "keyed"})
_PARAMETERS: dict[str, frozenset[str]] = {
    "terms": frozenset({"field", "size", "shard_size", "order", "min_doc_count", "missing"}),
    "date_histogram": _HISTOGRAM | {"fixed_interval", "calendar_interval", "time_zone", "format"},
    "histogram": _HISTOGRAM | {"interval", "offset"},
    "range": frozenset({"field", "ranges", "keyed"}),
    "filters": frozenset({"filters", "other_bucket", "other_bucket_key"}),
    "missing": frozenset({"field"}),
    "value_count": frozenset({"field"}),
    "cardinality": frozenset({"field", "missing", "precision_threshold"}),
    "percentiles": frozenset({"field", "missing", "percents", "keyed", "tdigest"}),
    **dict.fromkeys(("avg", "min", "max", "sum", "stats"), frozenset({"field", "missing"})),
}


@dataclass(frozen=True, slots=True)
class AggregationSpec:
    """One aggregation: kind, parameters, sub-aggregations by name, and the meta to give back."""

    name: str
    kind: str
    parameters: JsonObject
    subs: MappingOf[str, AggregationSpec] = field(default_factory=dict)
    meta: JsonObject | None = None

    @property
    def field(self) -> str:
        """The field aggregated; empty for filters."""
        return str(self.parameters.get("field", ""))

    @property
    def is_split_by_query(self) -> bool:
        """Whether the buckets are those of queries: filter, filters, range, missing."""
        return self.kind not in GROUPINGS and self.kind not in METRICS

    def zone(self) -> dt.tzinfo:
        """Return the time zone of a date histogram."""
        return time_zone(str(self.parameters.get("time_zone", "UTC")))

    def rounding(self) -> Rounding:
        """Return how a date histogram cuts time."""
        if "calendar_interval" in self.parameters:
            return calendar_rounding(str(self.parameters["calendar_interval"]), self.zone())
        return fixed_rounding(str(self.parameters["fixed_interval"]), self.zone())

    def percents(self) -> list[float]:
        """Return the percentages of a percentiles aggregation."""
        return [float(percent) for percent in self.parameters.get("percents", DEFAULT_PERCENTS)]

    def order(self) -> list[tuple[str, bool]]:
        """Return the keys that buckets are ordered by, each with whether it is descending."""
        default: list[JsonObject] = [{"_count": "desc"} if self.kind == "terms" else {"_key": "asc"}]
        given = self.parameters.get("order", default)
        parts = given if isinstance(given, list) else [given]
        return [(path, str(way).lower() == "desc") for part in parts for path, way in part.items()]


def parse_aggregations(source: JsonObject) -> dict[str, AggregationSpec]:
    """Return the aggregations of a search body by name. Raises for each kind or parameter not supported."""
    if not isinstance(source, dict):
        raise parsing("[aggs] must be an object")
    return {name: _parse(name, body) for name, body in source.items()}


def _parse(name: str, body: object) -> AggregationSpec:
    if not isinstance(body, dict):
        raise parsing(f"Aggregation definition for [{name}] starts with a value, expected an object")
    kinds = [key for key in body if key not in ("aggs", "aggregations", "meta")]
    if not kinds:
        raise parsing(f"Missing definition for aggregation [{name}]")
    if len(kinds) > 1:
        raise parsing(f"Found two aggregation type definitions in [{name}]: [{kinds[0]}] and [{kinds[1]}]")
    kind, parameters = kinds[0], body[kinds[0]]
    if kind != "filter" and kind not in _PARAMETERS:
        raise parsing(f"Unknown aggregation type [{kind}] (or not supported by this store)")
    if not isinstance(parameters, dict):
        raise parsing(f"[{kind}] of aggregation [{name}] must be an object")
    subs = parse_aggregations(body.get("aggs", body.get("aggregations")) or {})
    if subs and kind in METRICS:
        raise illegal_argument(f"Aggregator [{name}] of type [{kind}] cannot accept sub-aggregations")
    spec = AggregationSpec(name, kind, parameters, subs, body.get("meta"))
    _check(spec)
    return spec


def _check(spec: AggregationSpec) -> None:
    kind, parameters = spec.kind, spec.parameters
    if kind == "filter":
        return
    for parameter in parameters:
        if parameter not in _PARAMETERS[kind]:
            raise unknown_field(kind, parameter)
    if kind == "filters":
        if not isinstance(parameters.get("filters"), (dict, list)):
            raise parsing(f"[filters] of aggregation [{spec.name}] must be an object or an array")
        return
    if not isinstance(parameters.get("field"), str):
        raise illegal_argument("Required one of fields [field, script], but none were specified.")
    checker = {
        "terms": _check_terms,
        "histogram": _check_histogram,
        "date_histogram": _check_date_histogram,
        "range": _check_range,
    }.get(kind)
    if checker is not None:
        checker(spec)


def _check_terms(spec: AggregationSpec) -> None:
    size = spec.parameters.get("size", 10)
    if not isinstance(size, int) or size <= 0:
        raise _unparsable("terms", "size", f"[size] must be greater than 0. Found [{size}] in [{spec.name}]")
    minimum = spec.parameters.get("min_doc_count", 1)
    if not isinstance(minimum, int) or minimum < 1:
        raise _unparsable("terms", "min_doc_count", f"[{minimum}] is not supported by this store")
    _check_order(spec)


def _check_histogram(spec: AggregationSpec) -> None:
    interval = spec.parameters.get("interval")
    if isinstance(interval, bool) or not isinstance(interval, (int, float)) or interval <= 0:
        raise _unparsable(
            "histogram", "interval", f"[interval] must be >0 for histogram aggregation [{spec.name}]"
        )
    _check_order(spec)


def _check_date_histogram(spec: AggregationSpec) -> None:
    given = spec.parameters.keys() & {"fixed_interval", "calendar_interval"}
    if not given:
        raise ShardError(
            "illegal_argument_exception", "Invalid interval specified, must be non-null and non-empty"
        )
    if len(given) > 1:
        raise illegal_argument("Cannot use [fixed_interval] with [calendar_interval] configuration option.")
    spec.rounding()
    _check_order(spec)


def _check_range(spec: AggregationSpec) -> None:
    ranges = spec.parameters.get("ranges")
    if not ranges:
        raise ShardError(
            "illegal_argument_exception", f"No [ranges] specified for the [{spec.name}] aggregation"
        )
    for part in ranges:
        for key, value in part.items():
            if key not in ("from", "to", "key"):
                raise unknown_field("range", key)
            if key != "key" and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise _unparsable("range", "ranges", f"[{key}] must be a number, not [{value}]")


def _check_order(spec: AggregationSpec) -> None:
    for path, _ in spec.order():
        name = path.partition(".")[0]
        if path not in ("_count", "_key") and (name not in spec.subs or spec.subs[name].kind not in METRICS):
            raise ShardError(
                "illegal_argument_exception",
                f"Invalid aggregation order path [{path}]. Cannot find aggregation named [{name}]",
            )


def _unparsable(kind: str, parameter: str, why: str) -> StoreError:
    cause = {"type": "illegal_argument_exception", "reason": why}
    return StoreError(
        400,
        "x_content_parse_exception",
        f"[{kind}] failed to parse field [{parameter}]: {why}",
        caused_by=cause,
    )

"""Outcomes and predictions in the store, counted: confusion matrices and scores in bins, in groups.

An outcome is a document of `doc_type: feedback` that was joined with its prediction and that no correction
has superseded. It belongs to the time of its prediction. Counts are exact and come from the store in one
request; only the squared errors are read outcome by outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np

from vigie.drift.check import Period
from vigie.drift.window import PROBABILITY, Predictions, instant
from vigie.errors import VigieError
from vigie.quality.calibration import CURVE_EDGES, Bins
from vigie.quality.measures import FloatArray, IntArray
from vigie.schema import FeatureSchema

FEEDBACK: Final = "feedback"
PREDICTED_AT: Final = "outcome.predicted_at"
VERSION: Final = "model.version"
MOST_READ: Final = 20_000
"""Outcomes that are read for the Brier score, the newest first; everything else counts all."""
PAGE: Final = 2_000
MOST_VERSIONS: Final = 50
LONGEST_BY_HOUR: Final = timedelta(days=7)
Query = dict[str, Any]
_FIXED: Final[Mapping[str, str]] = {"day": "1d", "hour": "1h"}


class QualityError(VigieError):
    """Quality cannot be told in the way asked for."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Outcomes of one group."""

    matrix: IntArray
    """True class, then class given; shape (classes, classes)."""
    curve: Bins
    """By score, in ten bins of equal width."""
    bins: Bins
    """By score, in the bins of the estimate."""

    @property
    def rows(self) -> int:
        """Outcomes in all."""
        return int(self.matrix.sum())


@dataclass(frozen=True, slots=True)
class Lag:
    """How long after its prediction an outcome was known, in milliseconds."""

    median_ms: float | None
    p90_ms: float | None


class Outcomes:
    """Outcomes of one model in a period; every method raises DriftError when the store fails."""

    def __init__(
        self, predictions: Predictions, schema: FeatureSchema, period: Period, edges: Sequence[float]
    ) -> None:
        """Take the inner `edges` of the estimate's bins."""
        self._predictions = predictions
        self._classes = schema.target.classes
        self._schema = schema
        self._period = period
        self._edges = tuple(edges)
        bounds = {"gte": instant(period.since), "lt": instant(period.until)}
        self._outcomes: list[Query] = [
            {"term": {"doc_type": FEEDBACK}},
            {"term": {"outcome.joined": True}},
            {"term": {"outcome.superseded": False}},
            {"term": {"model.name": predictions.model.name}},
            {"range": {PREDICTED_AT: bounds}},
        ]
        self._version: Query = {"term": {VERSION: predictions.model.version}}

    def predicted(self) -> tuple[int, Bins]:
        """Return how many predictions were answered, and their scores in the estimate's bins."""
        query = [*self._predictions.clauses("ok"), *self._period.window.clauses]
        answer = self._predictions.search(
            size=0,
            track_total_hits=True,
            query={"bool": {"filter": query}},
            aggs={"bins": _bins(self._edges, None)},
        )
        return answer["hits"]["total"]["value"], _read_bins(
            self._edges, answer.get("aggregations", {}), "bins"
        )

    def counts(self) -> tuple[Counts, Lag]:
        """Return all outcomes of the version looked at, and how late they came (approximate percentiles)."""
        lag = {"percentiles": {"field": "outcome.lag_ms", "percents": [50, 90], "keyed": False}}
        found = self._asked([self._version], {**self._parts(), "lag": lag})
        values = [one["value"] for one in found.get("lag", {}).get("values", ())]
        median, p90 = values if len(values) == 2 else (None, None)
        return self._counts(found), Lag(median, p90)

    def groups(self, by: str) -> dict[str, Counts]:
        """Return the outcomes by `day`, `hour` (UTC), `version`, or an input of two values or categories.

        Of versions, all are shown; otherwise only that looked at. Raises QualityError for another input.
        """
        conditions = [] if by == "version" else [self._version]
        found = self._asked(conditions, {"groups": {**self._grouping(by), "aggs": self._parts()}})
        buckets = found.get("groups", {}).get("buckets", ())
        named = buckets.items() if isinstance(buckets, dict) else ((_key(by, one), one) for one in buckets)
        return {name: self._counts(one) for name, one in sorted(named) if one["doc_count"]}

    def squared_errors(self, by: str | None) -> dict[str, FloatArray]:
        """Return group → squared error of P(positive) of each outcome; "" is all of the version.

        The newest MOST_READ are read. Of more than two classes there is none: the store has one probability.
        """
        if len(self._classes) > 2:
            return {}
        found: dict[str, list[float]] = {}
        for source in self._documents(by):
            outcome, given = source["outcome"], source["result"]
            error = (float(given["probability"]) - int(outcome["position"])) ** 2
            if source["model"]["version"] == self._predictions.model.version:
                found.setdefault("", []).append(error)
            if by is not None:
                found.setdefault(_group_of(source, by), []).append(error)
        return {name: np.array(errors) for name, errors in found.items()}

    def _documents(self, by: str | None) -> Iterator[Mapping[str, Any]]:
        fields = ["outcome", "result", "model.version"]
        if by in self._schema.by_name:
            fields.append(f"input_data.{by}")
        conditions = self._outcomes if by == "version" else [*self._outcomes, self._version]
        after: dict[str, Any] = {}
        left = MOST_READ
        while left > 0:
            hits = self._predictions.search(
                size=min(PAGE, left),
                query={"bool": {"filter": conditions}},
                sort=[{"@timestamp": "desc"}, {"producer": "desc"}, {"number": "desc"}],
                source=fields,
                track_total_hits=False,
                **after,
            )["hits"]["hits"]
            if not hits:
                return
            yield from (hit["_source"] for hit in hits)
            left -= len(hits)
            after = {"search_after": hits[-1]["sort"]}

    def _asked(self, conditions: Sequence[Query], aggregations: Query) -> Mapping[str, Any]:
        answer = self._predictions.search(
            size=0,
            track_total_hits=False,
            query={"bool": {"filter": [*self._outcomes, *conditions]}},
            aggs=aggregations,
        )
        found: Mapping[str, Any] = answer.get("aggregations", {})
        return found

    def _parts(self) -> Query:
        cells = {
            f"{true} {given}": _all({"term": {"outcome.label": one}}, {"term": {"result.label": other}})
            for true, one in enumerate(self._classes)
            for given, other in enumerate(self._classes)
        }
        hit: Query = {"term": {"outcome.correct": True}}
        if len(self._classes) == 2:
            hit = {"term": {"outcome.label": self._classes[1]}}
        return {
            "cells": {"filters": {"filters": cells}},
            "curve": _bins(CURVE_EDGES, hit),
            "bins": _bins(self._edges, hit),
        }

    def _counts(self, found: Mapping[str, Any]) -> Counts:
        size = len(self._classes)
        matrix = np.zeros((size, size), dtype=np.int64)
        for name, bucket in found.get("cells", {}).get("buckets", {}).items():
            true, given = map(int, name.split())
            matrix[true, given] = bucket["doc_count"]
        return Counts(matrix, _read_bins(CURVE_EDGES, found, "curve"), _read_bins(self._edges, found, "bins"))

    def _grouping(self, by: str) -> Query:
        if by in _FIXED:
            length = self._period.until - self._period.since
            if by == "hour" and length > LONGEST_BY_HOUR:
                raise QualityError(f"by hour: {LONGEST_BY_HOUR.days} days at most, not {length.days}")
            histogram = {"field": PREDICTED_AT, "fixed_interval": _FIXED[by], "min_doc_count": 1}
            return {"date_histogram": histogram}
        if by == "version":
            return {"terms": {"field": VERSION, "size": MOST_VERSIONS, "order": [{"_key": "asc"}]}}
        feature = self._schema.by_name.get(by)
        if feature is None or feature.type not in {"binary", "category"}:
            possible = [one.name for one in self._schema.features if one.type in {"binary", "category"}]
            raise QualityError(f"--by {by} is none of day, hour, version, {', '.join(possible)}")
        levels = (0, 1) if feature.type == "binary" else feature.categories
        return {
            "filters": {"filters": {str(level): {"term": {f"input_data.{by}": level}} for level in levels}}
        }


def _bins(edges: Sequence[float], hit: Query | None) -> Query:
    """Return the aggregation of the scores in bins, with their mean; beside each bin that of its hits."""
    cells: Query = {}
    for position, (low, high) in enumerate(pairwise([None, *edges, None])):
        limits = {way: edge for way, edge in (("gte", low), ("lt", high)) if edge is not None}
        cells[f"{position}"] = {"range": {PROBABILITY: limits}}
        if hit is not None:
            cells[f"{position} hit"] = _all(cells[f"{position}"], hit)
    return {"filters": {"filters": cells}, "aggs": {"mean": {"avg": {"field": PROBABILITY}}}}


def _read_bins(edges: Sequence[float], found: Mapping[str, Any], name: str) -> Bins:
    buckets = found.get(name, {}).get("buckets", {})
    size = len(edges) + 1
    none: Query = {"doc_count": 0}
    rows = [buckets.get(f"{position}", none) for position in range(size)]
    return Bins(
        tuple(edges),
        np.array([one["doc_count"] for one in rows], dtype=np.int64),
        np.array(
            [buckets.get(f"{position} hit", none)["doc_count"] for position in range(size)], dtype=np.int64
        ),
        np.array([one["mean"]["value"] if one["doc_count"] else 0.0 for one in rows]),
    )


def _key(by: str, bucket: Mapping[str, Any]) -> str:
    if by not in _FIXED:
        return str(bucket["key"])
    return _time(datetime.fromtimestamp(bucket["key"] / 1000, UTC).isoformat(), by)


def _group_of(document: Mapping[str, Any], by: str) -> str:
    if by in _FIXED:
        return _time(document["outcome"]["predicted_at"], by)
    if by == "version":
        return str(document["model"]["version"])
    return str(document.get("input_data", {}).get(by, ""))


def _time(text: str, by: str) -> str:
    """Return day or hour of an ISO 8601 time in UTC."""
    return text[:10] if by == "day" else f"{text[:13]}:00"


def _all(*clauses: Query) -> Query:
    return {"bool": {"filter": list(clauses)}}

"""Data quality of a window: how many requests were refused, which of their fields, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from vigie.drift.null_distribution import chance
from vigie.drift.window import Predictions, Window
from vigie.schema import Feature, FeatureSchema

MOST_READ: Final = 1000
"""Refused requests of a window that are read for their reasons, the newest first; all are counted."""
CONFIDENCE: Final = 0.95
LEAST_CHANGE_P: Final = 0.01
"""p-value below which the refused share is said to have changed since the window before."""

Reason = Literal["missing", "out of range", "new category", "wrong type", "unknown field", "not readable"]
_GIVEN: Final = re.compile(r"; got (?P<value>.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Requests of a span of time."""

    requests: int
    """Answered or refused."""
    refused: int
    reasons: Mapping[str, Mapping[Reason, int]]
    """Field ("" for the whole request) → reason → refused requests that were read."""
    read: int
    """Refused requests whose reasons were read."""

    @property
    def share(self) -> float:
        """Refused requests per request; 0 without any."""
        return self.refused / self.requests if self.requests else 0.0

    def interval(self) -> tuple[float, float]:
        """Return the 95 % confidence interval of the share (Wilson, 1927)."""
        from scipy.stats import binomtest

        if not self.requests:
            return 0.0, 1.0
        found = binomtest(self.refused, self.requests).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)

    def changed_from(self, before: Refusals) -> float:
        """Return the p-value of the share's difference from that of the window before."""
        cells = [(one.requests - one.refused, one.refused) for one in (before, self)]
        return chance(*cells).p_value


def refusals(predictions: Predictions, window: Window, schema: FeatureSchema) -> Refusals:
    """Return what was refused in the window. Raises DriftError."""
    conditions = [*predictions.clauses("ok", "refused"), *window.clauses]
    answer = predictions.search(
        size=0,
        track_total_hits=True,
        query={"bool": {"filter": conditions}},
        aggs={"refused": {"filter": {"term": {"status": "refused"}}}},
    )
    requests = answer["hits"]["total"]["value"]
    refused = answer.get("aggregations", {}).get("refused", {}).get("doc_count", 0)
    documents = _newest_refused(predictions, window) if refused else []
    return Refusals(requests, refused, _reasons(documents, schema), len(documents))


def _newest_refused(predictions: Predictions, window: Window) -> list[Mapping[str, Any]]:
    answer = predictions.search(
        size=MOST_READ,
        query={"bool": {"filter": [*predictions.clauses("refused"), *window.clauses]}},
        sort=[{"@timestamp": "desc"}, {"producer": "desc"}, {"number": "desc"}],
        source=["errors"],
        track_total_hits=False,
    )
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def _reasons(documents: Sequence[Mapping[str, Any]], schema: FeatureSchema) -> dict[str, dict[Reason, int]]:
    found: dict[str, Counter[Reason]] = {}
    for document in documents:
        errors = document.get("errors") or [{"field": "", "reason": ""}]
        for field, reason in {(str(e.get("field", "")), str(e.get("reason", ""))) for e in errors}:
            name = field if field in schema.by_name else ""
            said: Reason = (
                "unknown field" if field and not name else classify(schema.by_name.get(name), reason)
            )
            found.setdefault(name, Counter())[said] += 1
    return {name: dict(counts) for name, counts in sorted(found.items())}


def classify(feature: Feature | None, reason: str) -> Reason:
    """Return what the API's words for a refused value mean; without a `feature` it is the request's fault."""
    if feature is None:
        return "not readable"
    given = _GIVEN.search(reason)
    if given is None:
        return "missing" if reason == "is required" else "not readable"
    try:
        value = orjson.loads(given["value"])
    except orjson.JSONDecodeError:  # a text that was cut, an object, NaN
        value = "" if given["value"].startswith('"') else None
    if value is None and given["value"] == "null":
        return "missing"
    if feature.categories:
        return "new category" if isinstance(value, str) else "wrong type"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "wrong type"
    low, high = feature.bounds
    outside = (low is not None and value < low) or (high is not None and value > high)
    return "out of range" if outside else "wrong type"

"""Windows of predictions in the store: where they begin and end, and what was counted in them.

A window is counted by the store itself, exactly and in one request: the bins are frozen, so every cell is a
query of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from elasticsearch import ApiError, Elasticsearch, TransportError

from vigie.drift.judgement import Counted
from vigie.errors import VigieError
from vigie.indices.mappings import MESSAGE
from vigie.indices.store_client import fault_of
from vigie.model.reference_profile import Profile, ReferenceProfile
from vigie.settings import StoreSettings

LENIENT: Final[Mapping[str, Any]] = {"ignore_unavailable": True, "allow_no_indices": True}
LARGEST_WINDOW: Final = 9_999
"""Rows of a window by count: the store looks no further than 10,000 hits ahead."""
CELLS_AT_ONCE: Final = 500
"""Queries of one request; the store's limit on clauses is 1,024 at least."""
_PLACE: Final = ("@timestamp", "producer", "number")
LABEL: Final = "result.label"
PROBABILITY: Final = "result.probability"
Query = dict[str, Any]


class DriftError(VigieError):
    """A window cannot be judged: the store is away, or it refuses."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a prediction stands among the others: by time, then by producer and number."""

    timestamp: str
    """UTC with microseconds, as the event has it."""
    producer: str
    number: int

    def beyond(self) -> Query:
        """Return the query of the predictions after this one."""
        return self._one_of("gt")

    def upto(self) -> Query:
        """Return the query of the predictions up to this one, itself included."""
        return self._one_of("lt", last="lte")

    def _one_of(self, way: str, last: str = "") -> Query:
        at = {"range": {"@timestamp": {"gte": self.timestamp, "lte": self.timestamp}}}
        same = {"term": {"producer": self.producer}}
        ways: list[Query] = [
            {"range": {"@timestamp": {way: self.timestamp}}},
            _all(at, {"range": {"producer": {way: self.producer}}}),
            _all(at, same, {"range": {"number": {last or way: self.number}}}),
        ]
        return {"bool": {"should": ways, "minimum_should_match": 1}}


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the predictions: those that match every one of its `clauses`."""

    clauses: tuple[Query, ...]

    @classmethod
    def between(cls, after: Place | None, last: Place) -> Window:
        """Return the predictions after one, or from the first on, up to another."""
        return cls((*(() if after is None else (after.beyond(),)), last.upto()))

    @classmethod
    def of_time(cls, since: datetime, until: datetime) -> Window:
        """Return the predictions from `since` on and before `until`, both with a time zone."""
        return cls(({"range": {"@timestamp": {"gte": instant(since), "lt": instant(until)}}},))


@dataclass(frozen=True, slots=True)
class Model:
    """Whose predictions are looked at."""

    name: str
    version: str


class Predictions:
    """The answered predictions of one model version; every method raises DriftError when the store fails."""

    def __init__(
        self, client: Elasticsearch, settings: StoreSettings, model: Model, reference: ReferenceProfile
    ) -> None:
        self._client = client
        self._settings = settings
        self._reference = reference
        self.model = model
        self._index = f"{settings.es_index_prefix}{MESSAGE}"

    def clauses(self, *statuses: str) -> list[Query]:
        """Return the conditions of this model version's predictions with one of the `statuses`."""
        return [
            {"term": {"doc_type": "prediction"}},
            {"terms": {"status": list(statuses)}},
            {"term": {"model.name": self.model.name}},
            {"term": {"model.version": self.model.version}},
        ]

    def newest(self, within: Window | None = None, skip: int = 0) -> Place | None:
        """Return the newest prediction of a window after so many newer ones; None when there are fewer."""
        return self._place("desc", within.clauses if within else (), skip)

    def following(self, after: Place | None, skip: int) -> Place | None:
        """Return the prediction that follows one (None: the first), so many between skipped; None: none."""
        return self._place("asc", () if after is None else (after.beyond(),), skip)

    def span(self, window: Window) -> tuple[Place, Place] | None:
        """Return the first and the last prediction of a window; None when it has none."""
        first, last = self._place("asc", window.clauses, 0), self._place("desc", window.clauses, 0)
        return None if first is None or last is None else (first, last)

    def count(self, window: Window) -> Counted:
        """Return the window's rows, counted over the reference's bins and levels."""
        query = _all(*self.clauses("ok"), *window.clauses)
        profiles = {f"input_data.{name}": one for name, one in self._reference.features.items()}
        answers = self._reference.prediction
        profiles[LABEL] = answers.labels
        if answers.probability is not None:
            profiles[PROBABILITY] = answers.probability
        means = {field: {"avg": {"field": field}} for field, one in profiles.items() if one.kind == "bins"}
        rows, found, averages = self._counts(query, dict(_cells(profiles)), means)
        counted = {
            field: _profile(field, profile, rows, found, averages) for field, profile in profiles.items()
        }
        return Counted(
            rows=rows,
            features={name: counted[f"input_data.{name}"] for name in self._reference.features},
            labels=counted[LABEL],
            probability=counted.get(PROBABILITY),
        )

    def search(self, **asked: Any) -> Any:
        """Ask the store. Raises DriftError."""
        try:
            return self._client.search(index=self._index, **asked, **LENIENT).body
        except (ApiError, TransportError) as error:
            raise DriftError(fault_of(error, self._settings.url).text) from error

    def _place(self, order: str, clauses: tuple[Query, ...], skip: int) -> Place | None:
        answer = self.search(
            size=1,
            from_=skip,
            query=_all(*self.clauses("ok"), *clauses),
            sort=[{field: order} for field in _PLACE],
            source=list(_PLACE),
            track_total_hits=False,
        )
        for hit in answer["hits"]["hits"]:
            source = hit["_source"]
            return Place(source["@timestamp"], source["producer"], source["number"])
        return None

    def _counts(
        self, query: Query, cells: Mapping[str, Query], means: Query
    ) -> tuple[int, dict[str, int], dict[str, float | None]]:
        """Return the rows in all, those of each cell, and the mean of each numeric field."""
        names = list(cells)
        rows, counts, averages = 0, dict.fromkeys(names, 0), dict.fromkeys(means)
        for start in range(0, len(names), CELLS_AT_ONCE):
            asked = {name: cells[name] for name in names[start : start + CELLS_AT_ONCE]}
            aggregations = {"cells": {"filters": {"filters": asked}}, **(means if start == 0 else {})}
            answer = self.search(size=0, track_total_hits=True, query=query, aggs=aggregations)
            rows = answer["hits"]["total"]["value"]
            found = answer.get("aggregations", {})
            buckets = found.get("cells", {}).get("buckets", {})
            counts.update({name: bucket["doc_count"] for name, bucket in buckets.items()})
            averages.update({name: found[name]["value"] for name in means if name in found})
        return rows, counts, averages


def instant(when: datetime) -> str:
    """Return a time as the store's documents have theirs: UTC with microseconds."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _all(*clauses: Query) -> Query:
    return {"bool": {"filter": list(clauses)}}


def _cells(profiles: Mapping[str, Profile]) -> Iterator[tuple[str, Query]]:
    """Yield name and query of every cell: "<field> <position>", and of levels whether there is a value."""
    for field, profile in profiles.items():
        if profile.kind == "levels":
            for position, level in enumerate(profile.levels):
                yield f"{field} {position}", {"term": {field: level}}
            yield f"{field} any", {"exists": {"field": field}}
            continue
        bounds = [None, *profile.edges, None]
        for position, (low, high) in enumerate(pairwise(bounds)):
            limits = {way: edge for way, edge in (("gte", low), ("lt", high)) if edge is not None}
            known: Query = {"range": {field: limits}} if limits else {"exists": {"field": field}}
            yield f"{field} {position}", known


def _profile(
    field: str,
    frozen: Profile,
    rows: int,
    found: Mapping[str, int],
    averages: Mapping[str, float | None],
) -> Profile:
    counts = [found[f"{field} {position}"] for position in range(len(frozen.counts))]
    known = sum(counts)
    if frozen.kind == "bins":
        return frozen.with_counts(counts, missing=max(0, rows - known), mean=averages.get(field))
    there = found[f"{field} any"]
    missing, unseen = max(0, rows - there), max(0, there - known)  # what arrives meanwhile is in neither
    return frozen.with_counts(counts, missing=missing, unseen=unseen)

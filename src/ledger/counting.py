"""Asking the store how many documents it has of which numbers, many questions in one request."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import orjson
from elasticsearch import Elasticsearch

from vigie.indices.mappings import INDICES
from vigie.telemetry.stream.number_set import NumberSet

MOST_RANGES: Final = 300
"""Ranges of numbers left out by one query; the store's own limit on clauses is 1,024 at least."""
MOST_CLAUSES: Final = 1000
"""Clauses of all queries of one request."""
NUMBERS_AT_ONCE: Final = 1 << 20
"""Numbers among which repeated ones are looked for by one request."""
MOST_REPEATED: Final = 1000
"""Repeated numbers that one request finds."""
LENIENT: Final[Mapping[str, Any]] = {"ignore_unavailable": True, "allow_no_indices": True}
SERVICE: Final[Mapping[str, Any]] = {"term": {"doc_type": "service"}}


class Count(NamedTuple):
    """Documents, and the sum of their numbers, which tells one that lacks from one that is there twice."""

    documents: int = 0
    numbers: int = 0

    def plus(self, other: Count) -> Count:
        """Return both together."""
        return Count(self.documents + other.documents, self.numbers + other.numbers)

    def minus(self, other: Count) -> Count:
        """Return what this one has more."""
        return Count(self.documents - other.documents, self.numbers - other.numbers)


@dataclass(frozen=True, slots=True)
class Question:
    """How many documents of a producer an index has, with the numbers `first` to `last` but not `without`."""

    index: str
    """Name without prefix."""
    producer: str
    first: int
    last: int
    without: NumberSet
    clauses: tuple[Mapping[str, Any], ...] = ()
    """Further conditions."""

    def parts(self) -> Iterator[Question]:
        """Yield questions with few enough ranges, which together ask the same."""
        spans = self.without.between(self.first, self.last).spans()
        first = self.first
        for end in range(MOST_RANGES, len(spans), MOST_RANGES):
            yield replace(self, first=first, last=spans[end][0] - 1)
            first = spans[end][0]
        yield replace(self, first=first)

    def query(self) -> dict[str, Any]:
        """Return it in the store's query language."""
        numbers = {"range": {"number": {"gte": self.first, "lte": self.last}}}
        query: dict[str, Any] = {"filter": [{"term": {"producer": self.producer}}, numbers, *self.clauses]}
        spans = self.without.between(self.first, self.last).spans()
        if spans:
            query["must_not"] = [{"range": {"number": {"gte": low, "lte": high}}} for low, high in spans]
        return {"bool": query}


class CountingError(Exception):
    """The time to ask is over."""


@dataclass(frozen=True, slots=True)
class StoreCounter:
    """Asks a store, over the aliases of every prefix that was ever in use; raises what the client raises."""

    client: Elasticsearch
    prefixes: Sequence[str]
    deadline: float | None = None
    """Monotonic time in seconds after which it raises CountingError instead of asking."""

    def refresh(self) -> None:
        """Let everything stored so far be seen."""
        for index in INDICES:
            self._timely().indices.refresh(index=self.aliases(index), **LENIENT)

    def physical(self) -> dict[str, str]:
        """Return the physical indices that exist, each with its uuid."""
        found: dict[str, Any] = {}
        for prefix in self.prefixes:
            for index in INDICES:
                found |= self._timely().indices.get_settings(index=f"{prefix}{index}-*").body
        return {name: about["settings"]["index"]["uuid"] for name, about in found.items()}

    def ask(self, questions: Sequence[Question]) -> list[Count]:
        """Answer each question; equal ones are asked once."""
        parts = [(position, part) for position, asked in enumerate(questions) for part in asked.parts()]
        queries = [(part.index, part.query()) for _, part in parts]
        asked = {(index, orjson.dumps(query)): query for index, query in queries}
        found: dict[tuple[str, bytes], Count] = {}
        for index in sorted({index for index, _ in queries}):
            found |= self._answers(index, {key: query for key, query in asked.items() if key[0] == index})
        counts = [Count()] * len(questions)
        for (position, _), (index, query) in zip(parts, queries, strict=True):
            counts[position] = counts[position].plus(found[index, orjson.dumps(query)])
        return counts

    def repeated(
        self, index: str, producer: str, last: int, clauses: tuple[Mapping[str, Any], ...] = ()
    ) -> dict[int, int]:
        """Return the numbers, up to `last`, that several documents share, with how many are too many.

        Of one physical index, whose single shard counts exactly; of very many the first only.
        """
        found: dict[int, int] = {}
        for first in range(1, last + 1, NUMBERS_AT_ONCE):
            asked = Question(
                index, producer, first, min(last, first + NUMBERS_AT_ONCE - 1), NumberSet(), clauses
            )
            terms = {"field": "number", "size": MOST_REPEATED, "order": {"_count": "desc"}}
            answer = self._timely().search(
                index=self.aliases(index),
                size=0,
                query=asked.query(),
                aggs={"numbers": {"terms": terms}},
                **LENIENT,
            )
            buckets = answer.body.get("aggregations", {}).get("numbers", {}).get("buckets", [])
            found |= {int(b["key"]): b["doc_count"] - 1 for b in buckets if b["doc_count"] > 1}
        return found

    def aliases(self, index: str) -> str:
        """Return the names under which an index is asked."""
        return ",".join(f"{prefix}{index}" for prefix in self.prefixes)

    def _answers(
        self, index: str, asked: Mapping[tuple[str, bytes], dict[str, Any]]
    ) -> Iterator[tuple[tuple[str, bytes], Count]]:
        for page in _pages(asked):
            named = {str(position): asked[key] for position, key in enumerate(page)}
            producers = sorted({query["bool"]["filter"][0]["term"]["producer"] for query in named.values()})
            answer = self._timely().search(
                index=self.aliases(index),
                size=0,
                query={"bool": {"filter": [{"terms": {"producer": producers}}]}},
                aggs={
                    "asked": {
                        "filters": {"filters": named},
                        "aggs": {"numbers": {"sum": {"field": "number"}}},
                    }
                },
                **LENIENT,
            )
            buckets = answer.body.get("aggregations", {}).get("asked", {}).get("buckets", {})
            for position, key in enumerate(page):
                bucket = buckets.get(str(position), {"doc_count": 0, "numbers": {"value": 0}})
                yield key, Count(bucket["doc_count"], round(bucket["numbers"]["value"] or 0))

    def _timely(self) -> Elasticsearch:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise CountingError
        return self.client


def _pages(asked: Mapping[tuple[str, bytes], dict[str, Any]]) -> Iterator[list[tuple[str, bytes]]]:
    """Cut the questions into requests of few enough clauses."""
    page: list[tuple[str, bytes]] = []
    clauses = 0
    for key, query in asked.items():
        weight = 2 + len(query["bool"].get("must_not", ()))
        if page and clauses + weight > MOST_CLAUSES:
            yield page
            page, clauses = [], 0
        page.append(key)
        clauses += weight
    if page:
        yield page

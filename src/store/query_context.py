"""What queries are compiled for, and how they are combined."""

from __future__ import annotations

from dataclasses import dataclass

import tantivy

from vigie.store.columns import Column
from vigie.store.generation import Generation
from vigie.store.mapping import Mapping

Query = tantivy.Query
_Must, _Should, _MustNot = tantivy.Occur.Must, tantivy.Occur.Should, tantivy.Occur.MustNot


@dataclass(frozen=True, slots=True)
class QueryContext:
    """What a query is compiled for and runs on.

    The generation with one snapshot of it, the index's name and present mapping (a field that it has and the
    generation lacks is a field without values), and the present time in nanoseconds.
    """

    generation: Generation
    searcher: tantivy.Searcher
    index: str
    now: int
    mapping: Mapping

    def column(self, path: str) -> Column | None:
        """Return the column of a field; None when the field is not mapped."""
        return self.generation.columns.get(path)

    def count(self, query: Query) -> int:
        """Return how many documents match."""
        found = self.searcher.search(query, limit=1, count=True)
        return int(found.count)  # type: ignore[attr-defined] # tantivy's type stub lacks it


def all_of(*queries: Query) -> Query:
    """Return the query of documents that match every one."""
    return queries[0] if len(queries) == 1 else Query.boolean_query([(_Must, query) for query in queries])


def any_of(queries: list[Query]) -> Query:
    """Return the query of documents that match at least one; none for an empty list."""
    if not queries:
        return Query.empty_query()
    return queries[0] if len(queries) == 1 else Query.boolean_query([(_Should, query) for query in queries])


def none_of(query: Query) -> Query:
    """Return the query of documents that do not match."""
    return Query.boolean_query([(_Must, Query.all_query()), (_MustNot, query)])

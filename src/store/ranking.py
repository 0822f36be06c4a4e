"""The best documents of one generation, in exact order by several keys.

tantivy sorts by one column. So the first key chooses the candidates, ties at the cut and documents without
the field are chosen by the keys after it, and the few that remain are sorted here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import tantivy

from vigie.store.columns import SEQUENCE, SEVERAL, decode_term
from vigie.store.errors import ShardError
from vigie.store.query_context import Query, QueryContext, all_of, none_of
from vigie.store.sorting import ResolvedKey, SortKey, SortValue, equal_query, present_query

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document of a generation with its sort values (None: it lacks the field)."""

    values: tuple[SortValue, ...]
    address: tantivy.DocAddress
    sequence: int


def best(query: Query, keys: Sequence[ResolvedKey], limit: int, context: QueryContext) -> list[Ranked]:
    """Return the first `limit` matching documents in the keys' order; ties stay in the order of writing."""
    if limit <= 0 or context.searcher.num_docs == 0:
        return []
    _refuse_several_values(query, keys, context)
    addresses = _candidates(query, keys, limit, context)
    columns = [_values(addresses, resolved, context) for resolved in keys]
    sequences = context.searcher.fast_field_values(SEQUENCE, addresses)
    rows = [
        Ranked(tuple(column[position] for column in columns), address, int(sequences[position] or 0))
        for position, address in enumerate(addresses)
    ]
    rows.sort(key=lambda row: row.sequence)
    return in_order(rows, [resolved.key for resolved in keys], lambda row: row.values)[:limit]


def in_order(
    rows: Sequence[_T], keys: Sequence[SortKey], values_of: Callable[[_T], Sequence[SortValue]]
) -> list[_T]:
    """Return the rows sorted by the keys; rows that are equal in all of them keep their order."""
    result = list(rows)
    for position in range(len(keys) - 1, -1, -1):
        key = keys[position]
        lacking_first = key.descending == key.missing_last

        def rank(
            row: _T, position: int = position, lacking_first: bool = lacking_first
        ) -> tuple[bool, SortValue]:
            value = values_of(row)[position]
            return (value is None) != lacking_first, 0 if value is None else value

        result.sort(key=rank, reverse=key.descending)
    return result


def _refuse_several_values(query: Query, keys: Sequence[ResolvedKey], context: QueryContext) -> None:
    """Raise when a document has several values: tantivy sorts by the first, Elasticsearch by the best."""
    for resolved in keys:
        if resolved.column is None:
            continue
        several = Query.term_query(context.generation.schema, SEVERAL, resolved.name)
        if context.searcher.search(all_of(several, query), limit=1, count=False).hits:
            raise ShardError(
                "illegal_argument_exception",
                f"[sort] by [{resolved.key.field}], of which a document has several values, is "
                "not supported by this store",
            )


def _candidates(
    query: Query, keys: Sequence[ResolvedKey], limit: int, context: QueryContext
) -> list[tantivy.DocAddress]:
    """Return, unsorted, the addresses of the best documents."""
    if limit <= 0:
        return []
    if not keys:
        found = context.searcher.search(
            query, limit=limit, count=False, order_by_field=SEQUENCE, order=tantivy.Order.Asc
        )
        return [address for _, address in found.hits]
    first, rest = keys[0], keys[1:]
    lacking = all_of(query, none_of(present_query(first)))
    if first.key.missing_last:
        chosen = _with_value(query, first, rest, limit, context)
        return chosen + (_candidates(lacking, rest, limit - len(chosen), context) if _can_lack(first) else [])
    chosen = _candidates(lacking, rest, limit, context) if _can_lack(first) else []
    return chosen + _with_value(query, first, rest, limit - len(chosen), context)


def _can_lack(resolved: ResolvedKey) -> bool:
    return not resolved.is_written_order


def _with_value(
    query: Query, first: ResolvedKey, rest: Sequence[ResolvedKey], limit: int, context: QueryContext
) -> list[tantivy.DocAddress]:
    if limit <= 0 or (first.column is None and not first.is_written_order):
        return []
    order = tantivy.Order.Desc if first.key.descending else tantivy.Order.Asc
    having = all_of(query, present_query(first))
    hits = context.searcher.search(
        having, limit=limit, count=False, order_by_field=first.name, order=order
    ).hits
    if len(hits) < limit or not rest:
        return [address for _, address in hits]
    # The cut may run through documents of equal value: among those the next keys decide.
    edge = hits[-1][0]
    better = [address for value, address in hits if value != edge]
    tied = all_of(query, equal_query(_decoded(edge, first), first, context))
    return better + _candidates(tied, rest, limit - len(better), context)


def _values(
    addresses: list[tantivy.DocAddress], resolved: ResolvedKey, context: QueryContext
) -> list[SortValue]:
    searcher = context.searcher
    if resolved.column is None and not resolved.is_written_order:
        return [None] * len(addresses)
    if resolved.type != "keyword":
        return list(searcher.fast_field_values(resolved.name, addresses))
    # Texts come only with a search that is ordered by them: one over just these documents.
    sequences = searcher.fast_field_values(SEQUENCE, addresses)
    query = Query.term_set_query(context.generation.schema, SEQUENCE, sequences)
    found = searcher.search(query, limit=max(1, len(addresses)), count=False, order_by_field=resolved.name)
    by_place = {(address.segment_ord, address.doc): value for value, address in found.hits}
    return [_decoded(by_place[address.segment_ord, address.doc], resolved) for address in addresses]


def _decoded(value: SortValue, resolved: ResolvedKey) -> SortValue:
    return decode_term(value) if isinstance(value, str) and resolved.type == "keyword" else value

"""Rewriting a document only if it is still the one that was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch


def read(es: Elasticsearch, index: str, doc_id: str) -> dict[str, Any]:
    """Return the search hit of a document, with its sequence number."""
    answer = es.search(index=index, query={"terms": {"tag": [doc_id]}}, seq_no_primary_term=True)
    (hit,) = answer["hits"]["hits"]
    return dict(hit)


def rewrite(es: Elasticsearch, hit: dict[str, Any], **document: Any) -> tuple[int, str]:
    """Write a document in the place of the hit; return status, and result or error type."""
    action = {"_index": hit["_index"], "_id": hit["_id"]}
    place = {"if_seq_no": hit["_seq_no"], "if_primary_term": hit["_primary_term"]}
    answer = es.bulk(operations=[{"index": {**action, **place}}, document], refresh=True)
    verdict = answer["items"][0]["index"]
    return verdict["status"], verdict.get("result") or verdict["error"]["type"]


def test_only_what_was_read_is_rewritten(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """The first rewrite is taken, a second from the same reading is a conflict, a new reading is taken."""
    index = make_index([{"tag": "1", "number": 1}, {"tag": "2", "number": 1}])
    first = read(es, index, "1")
    assert rewrite(es, first, tag="1", number=2) == (200, "updated")
    assert rewrite(es, first, tag="1", number=3) == (409, "version_conflict_engine_exception")
    again = read(es, index, "1")
    assert (again["_source"], again["_primary_term"]) == ({"tag": "1", "number": 2}, 1)
    assert again["_seq_no"] > first["_seq_no"]
    assert rewrite(es, again, tag="1", number=4) == (200, "updated")
    assert es.count(index=index)["count"] == 2


def test_a_rewrite_brings_nothing_back(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A document that was deleted since it was read stays deleted."""
    index = make_index([{"tag": "1", "number": 1}])
    hit = read(es, index, "1")
    es.bulk(operations=[{"delete": {"_index": index, "_id": "1"}}], refresh=True)
    assert rewrite(es, hit, tag="1", number=2) == (409, "version_conflict_engine_exception")
    assert es.count(index=index)["count"] == 0


def test_of_two_rewrites_in_one_request_one_is_taken(
    es: Elasticsearch, make_index: Callable[..., str]
) -> None:
    """A bulk sees what came before in it."""
    index = make_index([{"tag": "1", "number": 1}], fields={"tag": {"type": "keyword"}})
    es.indices.put_mapping(index=index, properties={"more": {"type": "keyword"}})
    hit = read(es, index, "1")
    place = {"_id": "1", "if_seq_no": hit["_seq_no"], "if_primary_term": 1}
    operations = [{"index": place}, {"tag": "1", "more": "a"}, {"index": place}, {"tag": "1", "more": "b"}]
    answer = es.bulk(index=index, operations=operations, refresh=True)
    assert [item["index"]["status"] for item in answer["items"]] == [200, 409]
    assert es.count(index=index, query={"term": {"more": "a"}})["count"] == 1


def test_half_a_condition_is_refused(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """Sequence number and primary term go together."""
    index = make_index()
    with pytest.raises(BadRequestError):
        es.bulk(index=index, operations=[{"index": {"_id": "1", "if_seq_no": 0}}, {"tag": "1"}])

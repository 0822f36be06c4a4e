"""Aliases: several indices under one name, and one of them to write to."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError


def test_alias_round_trip(es: Elasticsearch, make_index: Callable[..., str], prefix: str) -> None:
    """An alias is shown under its indices, by index, by name and by wildcard, until it is removed."""
    index, alias = make_index(), f"{prefix}-alias"
    assert es.indices.get_alias(index=index).body == {index: {"aliases": {}}}
    es.indices.put_alias(index=index, name=alias)
    expected = {index: {"aliases": {alias: {}}}}
    assert es.indices.get_alias(index=index).body == expected
    assert es.indices.get_alias(name=alias).body == expected
    assert es.indices.get_alias(index=index, name=f"{prefix}-al*").body == expected
    assert es.indices.exists_alias(name=alias)
    assert es.indices.exists(index=alias)
    es.indices.delete_alias(index=index, name=alias)
    assert not es.indices.exists_alias(name=alias)


def test_absent_alias(http: httpx.Client, make_index: Callable[..., str], prefix: str) -> None:
    """An alias that does not exist is a 404 to get and to delete."""
    index = make_index()
    answer = http.get(f"/_alias/{prefix}-zork")
    assert answer.status_code == 404
    assert answer.json() == {"error": f"alias [{prefix}-zork] missing", "status": 404}
    assert http.head(f"/_alias/{prefix}-zork").status_code == 404
    deleted = http.delete(f"/{index}/_alias/{prefix}-zork")
    assert deleted.status_code == 404
    assert deleted.json()["error"]["type"] == "aliases_not_found_exception"


def test_one_request_moves_an_alias(es: Elasticsearch, make_index: Callable[..., str], prefix: str) -> None:
    """Several actions are one change; lists of indices and aliases are allowed."""
    old, new, alias = make_index(name="old"), make_index(name="new"), f"{prefix}-alias"
    es.indices.put_alias(index=old, name=alias)
    answer = es.indices.update_aliases(
        actions=[{"remove": {"index": old, "alias": alias}}, {"add": {"index": new, "alias": alias}}]
    )
    assert answer.body == {"acknowledged": True, "errors": False}
    assert list(es.indices.get_alias(name=alias).body) == [new]
    es.indices.update_aliases(actions=[{"add": {"indices": [old, new], "aliases": [f"{prefix}-second"]}}])
    assert sorted(es.indices.get_alias(name=f"{prefix}-second").body) == sorted([old, new])


def test_removing_an_alias_that_is_not_there(
    es: Elasticsearch, make_index: Callable[..., str], prefix: str
) -> None:
    """Beside an action that can be done it is reported, alone it is a 404."""
    index, alias = make_index(), f"{prefix}-alias"
    remove = {"remove": {"index": index, "alias": f"{prefix}-zork"}}
    answer = es.indices.update_aliases(actions=[{"add": {"index": index, "alias": alias}}, remove])
    assert answer["errors"] is True
    assert [result["status"] for result in answer["action_results"]] == [200, 404]
    assert answer["action_results"][1]["error"]["type"] == "aliases_not_found_exception"
    assert list(es.indices.get_alias(name=alias).body) == [index]
    with pytest.raises(NotFoundError) as refused:
        es.indices.update_aliases(actions=[remove])
    assert refused.value.error == "aliases_not_found_exception"


def test_a_wrong_action_changes_nothing(
    es: Elasticsearch, make_index: Callable[..., str], prefix: str
) -> None:
    """A missing index or an unknown action refuses the request with all its actions."""
    index, alias = make_index(), f"{prefix}-alias"
    add = {"add": {"index": index, "alias": alias}}
    with pytest.raises(NotFoundError):
        es.indices.update_aliases(actions=[add, {"remove": {"index": f"{prefix}-zork", "alias": alias}}])
    for wrong in ([add, {"zork": {"index": index, "alias": alias}}], []):
        with pytest.raises(BadRequestError):
            es.indices.update_aliases(actions=wrong)
    assert not es.indices.exists_alias(name=alias)


def test_search_through_an_alias(es: Elasticsearch, make_index: Callable[..., str], prefix: str) -> None:
    """A search of an alias covers all its indices and names the real one in each hit."""
    first = make_index([{"number": 1}, {"number": 4}], name="a")
    second = make_index([{"number": 2}, {"number": 3}], name="b")
    es.indices.put_alias(index=f"{first},{second}", name=f"{prefix}-alias")
    hits = es.search(index=f"{prefix}-alias", sort=[{"number": "asc"}])["hits"]["hits"]
    assert [(hit["_index"], hit["sort"]) for hit in hits] == [
        (first, [1]),
        (second, [2]),
        (second, [3]),
        (first, [4]),
    ]
    assert es.count(index=f"{prefix}-al*")["count"] == 4


def test_write_goes_to_the_write_index(
    es: Elasticsearch, make_index: Callable[..., str], prefix: str
) -> None:
    """A write to an alias goes to its only index or the one marked for it; with neither it is refused."""
    first, second, alias = make_index(name="a"), make_index(name="b"), f"{prefix}-alias"
    es.indices.put_alias(index=first, name=alias)
    assert es.index(index=alias, document={"number": 1})["_index"] == first
    es.indices.put_alias(index=second, name=alias)
    with pytest.raises(BadRequestError) as refused:
        es.index(index=alias, document={"number": 1})
    assert refused.value.error == "illegal_argument_exception"
    item = es.bulk(operations=[{"index": {"_index": alias}}, {"number": 1}])["items"][0]["index"]
    assert (item["status"], item["error"]["type"]) == (400, "illegal_argument_exception")
    es.indices.put_alias(index=second, name=alias, is_write_index=True)
    assert es.index(index=alias, document={"number": 1})["_index"] == second
    assert es.indices.get_alias(name=alias)[second]["aliases"][alias] == {"is_write_index": True}


def test_alias_may_not_be_named_like_an_index(
    es: Elasticsearch, make_index: Callable[..., str], prefix: str
) -> None:
    """Names of indices and aliases are one space."""
    first, second = make_index(name="a"), make_index(name="b")
    with pytest.raises(BadRequestError) as refused:
        es.indices.put_alias(index=first, name=second)
    assert refused.value.error == "invalid_alias_name_exception"
    es.indices.put_alias(index=first, name=f"{prefix}-alias")
    with pytest.raises(BadRequestError):
        es.indices.create(index=f"{prefix}-alias")


def test_alias_of_a_missing_index(es: Elasticsearch, prefix: str) -> None:
    """An alias needs an index that exists."""
    with pytest.raises(NotFoundError) as refused:
        es.indices.put_alias(index=f"{prefix}-zork", name=f"{prefix}-alias")
    assert refused.value.error == "index_not_found_exception"
    with pytest.raises(NotFoundError):
        es.indices.update_aliases(actions=[{"add": {"index": f"{prefix}-zork", "alias": f"{prefix}-alias"}}])

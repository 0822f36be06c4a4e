"""Indices: creation, mapping, settings, deletion, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError

KEYWORD = {"type": "keyword"}


def test_create_exists_delete(es: Elasticsearch, prefix: str) -> None:
    """An index exists from its creation to its deletion."""
    index = f"{prefix}-a"
    assert not es.indices.exists(index=index)
    answer = es.indices.create(index=index, mappings={"dynamic": "false"})
    assert dict(answer) == {"acknowledged": True, "shards_acknowledged": True, "index": index}
    assert es.indices.exists(index=index)
    assert es.indices.delete(index=index)["acknowledged"] is True
    assert not es.indices.exists(index=index)


def test_create_twice_is_refused(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A second creation is a 400 and leaves the first as it is."""
    index = make_index([{"number": 1}])
    with pytest.raises(BadRequestError) as refused:
        es.indices.create(index=index)
    assert refused.value.error == "resource_already_exists_exception"
    assert es.count(index=index)["count"] == 1


@pytest.mark.parametrize("name", ["Upper-{p}", "_{p}", "-{p}", "{p} space", "{p}#hash"])
def test_invalid_names(es: Elasticsearch, prefix: str, name: str) -> None:
    """Names that Elasticsearch forbids are refused as such."""
    with pytest.raises(BadRequestError) as refused:
        es.indices.create(index=name.format(p=prefix))
    assert refused.value.error == "invalid_index_name_exception"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"zork": 1}, "parse_exception"),
        ({"settings": {"zork": 1}}, "illegal_argument_exception"),
        ({"mappings": {"properties": {"a": {"type": "zork"}}}}, "mapper_parsing_exception"),
        ({"mappings": {"properties": {"a": {"type": "keyword", "zork": 1}}}}, "mapper_parsing_exception"),
        ({"mappings": {"zork": {}}}, "mapper_parsing_exception"),
    ],
)
def test_unknown_parts_of_a_create_request(
    es: Elasticsearch, prefix: str, body: dict[str, Any], error: str
) -> None:
    """An unknown key, setting, type or parameter is refused and nothing is created."""
    with pytest.raises(BadRequestError) as refused:
        es.indices.create(index=f"{prefix}-a", body=body)
    assert refused.value.error == error
    assert not es.indices.exists(index=f"{prefix}-a")


def test_mapping_is_shown_normalised(es: Elasticsearch, prefix: str) -> None:
    """A mapping comes back with `dynamic` as text, properties by name and objects without their type."""
    index = f"{prefix}-a"
    mappings = {
        "dynamic": False,
        "_meta": {"owner": "test"},
        "properties": {
            "z": {"type": "date_nanos"},
            "o": {"type": "object", "properties": {"x": KEYWORD}},
            "a": {"type": "keyword", "ignore_above": 10},
            "raw": {"type": "object", "enabled": False},
            "t": {"type": "text", "fields": {"k": KEYWORD}},
        },
    }
    es.indices.create(index=index, mappings=mappings)
    shown = es.indices.get_mapping(index=index)[index]["mappings"]
    assert shown == {
        "dynamic": "false",
        "_meta": {"owner": "test"},
        "properties": {
            "a": {"type": "keyword", "ignore_above": 10},
            "o": {"properties": {"x": KEYWORD}},
            "raw": {"type": "object", "enabled": False},
            "t": {"type": "text", "fields": {"k": KEYWORD}},
            "z": {"type": "date_nanos"},
        },
    }
    assert list(shown["properties"]) == ["a", "o", "raw", "t", "z"]


def test_settings_are_texts(es: Elasticsearch, prefix: str) -> None:
    """Settings come back nested under `index`, as texts, with name, id and creation date."""
    index = f"{prefix}-a"
    es.indices.create(index=index, settings={"index.number_of_replicas": 0, "refresh_interval": "5s"})
    shown = es.indices.get_settings(index=index)[index]["settings"]["index"]
    assert shown["number_of_replicas"] == "0"
    assert shown["number_of_shards"] == "1"
    assert shown["refresh_interval"] == "5s"
    assert shown["provided_name"] == index
    assert len(shown["uuid"]) >= 20
    assert int(shown["creation_date"]) > 1_500_000_000_000


def test_settings_of_the_open_indices_of_a_pattern(es: Elasticsearch, prefix: str) -> None:
    """A pattern that matches nothing is no error; one that does gives each open index with its own id."""
    assert es.indices.get_settings(index=f"{prefix}-*", expand_wildcards="open").body == {}
    for name in ("a", "b"):
        es.indices.create(index=f"{prefix}-{name}")
    found = es.indices.get_settings(index=f"{prefix}-*", expand_wildcards="open")
    assert set(found.body) == {f"{prefix}-a", f"{prefix}-b"}
    assert len({about["settings"]["index"]["uuid"] for about in found.values()}) == 2


def test_fields_are_added_to_an_index_with_documents(
    es: Elasticsearch, make_index: Callable[..., str], ids: Callable[..., list[str]]
) -> None:
    """A new field is searchable in documents written after it was mapped, and nothing else changes."""
    index = make_index([{"number": 1, "later": "x", "inner": {"added": 5}}])
    es.indices.put_mapping(
        index=index, properties={"later": KEYWORD, "inner": {"properties": {"added": {"type": "long"}}}}
    )
    es.create(index=index, id="2", document={"number": 2, "later": "x", "inner": {"added": 5}}, refresh=True)
    assert ids(index, {"term": {"later": "x"}}) == ["2"]
    assert ids(index, {"term": {"inner.added": 5}}) == ["2"]
    assert ids(index, {"range": {"number": {"gte": 1}}}) == ["1", "2"]
    answer = es.search(index=index, sort=[{"later": "asc"}, {"number": "asc"}])
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["2", "1"]
    sums = es.search(index=index, size=0, aggs={"s": {"sum": {"field": "inner.added"}}})
    assert sums["aggregations"]["s"]["value"] == 5.0


def test_documents_from_before_a_new_field_can_be_replaced_and_deleted(
    es: Elasticsearch, make_index: Callable[..., str], ids: Callable[..., list[str]]
) -> None:
    """An id stays unique in an index whose mapping grew: create conflicts, index replaces, delete removes."""
    index = make_index([{"number": 1}, {"number": 2}, {"number": 3}])
    es.indices.put_mapping(index=index, properties={"later": KEYWORD})
    operations: list[dict[str, Any]] = [{"create": {"_id": "1"}}, {"number": 9}]
    operations += [{"index": {"_id": "2"}}, {"number": 20, "later": "y"}, {"delete": {"_id": "3"}}]
    items = es.bulk(index=index, operations=operations, refresh=True)["items"]
    assert [next(iter(item.values()))["status"] for item in items] == [409, 200, 200]
    assert items[1]["index"]["_version"] == 2
    assert ids(index, {"match_all": {}}) == ["1", "2"]
    assert ids(index, {"term": {"number": 2}}) == []
    assert es.get(index=index, id="2")["_source"] == {"number": 20, "later": "y"}


@pytest.mark.parametrize(
    "properties",
    [
        {"number": KEYWORD},
        {"inner": KEYWORD},
        {"number": {"properties": {"x": KEYWORD}}},
        {"day": {"type": "date", "format": "epoch_second"}},
    ],
)
def test_a_field_cannot_change_its_type(
    es: Elasticsearch, make_index: Callable[..., str], properties: dict[str, Any]
) -> None:
    """A mapping update that changes an existing field is refused, and its other fields are not added."""
    index = make_index()
    with pytest.raises(BadRequestError) as refused:
        es.indices.put_mapping(index=index, properties={**properties, "other": KEYWORD})
    assert refused.value.error == "illegal_argument_exception"
    assert "other" not in es.indices.get_mapping(index=index)[index]["mappings"]["properties"]


def test_ignore_above_can_change(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A parameter that may change does, for documents written from then on."""
    index = make_index([{"tag": "long"}])
    es.indices.put_mapping(index=index, properties={"tag": {"type": "keyword", "ignore_above": 2}})
    es.create(index=index, id="2", document={"tag": "long"}, refresh=True)
    assert es.count(index=index, query={"term": {"tag": "long"}})["count"] == 1
    held = es.indices.get_mapping(index=index)[index]["mappings"]["properties"]["tag"]
    assert held == {"type": "keyword", "ignore_above": 2}


def test_mapping_of_several_indices(es: Elasticsearch, make_index: Callable[..., str], prefix: str) -> None:
    """A wildcard puts a mapping on each index that it matches; without any match there is a 404."""
    first, second = make_index(name="a"), make_index(name="b")
    es.indices.put_mapping(index=f"{prefix}-*", properties={"more": KEYWORD})
    shown = es.indices.get_mapping(index=f"{prefix}-*")
    assert shown[first]["mappings"]["properties"]["more"] == KEYWORD
    assert shown[second]["mappings"]["properties"]["more"] == KEYWORD
    with pytest.raises(NotFoundError):
        es.indices.put_mapping(index=f"{prefix}-zork", properties={"more": KEYWORD})


def test_delete_takes_lists_but_no_wildcards(
    es: Elasticsearch, make_index: Callable[..., str], prefix: str
) -> None:
    """Several indices are deleted by name; a wildcard is refused, so no typing error deletes everything."""
    names = [make_index(name=letter) for letter in "abc"]
    with pytest.raises(BadRequestError) as refused:
        es.indices.delete(index=f"{prefix}-*")
    assert refused.value.error == "illegal_argument_exception"
    es.indices.delete(index=",".join(names[:2]))
    assert [row["index"] for row in es.cat.indices(index=f"{prefix}-*", format="json")] == [names[2]]


def test_deleting_an_alias_or_a_missing_index(
    es: Elasticsearch, make_index: Callable[..., str], prefix: str
) -> None:
    """An alias is not an index to delete, and one missing name of a list deletes none of them."""
    index = make_index()
    es.indices.put_alias(index=index, name=f"{prefix}-alias")
    with pytest.raises(BadRequestError) as refused:
        es.indices.delete(index=f"{prefix}-alias")
    assert refused.value.error == "illegal_argument_exception"
    with pytest.raises(NotFoundError) as missing:
        es.indices.delete(index=f"{index},{prefix}-zork")
    assert missing.value.error == "index_not_found_exception"
    assert es.indices.exists(index=index)
    es.indices.delete(index=f"{index},{prefix}-zork", ignore_unavailable=True)
    assert not es.indices.exists(index=index)


def test_deleted_index_starts_empty_again(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """An index created again under the name of a deleted one has nothing of it."""
    index = make_index([{"number": 1}])
    es.indices.delete(index=index)
    es.indices.create(index=index, mappings={"dynamic": "false", "properties": {"tag": KEYWORD}})
    assert es.count(index=index)["count"] == 0
    assert list(es.indices.get_mapping(index=index)[index]["mappings"]["properties"]) == ["tag"]


def test_cat_indices(es: Elasticsearch, make_index: Callable[..., str], prefix: str) -> None:
    """The list of indices has each with its document count."""
    full, empty = make_index([{"number": 1}, {"number": 2}], name="full"), make_index(name="empty")
    es.indices.refresh(index=f"{prefix}-*")
    rows = {row["index"]: row for row in es.cat.indices(index=f"{prefix}-*", format="json")}
    assert {name: row["docs.count"] for name, row in rows.items()} == {full: "2", empty: "0"}
    assert rows[full]["status"] == "open"
    assert es.cat.indices(index=f"{prefix}-zork*", format="json").body == []
    with pytest.raises(NotFoundError):
        es.cat.indices(index=f"{prefix}-zork", format="json")


def test_missing_index_is_404_everywhere(es: Elasticsearch, prefix: str) -> None:
    """A name that does not exist is index_not_found_exception for each request that reads it."""
    missing = f"{prefix}-zork"
    requests: list[Callable[[], Any]] = [
        lambda: es.search(index=missing),
        lambda: es.count(index=missing),
        lambda: es.get(index=missing, id="1"),
        lambda: es.delete(index=missing, id="1"),
        lambda: es.indices.get(index=missing),
        lambda: es.indices.get_mapping(index=missing),
        lambda: es.indices.get_settings(index=missing),
        lambda: es.indices.refresh(index=missing),
    ]
    for request in requests:
        with pytest.raises(NotFoundError) as refused:
            request()
        assert refused.value.error == "index_not_found_exception"
        assert refused.value.body["error"]["index"] == missing
    assert es.indices.get_mapping(index=f"{missing}*").body == {}

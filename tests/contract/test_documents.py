"""Single documents, and what the mapping makes of their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from elasticsearch import BadRequestError, ConflictError, Elasticsearch, NotFoundError

FIELDS: dict[str, Any] = {
    "k": {"type": "keyword", "ignore_above": 3},
    "t": {"type": "text"},
    "b": {"type": "boolean"},
    "d": {"type": "date"},
    "n": {"type": "date_nanos"},
    "s": {"type": "short"},
    "i": {"type": "integer"},
    "l": {"type": "long"},
    "f": {"type": "float"},
    "h": {"type": "half_float"},
    "o": {"properties": {"x": {"type": "long"}}},
    "raw": {"type": "object", "enabled": False},
}


def test_index_get_delete(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A document is created, replaced with a higher version, read back and deleted."""
    index = make_index()
    created = es.index(index=index, id="a/b c", document={"number": 1})
    assert (created["result"], created["_version"]) == ("created", 1)
    replaced = es.index(index=index, id="a/b c", document={"number": 2})
    assert (replaced["result"], replaced["_version"]) == ("updated", 2)
    held = es.get(index=index, id="a/b c")
    assert held["found"] is True
    assert (held["_index"], held["_id"], held["_version"]) == (index, "a/b c", 2)
    assert held["_source"] == {"number": 2}
    assert es.delete(index=index, id="a/b c")["result"] == "deleted"
    with pytest.raises(NotFoundError) as missing:
        es.get(index=index, id="a/b c")
    assert missing.value.body == {"_index": index, "_id": "a/b c", "found": False}


def test_create_refuses_an_id_that_exists(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """Creating is 201 once and 409 afterwards, by both paths."""
    index = make_index()
    assert es.create(index=index, id="1", document={"number": 1})["result"] == "created"
    with pytest.raises(ConflictError) as refused:
        es.create(index=index, id="1", document={"number": 2})
    assert refused.value.error == "version_conflict_engine_exception"
    with pytest.raises(ConflictError):
        es.index(index=index, id="1", document={"number": 2}, op_type="create")
    assert es.get(index=index, id="1")["_source"] == {"number": 1}


def test_status_codes_of_single_writes(http: httpx.Client, make_index: Callable[..., str]) -> None:
    """201 for a new document, 200 for a replaced or deleted one, 404 for one that was not there."""
    index = make_index()
    assert http.post(f"/{index}/_doc", json={"number": 1}).status_code == 201
    assert http.put(f"/{index}/_doc/1", json={"number": 1}).status_code == 201
    assert http.put(f"/{index}/_doc/1", json={"number": 1}).status_code == 200
    assert http.head(f"/{index}/_doc/1").status_code == 200
    assert http.delete(f"/{index}/_doc/1").status_code == 200
    absent = http.delete(f"/{index}/_doc/1")
    assert (absent.status_code, absent.json()["result"]) == (404, "not_found")
    assert http.head(f"/{index}/_doc/1").status_code == 404
    empty = http.post(f"/{index}/_doc", headers={"content-type": "application/json"})
    assert (empty.status_code, empty.json()["error"]["type"]) == (400, "parse_exception")


def test_source_is_kept_as_sent(http: httpx.Client, make_index: Callable[..., str]) -> None:
    """The source comes back with its own order, number notation and unmapped members."""
    index = make_index()
    source = b'{"z": 1.50, "a": [ 1, null ], "number": 1e2, "tag": "\\u00e9"}'
    http.put(f"/{index}/_doc/1", content=source, headers={"content-type": "application/json"})
    assert source in http.get(f"/{index}/_doc/1").content
    http.post(f"/{index}/_refresh")
    assert source in http.get(f"/{index}/_search").content


def test_source_can_be_left_out_or_filtered(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A get shows the whole source, a part of it, or none."""
    index = make_index()
    es.index(index=index, id="1", document={"tag": "x", "inner": {"code": 1, "name": "n"}})
    assert "_source" not in es.get(index=index, id="1", source=False)
    assert es.get(index=index, id="1", source_includes="inner.c*")["_source"] == {"inner": {"code": 1}}
    assert es.get(index=index, id="1", source_excludes="inner")["_source"] == {"tag": "x"}


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"k": {"x": 1}}, "document_parsing_exception"),
        ({"t": {"x": 1}}, "document_parsing_exception"),
        ({"b": "yes"}, "document_parsing_exception"),
        ({"b": 1}, "document_parsing_exception"),
        ({"d": "zork"}, "document_parsing_exception"),
        ({"d": "2026-13-01"}, "document_parsing_exception"),
        ({"d": "2026-02-30"}, "document_parsing_exception"),
        ({"n": "1969-12-31"}, "document_parsing_exception"),
        ({"n": "2300-01-01"}, "document_parsing_exception"),
        ({"n": "2026-11-20T10:30:45.1234567890Z"}, "document_parsing_exception"),
        ({"n": "2026-11-20T10:30Z"}, "document_parsing_exception"),
        ({"s": 32768}, "document_parsing_exception"),
        ({"i": 2**31}, "document_parsing_exception"),
        ({"l": 2**63}, "document_parsing_exception"),
        ({"l": 10**22}, "document_parsing_exception"),
        ({"i": True}, "document_parsing_exception"),
        ({"i": "x"}, "document_parsing_exception"),
        ({"f": "NaN"}, "document_parsing_exception"),
        ({"f": 1e40}, "document_parsing_exception"),
        ({"h": 70000}, "document_parsing_exception"),
        ({"o": 5}, "document_parsing_exception"),
        ({"": 1}, "document_parsing_exception"),
        ({"zork": 1}, "strict_dynamic_mapping_exception"),
        ({"o": {"zork": 1}}, "strict_dynamic_mapping_exception"),
    ],
)
def test_values_that_do_not_fit(
    es: Elasticsearch, make_index: Callable[..., str], document: dict[str, Any], error: str
) -> None:
    """A value that its field cannot take refuses the document, with the type of the fault."""
    index = make_index(fields=FIELDS, dynamic="strict")
    with pytest.raises(BadRequestError) as refused:
        es.index(index=index, document=document, refresh=True)
    assert refused.value.error == error
    assert es.count(index=index)["count"] == 0


@pytest.mark.parametrize(
    ("document", "query"),
    [
        ({"i": "1.7"}, {"term": {"i": 1}}),
        ({"i": -1.7}, {"term": {"i": -1}}),
        ({"l": "-9223372036854775808"}, {"term": {"l": -(2**63)}}),
        ({"l": 2**63 - 1}, {"term": {"l": 2**63 - 1}}),
        ({"k": 5}, {"term": {"k": "5"}}),
        ({"k": True, "b": ""}, {"term": {"b": False}}),
        ({"b": "true"}, {"term": {"b": True}}),
        ({"t": 5}, {"match": {"t": "5"}}),
        ({"k": [["x", "y"]]}, {"term": {"k": "y"}}),
        ({"o": [{"x": 1}, {"x": 2}]}, {"term": {"o.x": 2}}),
        ({"o.x": 4}, {"term": {"o.x": 4}}),
        ({"f": "0.25"}, {"term": {"f": 0.25}}),
        ({"f": 0.1}, {"range": {"f": {"gte": 0.1, "lte": 0.1}}}),
        ({"d": 1795170645123}, {"term": {"d": "2026-11-20T10:30:45.123Z"}}),
        ({"d": "2026-11-20T10:30+01:00"}, {"term": {"d": "2026-11-20T09:30:00Z"}}),
        ({"d": "2026"}, {"range": {"d": {"gte": "2026-01-01", "lt": "2026-01-02"}}}),
        ({"n": 5}, {"term": {"n": 5}}),
        ({"n": "2026-11-20T10:30:45.000000001Z"}, {"term": {"n": "2026-11-20T10:30:45.000000001Z"}}),
    ],
)
def test_values_that_are_converted(
    make_index: Callable[..., str],
    ids: Callable[..., list[str]],
    document: dict[str, Any],
    query: dict[str, Any],
) -> None:
    """Texts of numbers, decimals, nested arrays, dotted names and dates are indexed as their type."""
    index = make_index([document], fields=FIELDS, dynamic="strict")
    assert ids(index, query) == ["1"]


@pytest.mark.parametrize(
    ("document", "field"),
    [({"k": "long"}, "k"), ({"k": None}, "k"), ({"i": []}, "i"), ({"i": ""}, "i"), ({"i": [None]}, "i")],
)
def test_values_that_are_stored_but_not_indexed(
    make_index: Callable[..., str], ids: Callable[..., list[str]], document: dict[str, Any], field: str
) -> None:
    """Null, nothing and what exceeds ignore_above are accepted and leave the field without a value."""
    index = make_index([document], fields=FIELDS, dynamic="strict")
    assert ids(index, {"exists": {"field": field}}) == []
    assert ids(index, {"match_all": {}}) == ["1"]


@pytest.mark.parametrize("value", [5, "text", None, [1, {"a": [2]}], {"any": {"thing": [True]}}])
def test_disabled_object_takes_any_json(
    es: Elasticsearch, make_index: Callable[..., str], ids: Callable[..., list[str]], value: object
) -> None:
    """An object that is not enabled stores whatever it is given and indexes nothing of it."""
    index = make_index([{"raw": value}], fields=FIELDS, dynamic="strict")
    assert es.get(index=index, id="1")["_source"] == {"raw": value}
    assert ids(index, {"exists": {"field": "raw"}}) == []


def test_unmapped_fields_are_stored_and_ignored(
    es: Elasticsearch, make_index: Callable[..., str], ids: Callable[..., list[str]]
) -> None:
    """With dynamic false, an unmapped field is in the source and not in the mapping or the index."""
    index = make_index([{"zork": {"deep": [1, "x"]}, "number": 1}])
    assert es.get(index=index, id="1")["_source"]["zork"] == {"deep": [1, "x"]}
    assert ids(index, {"exists": {"field": "zork"}}) == []
    assert "zork" not in es.indices.get_mapping(index=index)[index]["mappings"]["properties"]


def test_dynamic_is_inherited_and_can_be_set_per_object(
    es: Elasticsearch, make_index: Callable[..., str]
) -> None:
    """An object inside a strict mapping may ignore unknown members, and the other way round."""
    lenient = make_index(fields={"o": {"dynamic": "strict", "properties": {}}}, name="lenient")
    strict = make_index(fields={"o": {"dynamic": "false", "properties": {}}}, name="strict", dynamic="strict")
    assert es.index(index=lenient, document={"zork": 1})["result"] == "created"
    assert es.index(index=strict, document={"o": {"zork": 1}})["result"] == "created"
    for index, document in ((lenient, {"o": {"zork": 1}}), (strict, {"zork": 1})):
        with pytest.raises(BadRequestError) as refused:
            es.index(index=index, document=document)
        assert refused.value.error == "strict_dynamic_mapping_exception"


def test_null_value_and_date_format(make_index: Callable[..., str], ids: Callable[..., list[str]]) -> None:
    """null_value stands in for null, and a date field reads its own format."""
    fields = {
        "k": {"type": "keyword", "null_value": "none"},
        "day": {"type": "date", "format": "yyyy-MM-dd HH:mm:ss||epoch_second"},
    }
    index = make_index([{"k": None, "day": "2026-11-20 10:00:00"}, {"day": 1795170645}], fields=fields)
    assert ids(index, {"term": {"k": "none"}}) == ["1"]
    assert ids(index, {"range": {"day": {"gt": "2026-11-20 10:00:00"}}}) == ["2"]

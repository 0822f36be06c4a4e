"""Bulk: every item has a verdict of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from elasticsearch import BadRequestError, Elasticsearch

NDJSON = {"content-type": "application/x-ndjson"}
KEYWORD = {"type": "keyword"}


def verdicts(answer: Any) -> list[tuple[str, int, str]]:
    """Return action, status, and result or error type of each item."""
    found = []
    for item in answer["items"]:
        ((action, body),) = item.items()
        found.append((action, body["status"], body.get("result") or body["error"]["type"]))
    return found


def test_each_action_and_its_status(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """create, index and delete answer 201, 200, 404 or 409, in order and seeing what came before them."""
    index = make_index()
    answer = es.bulk(
        index=index,
        operations=[
            {"create": {"_id": "1"}}, {"number": 1},
            {"create": {"_id": "1"}}, {"number": 2},
            {"index": {"_id": "1"}}, {"number": 3},
            {"index": {"_id": "2"}}, {"number": 4},
            {"delete": {"_id": "2"}},
            {"delete": {"_id": "2"}},
            {"create": {"_id": "2"}}, {"number": 5},
        ],
        refresh=True,
    )  # fmt: skip
    assert answer["errors"] is True
    assert verdicts(answer) == [
        ("create", 201, "created"),
        ("create", 409, "version_conflict_engine_exception"),
        ("index", 200, "updated"),
        ("index", 201, "created"),
        ("delete", 200, "deleted"),
        ("delete", 404, "not_found"),
        ("create", 201, "created"),
    ]
    items = [next(iter(item.values())) for item in answer["items"]]
    assert items[0]["_version"] == 1
    assert items[2]["_version"] == 2
    assert "document already exists (current version [1])" in items[1]["error"]["reason"]
    assert items[1]["error"]["index"] == index
    assert es.get(index=index, id="1")["_source"] == {"number": 3}
    assert es.count(index=index)["count"] == 2


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        (["errors", "items.*.status", "items.*.error"], {"errors": True, "statuses": [201, 409, 400]}),
        (["items.*.status"], {"statuses": [201, 409, 400]}),
        (["errors"], {"errors": True}),
    ],
)
def test_only_the_verdicts_are_asked_for(
    es: Elasticsearch, make_index: Callable[..., str], paths: list[str], shown: dict[str, Any]
) -> None:
    """filter_path leaves of the answer what it names: a status per item in order, an error where there is one."""
    index = make_index(fields={"number": {"type": "long"}})
    first, second = ({"create": {"_index": index, "_id": doc_id}} for doc_id in ("1", "2"))
    operations = [first, {"number": 1}, first, {"number": 2}, second, {"number": "x"}]
    answer = es.bulk(operations=operations, filter_path=paths).body
    items = [item["create"] for item in answer.pop("items", [])]
    if "items.*.error" in paths:
        assert [item.keys() for item in items] == [{"status"}, {"status", "error"}, {"status", "error"}]
        assert items[1]["error"]["type"] == "version_conflict_engine_exception"
        assert items[2]["error"]["type"] == "document_parsing_exception"
    elif items:
        assert {name for item in items for name in item} == {"status"}
    statuses = {"statuses": [item["status"] for item in items]} if items else {}
    assert {**answer, **statuses} == shown


def test_conflict_with_an_earlier_request(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A retried bulk of creates writes nothing twice: each document that is there is a 409."""
    index = make_index()
    operations: list[dict[str, Any]] = []
    for number in range(50):
        operations += [{"create": {"_id": f"id-{number}"}}, {"number": number}]
    assert es.bulk(index=index, operations=operations)["errors"] is False
    again = es.bulk(index=index, operations=operations, refresh=True)
    assert {verdict[1:] for verdict in verdicts(again)} == {(409, "version_conflict_engine_exception")}
    assert es.count(index=index)["count"] == 50


def test_a_bad_document_fails_alone(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A document that does not fit its mapping is a 400 with the cause; its neighbours are written."""
    index = make_index()
    answer = es.bulk(
        index=index,
        operations=[
            {"create": {"_id": "1"}}, {"number": 1},
            {"create": {"_id": "2"}}, {"number": "abc"},
            {"create": {"_id": "3"}}, {"number": 3},
        ],
        refresh=True,
    )  # fmt: skip
    assert [verdict[1] for verdict in verdicts(answer)] == [201, 400, 201]
    error = answer["items"][1]["create"]["error"]
    assert error["type"] == "document_parsing_exception"
    assert "failed to parse field [number] of type [long] in document with id '2'" in error["reason"]
    assert "Preview of field's value: 'abc'" in error["reason"]
    assert error["caused_by"]["type"] == "illegal_argument_exception"
    assert es.count(index=index)["count"] == 2


@pytest.mark.parametrize("line", ["[1]", '{"number":1 "tag"}', "5", '"text"'])
def test_a_line_that_is_no_document(http: httpx.Client, make_index: Callable[..., str], line: str) -> None:
    """A document line that is no JSON object is that item's fault alone."""
    index = make_index()
    body = f'{{"index":{{"_id":"1"}}}}\n{line}\n{{"index":{{"_id":"2"}}}}\n{{"number":1}}\n'
    answer = http.post(f"/{index}/_bulk", content=body, headers=NDJSON)
    assert answer.status_code == 200
    assert verdicts(answer.json()) == [
        ("index", 400, "document_parsing_exception"),
        ("index", 201, "created"),
    ]


def test_item_faults_of_index_and_id(es: Elasticsearch, make_index: Callable[..., str], prefix: str) -> None:
    """A missing index to delete from, an invalid name and an empty id are faults of their items."""
    index = make_index()
    answer = es.bulk(
        operations=[
            {"delete": {"_index": f"{prefix}-zork", "_id": "1"}},
            {"index": {"_index": f"{prefix}-BAD", "_id": "1"}}, {"number": 1},
            {"index": {"_index": index, "_id": ""}}, {"number": 1},
            {"index": {"_index": index, "_id": "ok"}}, {"number": 1},
        ]
    )  # fmt: skip
    assert verdicts(answer) == [
        ("delete", 404, "index_not_found_exception"),
        ("index", 400, "invalid_index_name_exception"),
        ("index", 400, "illegal_argument_exception"),
        ("index", 201, "created"),
    ]
    assert not es.indices.exists(index=f"{prefix}-zork")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "parse_exception"),
        ('{"zork":{}}\n', "illegal_argument_exception"),
        ('{"index":{"zork":1}}\n{}\n', "illegal_argument_exception"),
        ('{"index":{"_id":"1"}}\n{}', "illegal_argument_exception"),
        (f'{{"index":{{"_id":"{"x" * 513}"}}}}\n{{}}\n', "action_request_validation_exception"),
    ],
)
def test_a_request_that_makes_no_sense(
    http: httpx.Client, make_index: Callable[..., str], body: str, error: str
) -> None:
    """A malformed request is a 400 as a whole and writes nothing."""
    index = make_index()
    answer = http.post(f"/{index}/_bulk", content=body, headers=NDJSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == error
    http.post(f"/{index}/_refresh")
    assert http.get(f"/{index}/_count").json()["count"] == 0


def test_index_is_needed(http: httpx.Client) -> None:
    """An action without an index, in the line or in the path, is refused."""
    answer = http.post("/_bulk", content='{"index":{"_id":"1"}}\n{}\n', headers=NDJSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "action_request_validation_exception"


def test_missing_index_is_created_from_its_template(es: Elasticsearch, prefix: str) -> None:
    """The first document of a new day's index creates it with the template's mapping and alias."""
    es.indices.put_index_template(
        name=f"{prefix}-t",
        index_patterns=[f"{prefix}-day-*"],
        template={
            "mappings": {"dynamic": "strict", "properties": {"tag": KEYWORD}},
            "aliases": {f"{prefix}-all": {}},
        },
    )
    operations: list[dict[str, Any]] = []
    for day in ("01", "02"):
        operations += [{"create": {"_index": f"{prefix}-day-{day}", "_id": "1"}}, {"tag": day}]
    operations += [{"create": {"_index": f"{prefix}-day-03", "_id": "1"}}, {"zork": 1}]
    answer = es.bulk(operations=operations, refresh="wait_for")
    assert [verdict[1] for verdict in verdicts(answer)] == [201, 201, 400]
    hits = es.search(index=f"{prefix}-all", sort=[{"tag": "asc"}])["hits"]["hits"]
    assert [hit["_index"] for hit in hits] == [f"{prefix}-day-01", f"{prefix}-day-02"]
    mapping = es.indices.get_mapping(index=f"{prefix}-day-02")[f"{prefix}-day-02"]["mappings"]
    assert mapping == {"dynamic": "strict", "properties": {"tag": KEYWORD}}


def test_ids_are_made_when_none_is_given(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A document without an id gets one of its own."""
    index = make_index()
    answer = es.bulk(index=index, operations=[{"index": {}}, {"number": 1}, {"create": {}}, {"number": 2}])
    made = [next(iter(item.values()))["_id"] for item in answer["items"]]
    assert len(set(made)) == 2
    assert es.get(index=index, id=made[1])["_source"] == {"number": 2}


@pytest.mark.parametrize("refresh", ["true", "wait_for", ""])
def test_refresh_makes_documents_searchable(
    http: httpx.Client, make_index: Callable[..., str], refresh: str
) -> None:
    """With a refresh, a search right after the answer finds the document."""
    index = make_index()
    body = '{"index":{"_id":"1"}}\n{"number":1}\n'
    answer = http.post(f"/{index}/_bulk", params={"refresh": refresh}, content=body, headers=NDJSON)
    assert answer.json()["errors"] is False
    assert http.get(f"/{index}/_count").json()["count"] == 1


def test_unknown_refresh_is_refused(es: Elasticsearch, make_index: Callable[..., str]) -> None:
    """A refresh policy that does not exist is named."""
    with pytest.raises(BadRequestError) as refused:
        es.bulk(index=make_index(), operations=[{"index": {}}, {}], refresh="zork")
    assert refused.value.error == "illegal_argument_exception"

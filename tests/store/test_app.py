"""The application's edges: failures, sizes, formats."""

from __future__ import annotations

import gzip

import httpx
import pytest
from loguru import logger

from vigie.store import http as store_http
from vigie.store import search_routes


def test_a_panic_is_a_500_and_logged_with_its_query(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the engine fails on a query the client learns that it did, and the log has the query."""

    def broken(*_: object) -> None:
        raise RuntimeError("tantivy panicked: boom; asked: the query")

    monkeypatch.setattr(search_routes, "search", broken)
    lines: list[str] = []
    sink = logger.add(lines.append, level="ERROR")
    try:
        answer = http.post("/_search", json={})
    finally:
        logger.remove(sink)
    assert answer.status_code == 500
    assert answer.json()["status"] == 500
    assert "asked: the query" in "".join(lines)
    assert http.get("/").status_code == 200


def test_a_body_that_is_too_large(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a request is 413, before anything of it is done."""
    monkeypatch.setattr(store_http, "MAX_BODY_BYTES", 100)
    answer = http.put("/i", content=b"{" + b" " * 200 + b"}", headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert http.head("/i").status_code == 404


def test_content_encodings(http: httpx.Client) -> None:
    """gzip is read; a broken or another encoding is refused."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    body = gzip.compress(b'{"mappings":{"dynamic":"strict"}}')
    assert http.put("/i", content=body, headers=headers).status_code == 200
    assert http.put("/j", content=b"zork", headers=headers).status_code == 400
    other = http.put("/j", content=body, headers={**headers, "content-encoding": "br"})
    assert (other.status_code, "[br]" in other.text) == (400, True)


def test_pretty(http: httpx.Client) -> None:
    """With `pretty` an answer is indented."""
    assert b'\n  "name"' in http.get("/?pretty").content
    assert b"\n" not in http.get("/").content


def test_it_says_what_it_is(http: httpx.Client) -> None:
    """The store passes for 8.19 to clients and does not pretend to be Elasticsearch to people."""
    body = http.get("/").json()
    assert body["version"]["build_flavor"] == "vigie-embedded"
    assert "Not Elasticsearch" in body["tagline"]


def test_a_document_of_an_alias_with_two_indices(http: httpx.Client) -> None:
    """A get through an alias needs the alias to stand for one index."""
    for name in "ij":
        http.put(f"/{name}", json={"mappings": {"dynamic": False}, "aliases": {"both": {}}})
    answer = http.get("/both/_doc/1")
    assert answer.status_code == 400
    assert "more than one index" in answer.text

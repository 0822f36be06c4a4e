"""The store under contract: the embedded one, or with `--store=elasticsearch` a real one."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from elasticsearch import Elasticsearch
from tests.real_store import index_prefix, open_door
from tests.store_proxy import CONTRACT

FIELDS: dict[str, Any] = {
    "@timestamp": {"type": "date_nanos"},
    "day": {"type": "date"},
    "tag": {"type": "keyword"},
    "message": {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 40}}},
    "number": {"type": "long"},
    "ratio": {"type": "double"},
    "flag": {"type": "boolean"},
    "inner": {"properties": {"code": {"type": "integer"}, "name": {"type": "keyword"}}},
    "raw": {"type": "object", "enabled": False},
}


@pytest.fixture(scope="session")
def store_url(store_url: str) -> Iterator[str]:
    """The address of the store that the contract is checked against; what is asked of it is recorded."""
    proxy = open_door(store_url, CONTRACT)
    yield proxy.url
    proxy.stop()


@pytest.fixture
def whole_contract(request: pytest.FixtureRequest) -> bool:
    """Whether every test of this folder was chosen to run."""
    chosen = {item.path for item in request.session.items}
    option = request.config.option
    narrowed = (
        option.keyword
        or getattr(option, "lf", False)
        or option.markexpr
        or any("::" in one for one in request.config.args)
    )
    return not narrowed and set(Path(__file__).parent.glob("test_*.py")) <= chosen


@pytest.fixture(scope="session")
def http(store_url: str) -> Iterator[httpx.Client]:
    """A plain HTTP client of the store."""
    with httpx.Client(base_url=store_url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def es(store_url: str) -> Iterator[Elasticsearch]:
    """The official client of the store, as it comes."""
    client = Elasticsearch(store_url, request_timeout=30, max_retries=0)
    yield client
    client.close()


@contextlib.contextmanager
def _own_prefix(http: httpx.Client) -> Iterator[str]:
    """Give a name prefix and remove whatever begins with it afterwards."""
    name = f"{index_prefix()}contract-{uuid.uuid4().hex[:12]}"
    yield name
    rows = http.get(f"/_cat/indices/{name}*", params={"format": "json"}).json()
    if rows:
        assert http.delete("/" + ",".join(row["index"] for row in rows)).status_code == 200
    for kind, key in (("_index_template", "index_templates"), ("_component_template", "component_templates")):
        for held in http.get(f"/{kind}/{name}*").json()[key]:
            http.delete(f"/{kind}/{held['name']}")


def _maker(es: Elasticsearch, prefix: str) -> Callable[..., str]:
    """Return a function that creates an index under the prefix.

    Documents get their positions from 1 as ids; the function returns the index's name.
    """

    def make(
        documents: list[dict[str, Any]] | None = None,
        fields: dict[str, Any] | None = None,
        name: str = "index",
        dynamic: str = "false",
    ) -> str:
        index = f"{prefix}-{name}"
        es.indices.create(index=index, mappings={"dynamic": dynamic, "properties": fields or FIELDS})
        operations: list[dict[str, Any]] = []
        for number, document in enumerate(documents or [], start=1):
            operations += [{"create": {"_id": str(number)}}, document]
        if operations:
            answer = es.bulk(index=index, operations=operations, refresh=True)
            assert not answer["errors"], answer
        return index

    return make


@pytest.fixture
def prefix(http: httpx.Client) -> Iterator[str]:
    """A name prefix of this test's own."""
    with _own_prefix(http) as name:
        yield name


@pytest.fixture
def make_index(es: Elasticsearch, prefix: str) -> Callable[..., str]:
    """Create an index of this test's own and return its name."""
    return _maker(es, prefix)


@pytest.fixture(scope="module")
def module_prefix(http: httpx.Client) -> Iterator[str]:
    """A name prefix that the tests of a module share, for indices that they only read."""
    with _own_prefix(http) as name:
        yield name


@pytest.fixture(scope="module")
def make_shared_index(es: Elasticsearch, module_prefix: str) -> Callable[..., str]:
    """Create an index that the tests of a module only read, and return its name."""
    return _maker(es, module_prefix)


@pytest.fixture(scope="session")
def ids(es: Elasticsearch) -> Callable[..., list[str]]:
    """Return the ids of a query's hits, sorted."""

    def search(index: str, query: dict[str, Any]) -> list[str]:
        answer = es.search(index=index, query=query, size=100)
        found = sorted(hit["_id"] for hit in answer["hits"]["hits"])
        assert answer["hits"]["total"] == {"value": len(found), "relation": "eq"}
        return found

    return search

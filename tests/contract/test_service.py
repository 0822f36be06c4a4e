"""What every request can rely on: identity, media types, refusals."""

from __future__ import annotations

import httpx
import pytest
from elasticsearch import Elasticsearch


def test_root_names_an_8_19_server(http: httpx.Client) -> None:
    """The version that clients read is of the 8.19 line, and each answer carries the product header."""
    answer = http.get("/")
    assert answer.status_code == 200
    assert answer.json()["version"]["number"].startswith("8.19.")
    assert answer.headers["x-elastic-product"] == "Elasticsearch"


def test_official_client_accepts_the_server(es: Elasticsearch) -> None:
    """The client's product check passes and HEAD / answers 200."""
    assert es.info()["version"]["number"].startswith("8.19.")
    assert es.ping()


def test_compatible_media_type_is_answered_in_kind(http: httpx.Client) -> None:
    """A client of the 8 line that asks for its media type gets it."""
    asked = "application/vnd.elasticsearch+json; compatible-with=8"
    answer = http.get("/", headers={"accept": asked})
    given = answer.headers["content-type"].replace(" ", "")
    assert given == "application/vnd.elasticsearch+json;compatible-with=8"
    assert http.get("/").headers["content-type"].startswith("application/json")


def test_health_is_at_least_yellow(es: Elasticsearch) -> None:
    """A client can wait for a usable cluster."""
    answer = es.cluster.health(wait_for_status="yellow", timeout="5s")
    assert answer["status"] in ("yellow", "green")
    assert answer["timed_out"] is False
    assert answer["number_of_nodes"] == 1


def test_other_content_type_is_refused(http: httpx.Client, prefix: str) -> None:
    """A body that is not JSON by its header is a 406 and has no effect."""
    answer = http.put(f"/{prefix}-a", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 406
    assert http.head(f"/{prefix}-a").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/{p}/_zork", 400), ("PUT", "/{p}/_search", 405), ("DELETE", "/_bulk", 405)],
)
def test_unknown_path_and_method(
    http: httpx.Client, prefix: str, method: str, path: str, status: int
) -> None:
    """What no handler answers is a 400 that names the path; a known path with another method a 405."""
    answer = http.request(method, path.format(p=prefix))
    assert answer.status_code == status
    assert path.format(p=prefix) in answer.json()["error"]


def test_unknown_parameter_is_named(http: httpx.Client, prefix: str) -> None:
    """A query parameter that a request does not take is refused by name."""
    answer = http.get(f"/{prefix}*/_search", params={"zork": "1"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "illegal_argument_exception"
    assert "[zork]" in answer.json()["error"]["reason"]


def test_malformed_json_is_a_400(http: httpx.Client, prefix: str) -> None:
    """A body that is not JSON is refused, with the status in the body too."""
    answer = http.post(
        f"/{prefix}*/_search", content=b'{"query":', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["status"] == 400


def test_gzip_body_is_read(http: httpx.Client, es: Elasticsearch, store_url: str, prefix: str) -> None:
    """A client that compresses its requests works."""
    client = Elasticsearch(store_url, http_compress=True)
    try:
        client.indices.create(index=f"{prefix}-zip", mappings={"dynamic": "strict"})
    finally:
        client.close()
    assert es.indices.exists(index=f"{prefix}-zip")

"""The OpenAPI document is true: whatever it says may be sent or answered is what happens."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from tests.servers import RedisServer, StoreServer, free_port, wait_for

from vigie.api.main import build, configuration
from vigie.api.roles import ENDPOINTS
from vigie.api.service import Service
from vigie.settings import load_settings

DOCUMENTED = [key for key in ENDPOINTS if key[1] not in {"/docs", "/redoc", "/openapi.json"}]
REQUEST_ERRORS = {"413", "415", "422", "500", "503", "504"}


@pytest.fixture(scope="module")
def live_url(
    redis_server: RedisServer, package_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The application behind a real server, in a thread of the test, beside a store of its own."""
    store = StoreServer.start(tmp_path_factory.mktemp("store"))
    own = load_settings(
        {
            "VIGIE_HOME": str(tmp_path_factory.mktemp("home")),
            "MODEL_PATH": str(package_path),
            "REDIS_PORT": str(redis_server.port),
            "API_PORT": str(free_port()),
            "ES_PORT": str(store.port),
            "LOG_LEVEL": "CRITICAL",
            "BATCH_MAX_RECORDS": "20",
        },
        None,
    )
    config = configuration(build(Service(own)), own.api)
    config.port = own.api.api_port
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started, what="the server")
    yield own.api.url
    server.should_exit = True
    thread.join(20)
    store.stop()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def document(live_url: str) -> dict[str, Any]:
    """The OpenAPI document as served."""
    content: dict[str, Any] = httpx.get(f"{live_url}/openapi.json").json()
    return content


@pytest.fixture(scope="module")
def openapi(live_url: str) -> Any:
    """The document, for schemathesis."""
    return schemathesis.openapi.from_url(f"{live_url}/openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), DOCUMENTED)
def test_what_is_documented_is_what_happens(
    openapi: Any, method: str, path: str, mode: GenerationMode
) -> None:
    """Status codes, content types and bodies of generated requests, good and bad, are as documented."""

    @given(case=openapi[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(case: Any) -> None:
        case.call_and_validate()

    with contextlib.suppress(Unsatisfiable):  # without parameters there is nothing to send wrongly
        check()


def test_every_endpoint_and_its_problems_are_documented(document: dict[str, Any]) -> None:
    """All paths, and on each prediction every problem it can answer with, as problem documents."""
    documented = {(method.upper(), path) for path, found in document["paths"].items() for method in found}
    assert documented == set(DOCUMENTED)
    for path in ("/predict", "/predict_proba", "/predict/batch"):
        responses = document["paths"][path]["post"]["responses"]
        assert set(responses) == {"200"} | REQUEST_ERRORS
        for status in REQUEST_ERRORS:
            content = responses[status]["content"]
            assert content == {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
            }


def test_the_request_body_comes_from_the_schema(document: dict[str, Any]) -> None:
    """Fields, bounds, an example that is valid, and the two spellings."""
    operation = document["paths"]["/predict"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/Record"}
    record = document["components"]["schemas"]["Record"]
    assert record["additionalProperties"] is False
    assert (record["properties"]["AGE"]["minimum"], record["properties"]["AGE"]["maximum"]) == (0, 120)
    assert set(content["example"]) == set(record["required"])
    assert "(CHEST_PAIN, CHEST PAIN)" in operation["description"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No $ref of the document points to a schema that is not there."""
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named - set(document["components"]["schemas"]) == set()


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_pages_are_served(live_url: str, path: str) -> None:
    """As pages that read the document."""
    answer = httpx.get(live_url + path)
    assert answer.headers["content-type"].startswith("text/html")
    assert "/openapi.json" in answer.text


def test_both_spellings_are_accepted(live_url: str, document: dict[str, Any]) -> None:
    """A record with spaces for underscores gets the same answer."""
    example = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    spaced = {name.replace("_", " "): value for name, value in example.items()}
    answers = [httpx.post(f"{live_url}/predict", json=record).json() for record in (example, spaced)]
    assert answers[0]["probability"] == answers[1]["probability"]

"""The REST routes of a served front end."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from tests.servers import free_port
from tests.ui.doubles import ApiDouble

from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.stream import Record, Stream
from vigie.ui.api_client import ApiClient
from vigie.ui.logs_api import LogsReader
from vigie.ui.routes import build_router, install_problems

PROBLEM = "application/problem+json"


def test_logs_come_over_http(front_end: str, redis_settings: RedisSettings) -> None:
    """GET /logs_api gives the stream's entries and confirms for a consumer."""
    stream = Stream.open(redis_settings)
    stream.write("p", [Record(number, b'{"message": "m", "data": {}}') for number in (1, 2, 3)])
    found = httpx.get(f"{front_end}/logs_api", params={"limit": 2}).json()
    assert [log["number"] for log in found["logs"]] == [1, 2]
    assert found["oldest"] == found["logs"][0]["id"]
    rest = httpx.get(f"{front_end}/logs_api", params={"after": found["next"], "consumer": "c"}).json()
    assert [log["number"] for log in rest["logs"]] == [3]
    assert stream.cursors() == {"c": found["next"]}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("after=x", "after"),
        ("consumer=%20", "consumer"),
        ("x=1", "x"),
    ],
)
def test_a_malformed_parameter_is_a_problem(front_end: str, query: str, field: str) -> None:
    """422 as a problem document that names the parameter."""
    answer = httpx.get(f"{front_end}/logs_api?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("environment", "status", "reason"),
    [
        ({"LOG_TO_REDIS": "false"}, 503, "LOG_TO_REDIS"),
        ({}, 503, "does not answer"),
        ({"AUTH_ENABLED": "true", "SECRET_KEY": "s" * 32}, 403, "read-logs"),
    ],
)
async def test_why_there_are_no_logs_is_a_problem(
    settings_for: Callable[..., Settings], environment: dict[str, str], status: int, reason: str
) -> None:
    """Redis away, not in use, or no role: a problem document with the reason."""
    from fastapi import FastAPI

    settings = settings_for(REDIS_PORT=free_port(), **environment)
    app = FastAPI()
    install_problems(app)
    app.include_router(build_router(LogsReader(settings), ApiClient(settings.api)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ui") as client:
        answer = await client.get("/logs_api")
        document = (await client.get("/openapi.json")).json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.json()["status"] == status
    assert reason in answer.json()["detail"]
    assert document["paths"]["/logs_api"]["get"]["x-role"] == "read-logs"


def test_health_says_whether_the_api_is_there(front_end: str, api_double: ApiDouble) -> None:
    """The front end is up in both cases, so it answers 200."""
    answer = httpx.get(f"{front_end}/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "api": "reachable"})
    api_double.answer_with(500, {})
    answer = httpx.get(f"{front_end}/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "degraded", "api": "unreachable"})

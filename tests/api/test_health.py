"""Health: able to serve or not, degraded or not, and quick about it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from tests.api.conftest import Api, StartApi
from tests.servers import RedisServer, free_port

from vigie.api.health import Cached, store_client
from vigie.settings import Settings


def reachable_store(api_service: Any) -> None:
    """Give health a store that answers."""
    store = Starlette()
    transport = httpx.ASGITransport(store)
    api_service.health._store = httpx.AsyncClient(transport=transport, base_url="http://store")


async def test_all_well_is_ok(start_api: StartApi) -> None:
    """Redis and store answer, the golden row agrees, the journal takes events."""
    api = await start_api(reachable_store)
    for path in ("/health", "/readyz"):
        answer = await api.client.get(path)
        content = answer.json()
        assert (answer.status_code, content["status"], content["reasons"]) == (200, "ok", [])
        assert content["stages"] == dict.fromkeys(("model", "journal", "redis", "pipeline", "store"))
        assert (content["redis"], content["store"], content["dropped"]) == ("ok", "ok", 0)
        assert content["model"]["runtime"] == "onnx"
        assert content["model"]["runtime_reason"].startswith("ONNX agrees on ")
        assert content["producer"] == api.service.emitter.status().producer
    assert (await api.client.get("/livez")).json() == {"status": "ok"}


async def test_redis_and_store_away_is_degraded_with_the_backlog(start_api: StartApi) -> None:
    """200, so that nobody takes it out of service, with reasons, backlog and journal size."""
    port, store = free_port(), free_port()
    api = await start_api(REDIS_PORT=port, ES_PORT=store, LOG_LEVEL="CRITICAL")
    await api.client.post("/predict", json=api.example)
    answer = await api.client.get("/health")
    content = answer.json()
    assert (answer.status_code, content["status"]) == (200, "degraded")
    assert [reason.partition(" is away")[0] for reason in content["reasons"]] == [
        f"Redis at 127.0.0.1:{port}",
        f"the store at http://127.0.0.1:{store}",
    ]
    assert {name for name, problem in content["stages"].items() if problem} == {"redis", "store"}
    assert [content["stages"]["redis"], content["stages"]["store"]] == content["reasons"]
    assert content["backlog"] == 1
    assert content["journal_bytes"] > 500
    assert (content["redis"], content["store"]) == ("away", "away")


async def test_redis_that_goes_away_is_noticed_and_its_return_too(
    start_api: StartApi, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of a probe stands for a moment only."""
    monkeypatch.setattr("vigie.api.health.FRESH_SECONDS", 0.0)
    api = await start_api(reachable_store, REDIS_PORT=own_redis.port)
    assert (await api.client.get("/health")).json()["redis"] == "ok"
    own_redis.stop()
    assert (await api.client.get("/health")).json()["redis"] == "away"
    again = RedisServer.start(own_redis.directory, own_redis.port)
    try:
        async with asyncio.timeout(20):
            while (await api.client.get("/health")).json()["redis"] != "ok":
                await asyncio.sleep(0.05)
    finally:
        again.stop()


async def test_a_redis_that_never_answers_does_not_hold_health(start_api: StartApi) -> None:
    """Probes are limited, and many who ask share one."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = await start_api(reachable_store, REDIS_PORT=silent.getsockname()[1])
        answers = await asyncio.wait_for(asyncio.gather(*(api.client.get("/health") for _ in range(20))), 10)
    assert {answer.json()["status"] for answer in answers} == {"degraded"}


async def test_a_full_stream_is_degraded(start_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events wait in the journals until the pipeline has made room."""
    api = await start_api(reachable_store)
    monkeypatch.setattr(type(api.service.emitter._flusher), "full", property(lambda self: True))
    content = (await api.client.get("/health")).json()
    assert (content["status"], "REDIS_STREAM_MAX_ENTRIES" in content["reasons"][0]) == ("degraded", True)


@pytest.mark.parametrize("failing", [False, True])
async def test_a_wrong_golden_row_is_503(api: Api, monkeypatch: pytest.MonkeyPatch, failing: bool) -> None:
    """A model that answers otherwise than when it was trained, or fails, must not serve."""

    def wrong(matrix: Any) -> Any:
        if failing:
            raise RuntimeError("inside")
        return 1 - right(matrix)

    right = api.service.model.runtime.predict_proba
    monkeypatch.setattr(api.service.model.runtime, "predict_proba", wrong)
    answer = await api.client.get("/readyz")
    content = answer.json()
    assert (answer.status_code, content["status"]) == (503, "unavailable")
    assert content["reasons"][0] == "the model does not answer its golden rows as when it was trained"
    assert content["stages"]["model"] == content["reasons"][0]
    assert (await api.client.get("/livez")).status_code == 200


async def test_a_journal_that_takes_nothing_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers without events would break the promise."""
    monkeypatch.setattr(type(api.service.emitter._journal), "accepting", property(lambda self: False))
    answer = await api.client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert "JOURNAL_MAX_BYTES" in answer.json()["reasons"][0]


async def test_without_redis_by_choice_nothing_is_missing(start_api: StartApi) -> None:
    """LOG_TO_REDIS=false is off, not away."""
    api = await start_api(reachable_store, LOG_TO_REDIS="false", REDIS_PORT=free_port())
    content = (await api.client.get("/health")).json()
    assert (content["status"], content["redis"]) == ("ok", "off")


async def test_a_store_that_fails_is_away(start_api: StartApi) -> None:
    """An answer of 5xx counts as away; one that only refuses us is there."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 502, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def prepare(service: Any) -> None:
        service.health._store = httpx.AsyncClient(
            transport=httpx.ASGITransport(broken), base_url="http://store"
        )

    api = await start_api(prepare)
    assert "answers 502" in (await api.client.get("/health")).json()["reasons"][0]


async def test_a_probe_runs_once_for_all_who_ask() -> None:
    """Concurrent callers share the probe, and a fresh answer is not asked for again."""
    calls = []

    async def probe() -> int:
        calls.append(1)
        await asyncio.sleep(0.01)
        return len(calls)

    cached = Cached(probe)
    assert await asyncio.gather(*(cached.get() for _ in range(5))) == [1] * 5
    assert await cached.get() == 1


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        ({"ES_API_KEY": "abc"}, "ApiKey abc"),
        ({"ES_USERNAME": "u", "ES_PASSWORD": "p"}, "Basic dTpw"),
        ({}, None),
    ],
)
async def test_the_store_is_asked_with_its_credentials(
    settings_for: Callable[..., Settings], variables: dict[str, str], header: str | None
) -> None:
    """API key, or user name and password."""
    async with store_client(settings_for(**variables).store) as client:
        seen: list[str | None] = []

        async def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request.headers.get("authorization"))
            return httpx.Response(200)

        client._transport = httpx.MockTransport(answer)
        await client.get("/")
        assert seen == [header]

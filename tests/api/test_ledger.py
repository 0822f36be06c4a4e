"""GET /ledger over a real Redis and a real store."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import httpx
import pytest
from tests.api.conftest import Api, StartApi
from tests.logs_pipeline.events import PRODUCER, predictions
from tests.servers import free_port
from tests.store_proxy import StoreProxy

from vigie.api import ledger
from vigie.api.gateway import Gateway
from vigie.api.roles import Principal, Role
from vigie.ledger.proof import verify
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import RedisSettings
from vigie.telemetry.stream.stream import Stream


@pytest.fixture
async def api(start_api: StartApi, store_server: StoreProxy) -> Api:
    """An API whose own requests make no events, and a store."""
    return await start_api(
        ES_HOST="127.0.0.1",
        ES_PORT=store_server.port,
        LOG_EXCLUDE_PATHS="/ledger",
        LOG_LEVEL="CRITICAL",
        REQUEST_TIMEOUT=60,
    )


async def test_it_is_what_verify_prints(api: Api, redis_settings: RedisSettings) -> None:
    """The same JSON, every term in total and per producer."""
    stream = Stream.open(redis_settings)
    stream.write(PRODUCER, predictions(1, 8))
    await asyncio.to_thread(run_once, api.service.settings)
    stream.write(PRODUCER, predictions(9, 10))
    answer = await api.client.get("/ledger")
    assert answer.status_code == 200, answer.text
    content = answer.json()
    (row,) = (found for found in content["producers"] if found["producer"] == PRODUCER)
    assert row == {
        "producer": PRODUCER, "role": "", "closed": False, "produced": 10, "indexed": 8, "filtered": 0,
        "dead": 0, "cleared": 0, "expired": 0, "erased": 0, "removed": 0, "pending": 2, "dropped": 0, "missing": 0,
        "doubled": 0,
    }  # fmt: skip
    assert (content["balanced"], content["problems"]) == (True, [])
    printed = await asyncio.to_thread(verify, api.service.settings)
    assert list(printed.as_dict()) == list(content)
    assert list(printed.as_dict()["totals"]) == list(content["totals"])
    assert list(printed.as_dict()["producers"][0]) == list(content["producers"][0])


async def test_it_needs_admin(api: Api) -> None:
    """Who may only read logs is refused."""
    limited = Gateway(
        api.app._app,
        api.service.recorder,
        api.app._lifespan,
        identify=lambda headers: Principal("reader", frozenset({Role.READ_LOGS})),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(limited), base_url="http://api") as client:
        answer = await client.get("/ledger")
    assert (answer.status_code, answer.json()["detail"]) == (403, "This needs the role admin")


async def test_without_redis_it_is_a_503(start_api: StartApi) -> None:
    """There is no ledger to measure; the problem says why, and when to come back."""
    for environment, said in (
        ({"REDIS_PORT": free_port()}, "does not answer"),
        ({"LOG_TO_REDIS": "false"}, "LOG_TO_REDIS=false"),
    ):
        api = await start_api(**environment)
        answer = await api.client.get("/ledger")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert said in answer.json()["detail"]


async def test_without_the_store_nothing_is_proven(start_api: StartApi) -> None:
    """The terms that Redis holds are told, indexed is not known, and the ledger does not balance."""
    api = await start_api(ES_HOST="127.0.0.1", ES_PORT=free_port(), REQUEST_TIMEOUT=60)
    content = (await api.client.get("/ledger")).json()
    assert (content["balanced"], content["totals"]["indexed"]) == (False, None)
    assert "were not counted" in content["problems"][0]


async def test_a_store_that_hangs_is_a_503_in_time(start_api: StartApi) -> None:
    """A store that takes the connection and says nothing does not hold the request beyond its limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = await start_api(ES_HOST="127.0.0.1", ES_PORT=silent.getsockname()[1], REQUEST_TIMEOUT=2)
        answer = await api.client.get("/ledger")
    assert answer.status_code in {503, 504}
    assert answer.json()["status"] == answer.status_code


async def test_who_asks_meanwhile_shares_the_measurement(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten questions at once are one measurement, in one thread."""
    go, all_asked, calls, asked = threading.Event(), asyncio.Event(), [], []
    read = api.service.ledger.read

    async def reading() -> dict[str, Any]:
        asked.append(1)
        if len(asked) == 10:
            all_asked.set()
        return await read()

    def measured(*given: Any, **options: Any) -> Any:
        calls.append(threading.current_thread().name)
        assert go.wait(60)
        return verify(*given, **options)

    monkeypatch.setattr(api.service.ledger, "read", reading)
    monkeypatch.setattr(ledger, "verify", measured)
    questions = [asyncio.create_task(api.client.get("/ledger")) for _ in range(10)]
    await asyncio.wait_for(all_asked.wait(), 60)
    go.set()
    answers = await asyncio.gather(*questions)
    assert [answer.status_code for answer in answers] == [200] * 10
    assert len(calls) == 1
    assert calls[0].startswith("ledger")

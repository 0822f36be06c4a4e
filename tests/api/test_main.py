"""The server as a process: what was answered is stored, whatever dies; one-line errors; an orderly end."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import redis
from tests.servers import RedisServer, free_port, stop, wait_for
from tests.stack import Stack

from vigie.api import main
from vigie.api.service import Service
from vigie.errors import VigieError
from vigie.schema import FeatureSchema
from vigie.settings import Settings
from vigie.telemetry.stream.stream import Stream

CLIENTS = 8


@pytest.fixture
def stack(tmp_path: Path, package_path: Path) -> Iterator[Stack]:
    """Processes on ports of their own."""
    one = Stack(tmp_path / "home", package_path, {"LOG_LEVEL": "WARNING"})
    yield one
    one.stop()


def stored_ids(port: int) -> list[str]:
    """Return the transaction ids of the predictions in the stream."""
    with redis.Redis(port=port) as client:
        entries: Any = client.xrange("api_logs")
    events = [orjson.loads(fields[b"event"]) for _, fields in entries]
    return [event["data"]["transaction_id"] for event in events if event["data"]["kind"] == "prediction"]


async def send(url: str, record: dict[str, Any], count: int, answered: list[str]) -> None:
    """Send predictions one after another until `count` are answered or the server is gone."""
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        try:
            for _ in range(count):
                answer = await client.post("/predict", json=record)
                assert answer.status_code == 200, answer.text
                answered.append(answer.json()["transaction_id"])
        except httpx.TransportError:
            return


def test_every_answered_prediction_is_stored_after_a_kill(stack: Stack, schema: FeatureSchema) -> None:
    """SIGKILL under load: the next start ships what was answered, each exactly once."""
    stack.start("redis", "api")
    answered: list[str] = []

    async def load_and_kill() -> None:
        senders = [
            asyncio.create_task(send(stack.url("api"), dict(schema.example()), 10_000, answered))
            for _ in range(CLIENTS)
        ]
        while len(answered) < 400:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(stack.kill, "api")
        await asyncio.gather(*senders)

    asyncio.run(load_and_kill())
    stack.start("api")
    port = stack.ports["REDIS_PORT"]
    wait_for(lambda: set(answered) <= set(stored_ids(port)), 30, "every answered prediction in the stream")
    ids = stored_ids(port)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("hanging", [False, True], ids=["stopped", "never-answering"])
def test_predictions_go_on_without_redis_and_are_stored_when_it_is_back(
    stack: Stack, schema: FeatureSchema, hanging: bool
) -> None:
    """200 predictions, all answered 200; all in the stream once Redis is there; /health says degraded."""
    port = stack.ports["REDIS_PORT"]
    silent = socket.create_server(("127.0.0.1", port)) if hanging else None
    stack.start("api")
    answered: list[str] = []

    async def load() -> None:
        await asyncio.gather(
            *(send(stack.url("api"), dict(schema.example()), 25, answered) for _ in range(CLIENTS))
        )

    asyncio.run(load())
    assert len(answered) == 200
    health = httpx.get(stack.url("api") + "/health", timeout=20)
    assert (health.status_code, health.json()["status"], health.json()["redis"]) == (200, "degraded", "away")
    assert health.json()["backlog"] >= 200
    if silent is not None:
        silent.close()
    stack.processes["redis"] = RedisServer.start(stack.home / "redis", port).process
    wait_for(lambda: set(stored_ids(port)) >= set(answered), 40, "every prediction in the stream")
    assert sorted(stored_ids(port)) == sorted(answered)
    stop(stack.processes.pop("api"))


def test_sigterm_lets_requests_end_and_ships_everything(stack: Stack, schema: FeatureSchema) -> None:
    """Status 0, every answered prediction in the stream, the producer closed at its last number."""
    stack.start("redis", "api")
    answered: list[str] = []

    async def load_and_stop() -> None:
        senders = [
            asyncio.create_task(send(stack.url("api"), dict(schema.example()), 10_000, answered))
            for _ in range(CLIENTS)
        ]
        while len(answered) < 100:
            await asyncio.sleep(0.005)
        stack.processes["api"].send_signal(signal.SIGTERM)
        await asyncio.gather(*senders)

    asyncio.run(load_and_stop())
    assert stack.processes["api"].wait(20) == 0
    assert set(answered) <= set(stored_ids(stack.ports["REDIS_PORT"]))
    (producer,) = Stream.open(stack.settings.redis).producers()
    assert producer.closed == producer.high >= len(answered)


def test_each_worker_is_a_producer_of_its_own(stack: Stack, schema: FeatureSchema) -> None:
    """API_WORKERS=2: two processes answer on one port, their events kept apart."""
    stack.environment["API_WORKERS"] = "2"
    stack.start("redis", "api")
    answered: list[str] = []

    def producers() -> set[str]:
        asyncio.run(send(stack.url("api"), dict(schema.example()), 5, answered))
        with redis.Redis(port=stack.ports["REDIS_PORT"]) as client:
            entries: Any = client.xrange("api_logs")
        return {fields[b"producer"] for _, fields in entries}

    wait_for(lambda: len(producers()) == 2, 30, "events of two producers")
    stack.processes["api"].terminate()
    assert stack.processes["api"].wait(30) == 0
    assert set(answered) <= set(stored_ids(stack.ports["REDIS_PORT"]))


def serve_in_process(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `serve` in a process of its own to its end."""
    code = "from vigie.api.main import serve; from vigie.settings import load_settings; serve(load_settings(None, None))"
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_port_in_use_is_one_line(settings_for: Callable[..., Settings], package_path: Path) -> None:
    """Named with what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(VigieError) as caught:
            main.serve(settings_for(MODEL_PATH=package_path, API_PORT=port))
    assert str(caught.value) == (
        f"the API cannot listen on 127.0.0.1:{port} (Address already in use); stop what uses the port, or set "
        "API_HOST and API_PORT"
    )


def test_a_journal_that_cannot_be_made_stops_the_start(
    settings_for: Callable[..., Settings], package_path: Path, tmp_path: Path
) -> None:
    """In the process, with the reason on stderr, and status other than 0."""
    (tmp_path / "file").write_text("no folder")
    ended = serve_in_process(
        {
            "VIGIE_HOME": str(tmp_path / "file"),
            "MODEL_PATH": str(package_path),
            "API_PORT": str(free_port()),
        }
    )
    assert ended.returncode == 3
    assert ended.stderr.startswith(f"no journal can be made under {tmp_path / 'file'}")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"AUTH_ENABLED": "true"}, "AUTH_ENABLED=true: authentication is not available in this version"),
        ({"RATE_LIMIT": "9/minute"}, "RATE_LIMIT is set: the rate limit is not available in this version"),
    ],
)
def test_security_that_is_not_there_is_not_pretended(
    settings_for: Callable[..., Settings], package_path: Path, variables: dict[str, str], named: str
) -> None:
    """Starting is refused in one line."""
    with pytest.raises(VigieError) as caught:
        Service(settings_for(MODEL_PATH=package_path, **variables))
    assert str(caught.value).startswith(named)
    assert "\n" not in str(caught.value)


def test_without_a_package_the_start_is_refused(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    """The model's own reason reaches the user."""
    with pytest.raises(VigieError, match="make train"):
        main.create_app(settings_for(MODEL_PATH=tmp_path))


def test_app_is_made_on_demand(monkeypatch: pytest.MonkeyPatch, package_path: Path, tmp_path: Path) -> None:
    """For servers that are given vigie.api.main:app; any other name is unknown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_PATH", str(package_path))
    assert isinstance(main.app, main.Gateway)
    with pytest.raises(AttributeError):
        _ = main.application


@pytest.mark.parametrize(
    ("variables", "origins"),
    [
        ({}, ("*",)),
        ({"AUTH_ENABLED": "true"}, ()),
        ({"CORS_ORIGINS": "http://a, http://b"}, ("http://a", "http://b")),
    ],
)
def test_origins_follow_security(
    settings_for: Callable[..., Settings], variables: dict[str, str], origins: tuple[str, ...]
) -> None:
    """All while security is off, none when it is on, else the list."""
    assert main.cors_origins(settings_for(**variables).security) == origins

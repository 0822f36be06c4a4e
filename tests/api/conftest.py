"""The API as it is served, in the test's own loop, with every event it emits at hand."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.types import ASGIApp
from tests.model.packages import train_successor
from tests.servers import ROOT

from vigie.api.gateway import Gateway
from vigie.api.main import build
from vigie.api.service import Service
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.event import Event


@dataclass
class Captured:
    """Keeps what it hands on to the emitter."""

    emitter: Any
    events: list[Event] = field(default_factory=list)

    appends: int = 0
    """How often events were handed over."""

    def emit_many(self, events: Sequence[Event]) -> None:
        """Take events."""
        self.appends += 1
        self.events += events
        self.emitter.emit_many(events)


@dataclass
class Api:
    """A started API."""

    client: httpx.AsyncClient
    service: Service
    app: Gateway
    captured: Captured
    example: dict[str, Any]

    @property
    def events(self) -> list[Event]:
        """Every event so far."""
        return self.captured.events

    def requests(self) -> list[dict[str, Any]]:
        """Return the data of the requests' events so far, application logs apart."""
        return [dict(event["data"]) for event in self.events]


@asynccontextmanager
async def started(app: ASGIApp) -> AsyncIterator[None]:
    """Run the ASGI lifespan of `app` around the block."""
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outgoing: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, incoming.get, outgoing.put))  # type: ignore[arg-type]
    incoming.put_nowait({"type": "lifespan.startup"})
    answer = await outgoing.get()
    assert answer == {"type": "lifespan.startup.complete"}, answer
    yield
    incoming.put_nowait({"type": "lifespan.shutdown"})
    assert await outgoing.get() == {"type": "lifespan.shutdown.complete"}
    await task


@pytest.fixture(scope="session")
def successor_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2.0.0 of the reference model, trained once for the run; its threshold is 0.8."""
    target = yaml.safe_load((ROOT / "model" / "lung_cancer" / "schema.yaml").read_text("utf-8"))["target"]
    return train_successor(tmp_path_factory.mktemp("successor"), target={**target, "threshold": 0.8})


@pytest.fixture
def place(package_path: Path, tmp_path: Path) -> Path:
    """A MODEL_PATH of the test's own, with version 1.0.0."""
    return Path(shutil.copytree(package_path, tmp_path / "place"))


StartApi = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start_api(
    settings_for: Callable[..., Settings], package_path: Path, redis_settings: RedisSettings
) -> AsyncIterator[StartApi]:
    """Environment variables → a started API in the test's loop; it stops with the test."""
    async with AsyncExitStack() as stack:

        async def start(prepare: Callable[[Service], None] = lambda service: None, **environment: Any) -> Api:
            own = {
                "MODEL_PATH": package_path,
                "REDIS_HOST": redis_settings.redis_host,
                "REDIS_PORT": redis_settings.redis_port,
                "ES_PORT": 9,
            }
            service = Service(settings_for(**{**own, **environment}))
            prepare(service)
            app = build(service)
            await stack.enter_async_context(started(app))
            captured = Captured(service.emitter)
            service.recorder.attach(captured)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://api")
            )
            return Api(client, service, app, captured, service.model.schema.example())

        yield start


@pytest.fixture
async def api(start_api: StartApi) -> Api:
    """A started API with the defaults."""
    return await start_api()

"""An API behind a real server, in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from tests.api.conftest import Api
from tests.servers import free_port

from vigie.api.express import ExpressProtocol, KnownHeads
from vigie.api.main import configuration, listen


@dataclass
class Served:
    """An API behind a real server, and how many requests the lane answered."""

    api: Api
    port: int
    taken: list[bool]
    connections: set[Any]
    """uvicorn's protocols, one per connection."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def raw(self, content: bytes, answers: int = 1) -> list[bytes]:
        """Send bytes on a connection of their own and return the bodies of the answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(content)
        bodies = [(await answer_from(reader))[1] for _ in range(answers)]
        writer.close()
        return bodies


def reading(served: Served) -> bool:
    """Say whether the server waits for the rest of a request."""
    return any(not protocol.cycle.response_complete for protocol in served.connections if protocol.cycle)


async def answer_from(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one answer: its head and its body."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    (length,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head, await asyncio.wait_for(reader.readexactly(int(length.partition(b":")[2])), 30)


def request(body: bytes, path: str = "/predict", more: bytes = b"") -> bytes:
    """Return a POST as it goes over the wire."""
    return (
        b"POST %b HTTP/1.1\r\nhost: api\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b"
        % (path.encode(), len(body), more, body)
    )


@contextlib.asynccontextmanager
async def serving(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """Serve `api` on a loopback port of its own."""
    port = free_port()
    settings = api.service.settings.api.model_copy(update={"api_port": port})
    config = configuration(api.app, settings)
    config.lifespan = "off"  # the fixture has started it
    server = uvicorn.Server(config)
    monkeypatch.setattr(server, "capture_signals", contextlib.nullcontext)
    assert api.app.lane is not None
    taken: list[bool] = []
    take = api.app.lane.take

    def noting(*arguments: Any) -> bool:
        taken.append(take(*arguments))
        return taken[-1]

    monkeypatch.setattr(api.app.lane, "take", noting)
    monkeypatch.setattr(ExpressProtocol, "_heads", KnownHeads())
    with listen(settings) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield Served(api, port, taken, server.server_state.connections)
        server.should_exit = True
        await task

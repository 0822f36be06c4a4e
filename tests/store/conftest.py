"""An engine, and the store over HTTP inside this process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from tests.servers import free_port

from vigie.store.app import StoreApp
from vigie.store.bulk import bulk
from vigie.store.engine import Engine
from vigie.store.main import listening, uvicorn_server

DEADLINE_SECONDS = 20.0
StartStore = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine over an empty directory."""
    opened = Engine(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def app(engine: Engine) -> Iterator[StoreApp]:
    """The application over the engine."""
    application = StoreApp(engine)
    yield application
    application.close()


@pytest.fixture
def http(app: StoreApp) -> Iterator[httpx.Client]:
    """A client of the store, served by a thread of this process."""
    with listening("127.0.0.1", 0) as listener:
        listener.listen()  # before the thread does: a request may be faster than its start
        server = uvicorn_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30, trust_env=False
            ) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def fill(engine: Engine) -> Callable[..., str]:
    """Create an index in the engine with fields and documents (ids by position from 1); return its name."""

    def create(fields: dict[str, Any], documents: list[dict[str, Any]], name: str = "index") -> str:
        engine.create_index(name, {"mappings": {"dynamic": "false", "properties": fields}})
        lines: list[bytes] = []
        for number, document in enumerate(documents, start=1):
            lines += [orjson.dumps({"create": {"_id": str(number)}}), orjson.dumps(document)]
        if lines:
            answer = bulk(engine, b"\n".join(lines) + b"\n", name, None, refreshed=True)
            assert not answer["errors"], answer
        return name

    return create


@pytest.fixture
def start_store(tmp_path: Path) -> Iterator[StartStore]:
    """Start the store as a process of its own and return it with its address once it answers."""
    started: list[subprocess.Popen[str]] = []

    def start(data: Path = tmp_path / "data", port: int | None = None) -> tuple[subprocess.Popen[str], str]:
        chosen = port or free_port()
        command = [sys.executable, "-m", "vigie.store", "--data", str(data), "--port", str(chosen)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        started.append(process)
        url = f"http://127.0.0.1:{chosen}"
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                httpx.get(url, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                break
        return process, url

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()

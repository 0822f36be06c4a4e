"""Real parts for the tests: an embedded Redis, an embedded store, a trained package, settings."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
import redis

from vigie.demo.redis_server import redis_command
from vigie.schema import FeatureSchema, load_schema
from vigie.settings import RedisSettings, Settings, load_settings, variable_names

ROOT = Path(__file__).parents[1]
Found = TypeVar("Found")


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Found], deadline: float = 20.0, what: str = "the state") -> Found:
    """Return the first true answer of `condition`; fail when there is none within `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        if found := condition():
            return found
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline} s in vain for {what}")
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes], grace: float = 10.0) -> None:
    """End a server that the test started, by its own id."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class RedisServer:
    """A running embedded Redis of the test's own."""

    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, directory: Path, port: int | None = None) -> RedisServer:
        """Start a server and wait until it answers."""
        port = port or free_port()
        directory.mkdir(parents=True, exist_ok=True)
        command = redis_command(port, directory)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = cls(port, directory, process)
        wait_for(server.answers, what=f"Redis on port {port}")
        return server

    def answers(self) -> bool:
        """Whether the server answers a PING."""
        try:
            with redis.Redis(port=self.port, socket_timeout=1) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def settings(self, database: int = 0, **values: object) -> RedisSettings:
        """Return the settings that reach this server."""
        given = {"redis_host": "127.0.0.1", "redis_port": self.port, "redis_db": database, **values}
        return RedisSettings.model_validate(given)

    def stop(self) -> None:
        """Stop the server; what it accepted stays in its folder."""
        stop(self.process)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One embedded Redis for the whole run."""
    server = RedisServer.start(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_settings(redis_server: RedisServer) -> RedisSettings:
    """Settings for an empty database of the shared Redis."""
    with redis.Redis(port=redis_server.port) as client:
        client.flushall()
    return redis_server.settings()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis for one test alone, to be stopped, killed and started again."""
    server = RedisServer.start(tmp_path / "own-redis")
    yield server
    server.stop()


@dataclass
class StoreServer:
    """A running embedded store."""

    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Base URL of its REST interface."""
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    def start(cls, directory: Path, port: int | None = None) -> StoreServer:
        """Start a store and wait until it answers."""
        port = port or free_port()
        command = [sys.executable, "-m", "vigie.store", "--data", str(directory), "--port", str(port)]
        server = cls(port, directory, subprocess.Popen(command))
        wait_for(server.answers, what=f"the store on port {port}")
        return server

    def answers(self) -> bool:
        """Whether the store answers."""
        try:
            with urllib.request.urlopen(self.url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """Stop the store; its data stay."""
        stop(self.process)


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    """One embedded store for the whole run; tests keep apart by `settings_for`'s index prefix."""
    server = StoreServer.start(tmp_path_factory.mktemp("store"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def schema() -> FeatureSchema:
    """The reference model's schema."""
    return load_schema(ROOT / "model" / "lung_cancer")


@pytest.fixture(scope="session")
def package_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference model's package, trained once for the run."""
    from vigie.model.training import train

    folder = tmp_path_factory.mktemp("packages") / "lung_cancer"
    train(ROOT / "model" / "lung_cancer", folder, None)
    return folder


_prefixes = itertools.count(1)


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    """Return a function: environment variables → Settings with a VIGIE_HOME and index prefix of the test's own."""
    own = {
        "VIGIE_HOME": str(tmp_path / "home"),
        "ES_INDEX_PREFIX": f"t{os.getpid()}-{next(_prefixes)}-",
        "JOURNAL_MAX_BYTES": str(64 * 1024 * 1024),
    }

    def make(**environment: object) -> Settings:
        return load_settings({**own, **{name: str(value) for name, value in environment.items()}}, None)

    return make


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test never reads the settings of whoever runs it."""
    for name in variable_names():
        monkeypatch.delenv(name, raising=False)

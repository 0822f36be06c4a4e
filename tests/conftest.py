"""Real parts for the tests: an embedded Redis, an embedded store, a trained package, settings."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from elasticsearch import Elasticsearch
from tests.real_store import RUN, index_prefix, open_door
from tests.servers import ROOT, RedisServer, StoreServer
from tests.store_proxy import PLATFORM, StoreProxy

from vigie.indices.store_client import connect_store
from vigie.schema import FeatureSchema, load_schema
from vigie.settings import RedisSettings, Settings, load_settings, variable_names
from vigie.telemetry.stream.stream import Stream

pytest_plugins = ["tests.store_plugin"]


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


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the run's store itself: an embedded one, or the real Elasticsearch."""
    if RUN.store is not None:
        yield RUN.store.url
        return
    server = StoreServer.start(tmp_path_factory.mktemp("store"))
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def store_server(store_url: str) -> Iterator[StoreProxy]:
    """The run's store, through a recording door; tests keep apart by `settings_for`'s index prefix."""
    proxy = open_door(store_url, PLATFORM)
    yield proxy
    proxy.stop()


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
    """Environment variables → Settings with a VIGIE_HOME and an index prefix of the test's own."""
    own = {
        "VIGIE_HOME": str(tmp_path / "home"),
        "ES_INDEX_PREFIX": f"{index_prefix()}t{os.getpid()}-{next(_prefixes)}-",
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


@pytest.fixture
def settings(
    redis_settings: RedisSettings, store_server: StoreProxy, settings_for: Callable[..., Settings]
) -> Settings:
    """An installation with an empty Redis and a prefix of its own in the store."""
    return settings_for(
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=redis_settings.redis_port,
        ES_HOST="127.0.0.1",
        ES_PORT=store_server.port,
        MODEL_PATH=ROOT / "model" / "lung_cancer",
    )


@pytest.fixture
def stream(settings: Settings) -> Stream:
    """The stream of the installation."""
    return Stream.open(settings.redis)


@pytest.fixture
def store(settings: Settings) -> Iterator[Elasticsearch]:
    """A client of the store."""
    with connect_store(settings.store) as client:
        yield client


@pytest.fixture
def no_inference_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the machine pauses, no inference asks for a profile of the next one."""
    monkeypatch.setattr("vigie.model.predictor.SLOW_INFERENCE_MS", float("inf"))

"""An installation of its own for each test: an empty Redis, a prefix in the store, a home."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson
import pytest
from elasticsearch import Elasticsearch
from tests.logs_pipeline.events import PRODUCER
from tests.servers import ROOT
from tests.store_proxy import StoreProxy

from vigie.indices.store_client import connect_store
from vigie.ledger.report import Report, Row
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream import Stream


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


def delete(store: Elasticsearch, settings: Settings, index: str, number: int) -> None:
    """Delete the document of one event from an index."""
    physical = f"{settings.store.es_index_prefix}{index}-2026.11.20"
    operation = orjson.dumps({"delete": {"_index": physical, "_id": f"{PRODUCER}-{number}"}})
    answer = store.bulk(operations=[operation], refresh=True)
    assert answer["items"][0]["delete"]["status"] == 200


def only(report: Report) -> Row:
    """The one row of a report, beside a running pipeline's own."""
    (row,) = (found for found in report.rows if found.role != "pipeline")
    return row

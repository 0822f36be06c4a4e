"""Installations on a real Elasticsearch, and nodes that a test may configure and kill."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from tests.logs_pipeline.events import PRODUCER, prediction, record
from tests.real_store import RUN, NodeServer, open_door
from tests.servers import ROOT, wait_for
from tests.store_proxy import Recording, StoreProxy

from vigie.indices.store_client import connect_store
from vigie.logs_pipeline import breaker, indexer
from vigie.logs_pipeline.pipeline import run_continuously, run_once
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.stream import Stream

DAY = datetime.now(UTC).date() - timedelta(days=3)
"""Date of the events: nothing makes the indices of that day before the first of them is indexed."""
INDICES = ("ml-api-logs", "ml-api-message", "ml-api-perfs")


@dataclass
class Installation:
    """A pipeline's surroundings: an empty Redis, a prefix of its own in a store, a recording door to it."""

    settings: Settings
    stream: Stream
    store: Elasticsearch
    seen: Recording

    def send(self, first: int, last: int, **changes: Any) -> set[str]:
        """Write predictions `first` to `last` into the stream; return their transaction ids."""
        events = [prediction(number, **changes) for number in range(first, last + 1)]
        for number, event in enumerate(events, first):
            event["timestamp"] = f"{DAY}T10:{number // 60 % 60:02}:{number % 60:02}.000001Z"
            event["data"]["number"] = number
        records = [record(event, number) for number, event in enumerate(events, first)]
        for start in range(0, len(records), 500):
            self.stream.write(PRODUCER, records[start : start + 500])
        return {event["data"]["transaction_id"] for event in events}

    def provision(self) -> None:
        """Apply the templates, as a pipeline with nothing to do."""
        assert run_once(self.settings).complete

    def physical(self, index: str) -> str:
        """Return the name of the events' index of `index`."""
        return f"{self.settings.store.es_index_prefix}{index}-{DAY:%Y.%m.%d}"

    def stored(self, index: str) -> Counter[str]:
        """Count the documents of each transaction in `index`, by plain searches."""
        found: Counter[str] = Counter()
        alias = f"{self.settings.store.es_index_prefix}{index}"
        self.store.indices.refresh(index=alias)
        after: list[Any] | None = None
        while True:
            sort = [{"number": "asc"}, {"doc_type": "asc"}]
            answer = self.store.search(
                index=alias, query={"term": {"producer": PRODUCER}}, size=1000, sort=sort, search_after=after
            )
            hits = answer["hits"]["hits"]
            if not hits:
                return found
            found.update(hit["_source"]["transaction_id"] for hit in hits)
            after = hits[-1]["sort"]

    def demand_each_once(self, sent: set[str], indices: Sequence[str] = INDICES) -> None:
        """Fail unless each index holds exactly one document of each transaction in `sent`."""
        for index in indices:
            stored = self.stored(index)
            assert {one: count for one, count in stored.items() if count > 1} == {}, f"twice in {index}"
            assert sent - stored.keys() == set(), f"missing in {index}"
            assert stored.keys() - sent == set(), f"unknown in {index}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the pipeline in a thread meanwhile."""
        stop = threading.Event()
        work = threading.Thread(target=run_continuously, args=(self.settings, stop))
        work.start()
        try:
            yield
        finally:
            stop.set()
            work.join(60)
            assert not work.is_alive()

    def problem(self) -> str:
        """Return what the running pipeline says stands in its way."""
        return " ".join(status.problem for status in statuses(self.stream.client))

    def await_settled(self) -> None:
        """Wait until everything that was written has a verdict."""
        wait_for(lambda: self.stream.backlog() == 0, 120, "the backlog to be empty")


Install = Callable[[NodeServer | None], Installation]


@pytest.fixture
def install(
    redis_settings: RedisSettings, settings_for: Callable[..., Settings], store_url: str
) -> Iterator[Install]:
    """Make an installation on a node, or for None on the run's Elasticsearch."""
    doors: list[StoreProxy] = []
    clients: list[Elasticsearch] = []

    def make(server: NodeServer | None) -> Installation:
        seen = Recording()
        doors.append(open_door(store_url, seen) if server is None else StoreProxy(server.node.url, seen))
        settings = settings_for(
            REDIS_HOST="127.0.0.1",
            REDIS_PORT=redis_settings.redis_port,
            ES_HOST="127.0.0.1",
            ES_PORT=doors[-1].port,
            MODEL_PATH=ROOT / "model" / "lung_cancer",
        )
        clients.append(connect_store(settings.store, timeout=30))
        return Installation(settings, Stream.open(settings.redis), clients[-1], seen)

    yield make
    for client in clients:
        client.close()
    for door in doors:
        door.stop()


NodeFactory = Callable[[Mapping[str, str]], NodeServer]


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeFactory]:
    """Start nodes with Elasticsearch's own settings; tests that kill or reconfigure use these."""
    if RUN.user is not None:
        pytest.skip("kills or reconfigures the server: not the user's own")
    started: list[NodeServer] = []

    def start(settings: Mapping[str, str]) -> NodeServer:
        started.append(NodeServer.start(tmp_path_factory.mktemp("node"), settings))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once: how long the pauses grow is tested where they are made."""
    monkeypatch.setattr(indexer, "backoff", lambda attempt: 0.02)
    monkeypatch.setattr(breaker, "backoff", lambda failures, longest: 0.02)

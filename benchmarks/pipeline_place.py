"""Redis, a store, and what is loaded from one into the other: by the pipeline, or by a bare loader."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import orjson
import psutil
import redis
from elasticsearch import Elasticsearch
from platform_parts import ROOT, Processes, free_port, processes, until
from prediction_events import fill

from vigie.demo.elasticsearch_node import ElasticsearchNode
from vigie.indices.mappings import INDICES
from vigie.indices.routing import Epoch
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.collector import BATCH
from vigie.logs_pipeline.features import PresentFeatures
from vigie.logs_pipeline.filter import Context, documents_of
from vigie.logs_pipeline.templates import Provisioner
from vigie.model.training import train
from vigie.schema import load_schema
from vigie.settings import Settings, load_settings
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.stream import Stream, StreamEntry
from vigie.terminal import say

BARE: Final = "bare-"
PIPELINE: Final = "pipeline-"
DEADLINE_SECONDS: Final = 900.0
NODE_SETTINGS: Final = {"indices.breaker.total.use_real_memory": "false"}
"""By the real use of a small heap, which is mostly garbage, Elasticsearch would refuse now and then."""


@dataclass(frozen=True, slots=True)
class Run:
    """One load of the store."""

    documents: int
    events: int
    seconds: float
    loader_cpu_seconds: float
    """Of the pipeline's workers, or of the bare loader."""
    store_cpu_seconds: float
    peak_mb: float
    """Of the largest worker, or of the bare loader, which holds all documents."""

    @property
    def per_second(self) -> float:
        """Documents per second."""
        return self.documents / self.seconds

    @property
    def cpu_us_per_event(self) -> float:
        """CPU time of the pipeline per event, without the store's."""
        return self.loader_cpu_seconds * 1e6 / self.events

    @property
    def whole_cpu_us_per_event(self) -> float:
        """CPU time per event, the store's with it."""
        return (self.loader_cpu_seconds + self.store_cpu_seconds) * 1e6 / self.events


@dataclass(slots=True)
class Place:
    """Redis, a store, and what is loaded from one into the other."""

    home: Path
    parts: Processes
    settings: Settings
    stream: Stream
    client: Elasticsearch
    store: str
    read_before: bool = False
    """Whether the bare tantivy loader has read the documents' JSON before the clock starts."""
    documents: Path = field(init=False)

    def __post_init__(self) -> None:
        self.documents = self.home / "documents"

    def prepare(self, events: int) -> None:
        """Write down the documents of `events` events, bulk by bulk."""
        self.stream.client.flushall()
        fill(self.settings, events)
        schema = load_schema(self.settings.model.model_path)
        context = Context(ZoneInfo("UTC"), (), PresentFeatures(schema, dict))
        epoch = Epoch("0-0", BARE, "day")
        self._begin(BARE)
        mappings = {
            index: about["mappings"]
            for index, about in self.client.indices.get_mapping(index=f"{BARE}*").items()
        }
        with self.documents.open("wb") as file:
            file.write(orjson.dumps(mappings) + b"\n\n" if self.store == "embedded" else b"")
            for entries in self._batches():
                for entry in entries:
                    for document in documents_of(entry, epoch, context):
                        line = [document.physical, document.id, document.source.decode()]
                        file.write(orjson.dumps(line) + b"\n")
                file.write(b"\n")

    def _batches(self) -> Iterator[Sequence[StreamEntry]]:
        after = ""
        while page := self.stream.after(after, BATCH):
            yield page
            after = page[-1].id

    def _begin(self, prefix: str) -> None:
        """Make empty indices of that prefix."""
        for name in list(self.client.indices.get(index=f"{prefix}*")):
            self.client.indices.delete(index=name)
        settings = self.settings.store.model_copy(update={"es_index_prefix": prefix})
        for _ in Provisioner(self.client, settings).run(load_schema(self.settings.model.model_path)):
            pass

    def bare(self, events: int) -> Run:
        """Load the documents by the bare loader."""
        self._begin(BARE)
        target = str(self.home / "tantivy") if self.store == "embedded" else self.settings.store.url
        embedded = "columns" if self.read_before else "tantivy"
        kind = embedded if self.store == "embedded" else "elasticsearch"
        command = [
            sys.executable,
            str(ROOT / "benchmarks/bare_loaders.py"),
            kind,
            str(self.documents),
            target,
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as loader:
            if loader.stdin is None or loader.stdout is None:
                raise RuntimeError("the bare loader has no pipes")
            loader.stdout.readline()
            before, started = self._store_cpu_seconds(), time.perf_counter()
            loader.stdin.write(b"go\n")
            loader.stdin.flush()
            said = orjson.loads(loader.stdout.readline())
            if self.store == "elasticsearch":
                self._check(BARE, said["documents"])
            seconds = time.perf_counter() - started
            store_cpu = self._store_cpu_seconds() - before if self.store == "elasticsearch" else 0.0
        shutil.rmtree(self.home / "tantivy", ignore_errors=True)
        return Run(said["documents"], events, seconds, said["cpu_seconds"], store_cpu, said["peak_mb"])

    def pipeline(self, events: int, workers: int) -> Run:
        """Load as many events by `workers` workers, which are there and wait when the clock starts."""
        self.stream.client.flushall()
        self._begin(PIPELINE)
        names = [f"worker{number}" for number in range(workers)]
        started = [psutil.Process(self.parts.vigie(name, "pipeline", "run").pid) for name in names]
        until(lambda: len(statuses(self.stream.client)) == workers, "the workers")
        for worker in started:
            worker.suspend()
        producer = fill(self.settings, events)
        before, cpu, clock = self._store_cpu_seconds(), _cpu_seconds(started), time.perf_counter()
        for worker in started:
            worker.resume()
        until(lambda: self._settled(producer, events), "the pipeline", DEADLINE_SECONDS)
        documents = self._check(PIPELINE, 3 * events)
        seconds = time.perf_counter() - clock
        spent, stored = _cpu_seconds(started) - cpu, self._store_cpu_seconds() - before
        peak = max(_peak_mb(worker) for worker in started)
        for name in names:
            self.parts.end(name, signal.SIGTERM)
        return Run(documents, events, seconds, spent, stored, peak)

    def _settled(self, producer: str, events: int) -> bool:
        if self.stream.backlog() > 0:
            return False
        state = next(one for one in self.stream.producers() if one.producer == producer)
        return state.counts["indexed"] == events

    def _check(self, prefix: str, documents: int) -> int:
        """Refresh, and return how many documents of predictions the store has, which must be `documents`."""
        names = ",".join(f"{prefix}{index}" for index in INDICES)
        self.client.indices.refresh(index=names)
        kinds = {"terms": {"doc_type": ["prediction", "request"]}}
        found = int(self.client.count(index=names, query=kinds)["count"])
        if found != documents:
            raise RuntimeError(f"the store has {found} documents instead of {documents}")
        return found

    def _store_cpu_seconds(self) -> float:
        return _cpu_seconds([psutil.Process(self.parts.running["store"].pid)])


def _cpu_seconds(found: Iterable[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in found)


def _peak_mb(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@contextmanager
def place(store: str, home: Path, *, drift: bool = False) -> Iterator[Place]:
    """Yield Redis and the store, running, and the settings of a pipeline between them.

    Without `drift` the workers find a model that is not trained, and so judge no drift: that is work per
    window of predictions, of which these many come at once.
    """
    train(ROOT / "model" / "lung_cancer", home / "model")
    ports = {name: free_port() for name in ("REDIS_PORT", "ES_PORT")}
    environment = {
        **ports,
        "REDIS_HOST": "127.0.0.1",
        "ES_HOST": "127.0.0.1",
        "ES_INDEX_PREFIX": PIPELINE,
        "VIGIE_HOME": home / "home",
        "MODEL_PATH": home / "model",
        "REDIS_STREAM_MAX_ENTRIES": 10_000_000,
    }
    settings = load_settings({name: str(value) for name, value in environment.items()}, None)
    served = home / "model"
    if not drift:
        served = home / "untrained"
        served.mkdir()
        shutil.copy(home / "model" / "schema.yaml", served)
    with processes(home, {**environment, "MODEL_PATH": served}) as parts:
        parts.redis(settings.redis.redis_port)
        stream = Stream.open(settings.redis)
        with connect_store(settings.store, timeout=60) as client:
            _start_store(parts, store, settings, home, client)
            until(lambda: _redis_answers(stream), "Redis")
            yield Place(home, parts, settings, stream, client, store)


def _redis_answers(stream: Stream) -> bool:
    try:
        return bool(stream.client.ping())
    except redis.RedisError:
        return False


def _start_store(parts: Processes, store: str, settings: Settings, home: Path, client: Elasticsearch) -> None:
    if store == "embedded":
        parts.store(settings.store.es_port)
        until(client.ping, "the store")
    else:
        node = ElasticsearchNode.prepare(home / "elasticsearch", settings.store.es_port, say)
        node = replace(node, settings=NODE_SETTINGS)
        parts.start("store", list(node.command()))
        until(node.ready, "Elasticsearch", 180)

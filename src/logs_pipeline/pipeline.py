"""The pipeline: stream → documents → store, once or continuously.

Any number of workers may run at the same time, on any number of machines; each is a consumer of one
group. A worker that is killed loses nothing: the others take over what it had in flight.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import redis
from elasticsearch import ApiError, TransportError
from loguru import logger

from vigie.errors import VigieError
from vigie.indices.routing import Epochs
from vigie.indices.store_client import connect_store, fault_of
from vigie.logs_pipeline.breaker import CircuitBreaker, backoff
from vigie.logs_pipeline.collector import MIN_IDLE_MS, Collector
from vigie.logs_pipeline.features import PresentFeatures
from vigie.logs_pipeline.filter import Context
from vigie.logs_pipeline.indexer import Indexer
from vigie.logs_pipeline.report import measure
from vigie.logs_pipeline.retention import RetentionError, apply_retention
from vigie.logs_pipeline.templates import Provisioner
from vigie.logs_pipeline.worker import Worker
from vigie.schema import FeatureSchema, load_schema
from vigie.settings import Settings
from vigie.telemetry.destination import RedisDestination
from vigie.telemetry.emitter import Emitter
from vigie.telemetry.flusher import adopt_all
from vigie.telemetry.pipeline_status import Counts, silence
from vigie.telemetry.service_report import FIRST_SECONDS, PERIOD_SECONDS, ServiceReports
from vigie.telemetry.stream import Stream
from vigie.telemetry.stream_reader import position

PATIENCE_SECONDS: Final = 30.0
"""How long a single run waits without any progress before it says what stands in its way."""
IDLE_CONSUMER_MS: Final = 600_000
"""A consumer that holds nothing and has been silent for this long is removed."""
FLUSH_SECONDS: Final = 1.0
"""How long the last report may take to reach Redis; what is left stays in the journal."""
RETENTION_SECONDS: Final = 3600.0
"""How often expired indices are looked for; the first time a minute after the start."""
FIRST_RETENTION_SECONDS: Final = 60.0
HOUSEKEEPING_SECONDS: Final = 10.0


class PipelineError(VigieError):
    """The pipeline cannot run; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a single run did."""

    counts: Counts
    seconds: float
    backlog: int
    """Events in the stream that are not settled when it ends."""
    problems: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether everything that was in the stream when it started is settled."""
        return not self.problems

    def __str__(self) -> str:
        counts = self.counts
        said = (
            f"{counts.indexed} events indexed ({counts.documents} documents), {counts.filtered} filtered, "
            f"{counts.dead} dead, in {self.seconds:.1f} s; backlog {self.backlog}"
        )
        return "; ".join((said, *self.problems))


def run_once(
    settings: Settings, *, min_idle_ms: int = MIN_IDLE_MS, patience_seconds: float = PATIENCE_SECONDS
) -> Summary:
    """Index everything that is in the stream now, then return what was done.

    Waits for entries of a dead worker until they can be taken over (`min_idle_ms`). When nothing moves
    for `patience_seconds` longer than that (the store is away, a living worker keeps its entries) it
    returns all the same, and the Summary names the problem. Raises PipelineError when Redis is away.
    """
    stop = threading.Event()
    started = time.monotonic()
    patience = patience_seconds + min_idle_ms / 1000
    problems: list[str] = []
    try:
        with _worker(settings, stop, min_idle_ms, patience) as worker:
            adopted = False
            while not adopted and not problems:
                adopted = _adopt(settings, worker.stream)
                mark = worker.stream.newest(1)
                if mark:
                    problems = _drain(worker, mark[0].id, patience)
        backlog = worker.stream.backlog()
    except redis.RedisError as error:
        host, port = settings.redis.address
        raise PipelineError(f"Redis at {host}:{port} does not answer ({error})") from error
    return Summary(worker.counts, time.monotonic() - started, backlog, tuple(problems))


def _drain(worker: Worker, mark: str, patience: float) -> list[str]:
    """Work until every entry up to `mark` is settled; return the problems that kept it from that."""
    done, since = -1, time.monotonic()
    while True:
        read = position(worker.stream.last_delivered()) >= position(mark)
        held = worker.stream.oldest_pending(mark)
        if read and held is None and worker.collector.in_flight == 0:
            return []
        found = worker.step(block_ms=50) if not read or worker.collector.in_flight == 0 else False
        if not found:
            time.sleep(0.02)
        settled = worker.stream.ledger.totals().settled
        if settled != done:
            done, since = settled, time.monotonic()
        if time.monotonic() - since > patience:
            what = f"entry {held.id} is held by worker {held.consumer}" if held else "entries are not read"
            return [worker.problem or f"no progress for {patience:.0f} s: {what}"]


def _adopt(settings: Settings, stream: RedisDestination) -> bool:
    """Ship what dead processes of this host left in their journals; False when the stream is full of it."""
    try:
        adopt_all(settings.api.vigie_home, stream)
    except OSError as error:
        logger.warning("a journal of a dead process cannot be read: {}", error)
    totals = stream.ledger.totals()
    return totals.written - totals.settled < settings.redis.redis_stream_max_entries


def run_continuously(
    settings: Settings,
    stop: threading.Event,
    *,
    min_idle_ms: int = MIN_IDLE_MS,
    report_seconds: float = PERIOD_SECONDS,
) -> None:
    """Index events as they come, until `stop` is set, with a report on itself every `report_seconds`.

    A store or Redis that is away is waited for. Raises PipelineError, ProvisionError or JournalError only
    for what waiting cannot mend.
    """
    with _worker(settings, stop, min_idle_ms, None) as worker, _reports(settings, worker, report_seconds):
        logger.info("worker {} is ready", worker.collector.consumer)
        threading.Thread(target=_keep_house, args=(settings, stop), daemon=True).start()
        problem = ""
        while not stop.is_set():
            worker.step(block_ms=1000)
            if worker.problem != problem:
                problem = worker.problem
                logger.warning(problem) if problem else logger.info("the store takes documents again")


@contextmanager
def _reports(settings: Settings, worker: Worker, period_seconds: float) -> Iterator[None]:
    """Report on the worker while it runs."""
    emitter = Emitter.start(settings, "pipeline")
    reports = ServiceReports(
        emitter,
        "pipeline",
        lambda: measure(worker),
        first_seconds=min(FIRST_SECONDS, period_seconds),
        period_seconds=period_seconds,
    )
    reports.start()
    try:
        yield
    finally:
        reports.stop()
        emitter.stop(FLUSH_SECONDS)


def _keep_house(settings: Settings, stop: threading.Event) -> None:
    """Ship the journals of dead processes and remove silent consumers every now and then, expired indices
    every hour, until `stop`."""
    stream = RedisDestination.open(settings.redis)
    retention_at = time.monotonic() + FIRST_RETENTION_SECONDS
    while not stop.is_set():
        with suppress(redis.RedisError):  # the main loop meets the same error and reports it
            _adopt(settings, stream)
            stream.release(min_idle_ms=IDLE_CONSUMER_MS)
        if time.monotonic() >= retention_at:
            retention_at = time.monotonic() + RETENTION_SECONDS
            _drop_expired(settings)
        stop.wait(HOUSEKEEPING_SECONDS)


def _drop_expired(settings: Settings) -> None:
    try:
        for drop in apply_retention(settings):
            logger.info("{}", drop)
    except RetentionError as error:
        logger.warning("indices older than RETENTION_DAYS were not dropped: {}", error)


@contextmanager
def _worker(
    settings: Settings, stop: threading.Event, min_idle_ms: int, patience: float | None
) -> Iterator[Worker]:
    """Prepare Redis and the store, yield a running worker, and leave nothing of it behind."""
    if not settings.redis.log_to_redis:
        raise PipelineError("LOG_TO_REDIS is false: events go to standard output, there is nothing to index")
    if settings.pipeline.pipeline_sources != ("redis",):
        raise PipelineError(
            f"PIPELINE_SOURCES={','.join(settings.pipeline.pipeline_sources)}: only redis is available in "
            "this version; unset it"
        )
    schema = load_schema(settings.model.model_path)
    stream = RedisDestination.open(settings.redis)
    epochs = Epochs(stream.client, settings.store)
    consumer = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    with connect_store(settings.store) as client:
        provisioner = Provisioner(client, settings.store)
        deadline = None if patience is None else time.monotonic() + patience
        _prepare_redis(stream, epochs, stop, deadline)
        _prepare_store(provisioner, schema, settings, stop, deadline)
        context = Context(
            zone=ZoneInfo(settings.api.display_timezone),
            excluded_paths=settings.api.log_exclude_paths,
            present_features=PresentFeatures(schema, provisioner.models),
        )
        indexer = Indexer(client, settings.store.url, stop, CircuitBreaker())
        collector = Collector(stream, epochs, consumer, min_idle_ms=min_idle_ms)
        with Worker(stream, collector, indexer, context, stop) as worker:
            yield worker
        with suppress(redis.RedisError):
            stream.release(consumer)
            silence(stream.client, consumer)


def _prepare_redis(stream: Stream, epochs: Epochs, stop: threading.Event, deadline: float | None) -> None:
    attempt = 0
    while not stop.is_set():
        try:
            stream.ensure_group()
            epochs.announce()
        except redis.RedisError as error:
            if deadline is not None:
                raise
            if attempt == 0:
                logger.warning("waiting for Redis: {}", error)
            stop.wait(backoff(attempt, longest=5.0))
            attempt += 1
            continue
        return


def _prepare_store(
    provisioner: Provisioner,
    schema: FeatureSchema,
    settings: Settings,
    stop: threading.Event,
    deadline: float | None,
) -> None:
    """Apply the templates, waiting for a store that is away. Raises PipelineError at `deadline`."""
    attempt = 0
    while not stop.is_set():
        try:
            changes = list(provisioner.run(schema))
        except (ApiError, TransportError) as error:
            problem = fault_of(error, settings.store.url).text
            if deadline is not None and time.monotonic() > deadline:
                raise PipelineError(f"nothing was indexed: {problem}") from error
            if attempt == 0:
                logger.warning("waiting for the store: {}", problem)
            stop.wait(backoff(attempt))
            attempt += 1
            continue
        for change in changes:
            if change.action != "unchanged":
                logger.info("{}", change)
        return

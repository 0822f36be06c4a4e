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
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import redis
from loguru import logger

from vigie.indices.routing import Epochs
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.breaker import CircuitBreaker
from vigie.logs_pipeline.bridges import Bridges
from vigie.logs_pipeline.collector import MIN_IDLE_MS, Collector
from vigie.logs_pipeline.dead_mirror import LetterMirror
from vigie.logs_pipeline.drift_watch import DriftWatch
from vigie.logs_pipeline.features import PresentFeatures
from vigie.logs_pipeline.feedback_join import OutcomeJoiner
from vigie.logs_pipeline.feedback_watch import FeedbackWatch
from vigie.logs_pipeline.filter import Context
from vigie.logs_pipeline.housekeeping import adopt, keep_house
from vigie.logs_pipeline.indexer import Indexer
from vigie.logs_pipeline.ledger_watch import LedgerWatch
from vigie.logs_pipeline.preparation import PipelineError, Preparation, StoppedError
from vigie.logs_pipeline.quality_watch import QualityWatch
from vigie.logs_pipeline.replay_watch import ReplayWatch
from vigie.logs_pipeline.report import measure
from vigie.logs_pipeline.templates import Provisioner
from vigie.logs_pipeline.worker import Worker
from vigie.schema import load_schema
from vigie.settings import Settings
from vigie.telemetry.destination import RedisDestination
from vigie.telemetry.emitter import Emitter
from vigie.telemetry.service_report import FIRST_SECONDS, PERIOD_SECONDS, ServiceReports
from vigie.telemetry.stream.pipeline_status import Counts, silence
from vigie.telemetry.stream.reader import position
from vigie.telemetry.stream.redis_faults import redis_fault

PATIENCE_SECONDS: Final = 30.0
"""How long a single run waits without any progress before it says what stands in its way."""
LEAVE_SECONDS: Final = 2.0
"""How long each answer of Redis may take at the end."""
HOPELESS_SECONDS: Final = 0.5
"""The same when Redis did not answer before."""
FLUSH_SECONDS: Final = 1.0
"""How long the last report may take to reach Redis; what is left stays in the journal."""


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
    settings: Settings,
    stop: threading.Event | None = None,
    *,
    min_idle_ms: int = MIN_IDLE_MS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Summary:
    """Index everything that is in the stream and at the other sources now, then return what was done.

    Waits for entries of a dead worker until they can be taken over (`min_idle_ms`). When nothing moves
    for `patience_seconds` longer than that (the store is away, a living worker keeps its entries) it
    returns all the same, and the Summary names the problem; so it does when `stop` is set. Raises
    PipelineError when Redis is away.
    """
    stop = stop or threading.Event()
    started = time.monotonic()
    patience = patience_seconds + min_idle_ms / 1000
    problems: list[str] = []
    try:
        with (
            _worker(settings, stop, min_idle_ms, patience) as worker,
            closing(Bridges.open(settings, stop)) as bridges,
        ):
            adopted = False
            while not adopted and not problems and not stop.is_set():
                adopted = adopt(settings, worker.stream) and bridges.move_waiting()
                mark = worker.stream.newest(1)
                if mark:
                    problems = _drain(worker, mark[0].id, patience, stop)
            LetterMirror(worker.stream.client, settings.store).run(stop)
            FeedbackWatch(settings).look(whole=True)
            problems += filter(None, [bridges.problem])
        backlog = worker.stream.backlog()
    except StoppedError:
        raise PipelineError("stopped before anything was indexed") from None
    except redis.RedisError as error:
        host, port = settings.redis.address
        raise PipelineError(redis_fault(error).told(f"Redis at {host}:{port}")) from error
    return Summary(worker.counts, time.monotonic() - started, backlog, tuple(problems))


def _drain(worker: Worker, mark: str, patience: float, stop: threading.Event) -> list[str]:
    """Work until every entry up to `mark` is settled; return the problems that kept it from that."""
    done, since = -1, time.monotonic()
    while True:
        read = position(worker.stream.last_delivered()) >= position(mark)
        held = worker.stream.oldest_pending(mark)
        if read and held is None and worker.collector.in_flight == 0:
            return []
        if stop.is_set():
            return ["stopped before everything was indexed"]
        found = worker.step(block_ms=50) if not read or worker.collector.in_flight == 0 else False
        if not found:
            time.sleep(0.02)
        settled = worker.stream.ledger.totals().settled
        if settled != done:
            done, since = settled, time.monotonic()
        if time.monotonic() - since > patience:
            what = f"entry {held.id} is held by worker {held.consumer}" if held else "entries are not read"
            return [worker.problem or f"no progress for {patience:.0f} s: {what}"]


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
    with (
        suppress(StoppedError),
        _worker(settings, stop, min_idle_ms, None) as worker,
        _reports(settings, worker, report_seconds),
        Bridges.open(settings, stop) as bridges,
    ):
        worker.sources_problem = lambda: bridges.problem
        logger.info("worker {} is ready", worker.collector.consumer)
        threading.Thread(target=keep_house, args=(settings, stop, worker.guard), daemon=True).start()
        problem = ""
        while not stop.is_set():
            worker.step(block_ms=1000)
            if worker.problem != problem:
                problem = worker.problem
                logger.warning(problem) if problem else logger.info("the store takes documents again")


@contextmanager
def _reports(settings: Settings, worker: Worker, period_seconds: float) -> Iterator[None]:
    """Report on the worker, the ledger, drift and quality, join outcomes and replay, while it runs."""
    emitter = Emitter.start(settings, "pipeline")
    watch = LedgerWatch(settings, worker.guard)
    reports = ServiceReports(
        emitter,
        "pipeline",
        lambda: measure(worker, watch),
        first_seconds=min(FIRST_SECONDS, period_seconds),
        period_seconds=period_seconds,
    )
    drift_watch = DriftWatch(settings, worker.guard)
    feedback_watch = FeedbackWatch(settings, worker.guard)
    quality_watch = QualityWatch(settings, worker.guard)
    replay_watch = ReplayWatch(settings, worker.guard)
    reports.start()
    watch.start()
    drift_watch.start()
    feedback_watch.start()
    quality_watch.start()
    replay_watch.start()
    try:
        yield
    finally:
        replay_watch.stop()
        quality_watch.stop()
        feedback_watch.stop()
        drift_watch.stop()
        watch.stop()
        reports.stop()
        emitter.stop(FLUSH_SECONDS)


@contextmanager
def _worker(
    settings: Settings, stop: threading.Event, min_idle_ms: int, patience: float | None
) -> Iterator[Worker]:
    """Prepare Redis and the store, yield a running worker, and leave nothing of it behind.

    Raises StoppedError when the stop comes first.
    """
    if not settings.redis.log_to_redis:
        raise PipelineError("LOG_TO_REDIS is false: events go to standard output, there is nothing to index")
    schema = load_schema(settings.model.model_path)
    stream = RedisDestination.open(settings.redis)
    epochs = Epochs(stream.client, settings.store)
    consumer = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    with connect_store(settings.store) as client:
        provisioner = Provisioner(client, settings.store)
        deadline = None if patience is None else time.monotonic() + patience
        leave_seconds = LEAVE_SECONDS
        try:
            Preparation(settings, stream, consumer, stop, deadline).run(epochs, provisioner, schema)
            context = Context(
                zone=ZoneInfo(settings.api.display_timezone),
                excluded_paths=settings.api.log_exclude_paths,
                present_features=PresentFeatures(schema, provisioner.models),
            )
            indexer = Indexer(client, settings.store.url, stop, CircuitBreaker())
            collector = Collector(stream, epochs, consumer, min_idle_ms=min_idle_ms)
            joiner = OutcomeJoiner(client, settings.store.es_index_prefix)
            with Worker(stream, collector, indexer, context, stop, joiner) as worker:
                yield worker
                leave_seconds = HOPELESS_SECONDS if worker.redis_away else LEAVE_SECONDS
        finally:
            _leave(settings, consumer, leave_seconds)


def _leave(settings: Settings, consumer: str, seconds: float) -> None:
    """Hand over what is not finished and take the consumer away; a Redis that hangs holds up nobody."""
    stream = RedisDestination.open(settings.redis, timeout=seconds)
    with suppress(redis.RedisError):
        if handed := stream.hand_over(consumer):
            logger.info("{} entries are handed over to the other workers", handed)
        stream.release(consumer)
        silence(stream.client, consumer)
    stream.client.close()

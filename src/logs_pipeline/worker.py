"""One worker: collects, filters, indexes and settles, with a bounded number of batches in flight."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Final

import redis
from loguru import logger

from vigie.logs_pipeline.breaker import backoff
from vigie.logs_pipeline.collector import BATCH, BATCH_BYTES, Collector, Delivery
from vigie.logs_pipeline.feedback_join import OutcomeJoiner
from vigie.logs_pipeline.filter import Context, Dropped, PoisonError, documents_of
from vigie.logs_pipeline.guard import Guard
from vigie.logs_pipeline.indexer import Indexer, Job
from vigie.logs_pipeline.suspects import Suspects
from vigie.telemetry.destination import RedisDestination
from vigie.telemetry.stream.pipeline_status import Counts, beat
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import StreamEntry, Verdict

THREADS: Final = 3
"""Batches in hand at once: one is filtered or settled while the store takes two others."""
MOST_IN_FLIGHT: Final = THREADS * BATCH
"""Entries in flight beyond which nothing is read."""
MOST_BYTES_IN_FLIGHT: Final = 2 * BATCH_BYTES
"""The same in bytes of their events: what a worker holds in memory is bounded however large they are."""
STOP_SECONDS: Final = 3.0
"""How long a batch may take to end after the stop; what is left is handed over to the other workers."""


class Worker:
    """Runs the steps of the pipeline for what its collector finds."""

    def __init__(
        self,
        stream: RedisDestination,
        collector: Collector,
        indexer: Indexer,
        context: Context,
        stop: threading.Event,
        joiner: OutcomeJoiner,
    ) -> None:
        self.stream = stream
        self.collector = collector
        self.indexer = indexer
        self._context = context
        self._joiner = joiner
        self._stop = stop
        self._batches: queue.Queue[Delivery] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._filtering = threading.Lock()
        self._suspects = Suspects(stream.client)
        self._counts = Counts()
        self._redis_problem = ""
        self._redis_failures = 0
        self.guard = Guard()
        """Runs its threads' jobs, and those of the housekeeping; what fails is told in the heartbeat."""
        self.sources_problem: Callable[[], str] = str
        """What stands in the way of the bridges; told in the heartbeat, no reason to stop indexing."""

    def __enter__(self) -> Worker:
        bodies = [self._work] * THREADS + [self._keep_alive]
        self._threads = [threading.Thread(target=body, daemon=True) for body in bodies]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def counts(self) -> Counts:
        """What it has done so far."""
        self._counts.retried = self.indexer.retried
        self._counts.taken_over = self.collector.taken_over
        self._counts.vanished = self.collector.vanished
        return self._counts

    @property
    def redis_away(self) -> bool:
        """Whether Redis failed the last time it was asked."""
        return bool(self._redis_problem)

    @property
    def problem(self) -> str:
        """Why it does not get on, with the remedy; empty when it does."""
        return self._redis_problem or self.indexer.breaker.reason or ""

    def step(self, block_ms: int) -> bool:
        """Hand one round of entries to the threads; False when there were none.

        A failing Redis is waited out, a little longer each time. While the threads have enough to do
        nothing is read, so that a slow store slows the reading and nothing grows without limit.
        """
        held = self.collector
        if held.in_flight > MOST_IN_FLIGHT or held.in_flight_bytes > MOST_BYTES_IN_FLIGHT:
            self._stop.wait(0.02)
            return True
        try:
            deliveries = self.collector.collect(block_ms)
        except redis.RedisError as error:
            self._redis_failed(error)
            return True
        # Handed over before Redis is asked anything else: what is in flight here is in nobody else's hands.
        for delivery in deliveries:
            with self._lock:
                self._counts.read += len(delivery.entries)
            self._batches.put(delivery)
        try:
            self.stream.trim()
        except redis.RedisError as error:
            self._redis_failed(error)
            return True
        self._redis_answered()
        return bool(deliveries)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                delivery = self._batches.get(timeout=0.2)
            except queue.Empty:
                continue
            with self.guard.job("working off a batch"):
                self._work_off(delivery)

    def _work_off(self, delivery: Delivery) -> None:
        """Process `delivery`; what fails comes again, also when the failure itself cannot be dealt with."""
        try:
            self.process(delivery)
        except Exception as error:  # noqa: BLE001 - a fault of one batch must not end the worker
            try:
                self._failed(delivery, error)
            except Exception:
                self._stop.wait(backoff(1))
                self.collector.abandoned([entry for entry, _ in delivery.entries])
                raise

    def process(self, delivery: Delivery) -> None:
        """Filter, index and settle the entries of `delivery`; returns early when stop is set."""
        jobs: list[Job] = []
        verdicts: list[Verdict] = []
        with self._filtering:  # one batch at a time: if the process ends on a suspect, it was that
            for entry, epoch in delivery.entries:
                try:
                    with self._suspects.alone(entry.id) if delivery.suspect else nullcontext():
                        documents = documents_of(entry, epoch, self._context)
                    jobs.append(Job(entry, documents, delivery.suspect))
                except Dropped:
                    verdicts.append(Verdict(entry, "filtered"))
                except PoisonError as error:
                    verdicts.append(_dead(entry, str(error)))
        self._settle(verdicts)
        outcomes = [job for job in jobs if job.has_outcome]
        if outcomes:
            jobs = [job for job in jobs if not job.has_outcome]
        self.indexer.index(jobs, self._settle)
        if outcomes and not self._stop.is_set():  # after the predictions that they may belong to
            self._join(outcomes)
            self.indexer.index(outcomes, self._settle)

    def _join(self, jobs: Sequence[Job]) -> None:
        """Join the outcomes of `jobs` with predictions, by one request for all."""
        documents = self._joiner.join([document for job in jobs for document in job.documents])
        remaining = iter(documents)
        for job in jobs:
            job.documents = [next(remaining) for _ in job.documents]

    def _settle(self, verdicts: Sequence[Verdict]) -> None:
        """Settle, again and again while Redis is away: a settled event settles only once.

        What the store took as the stop came is still settled, by one attempt.
        """
        while verdicts:
            try:
                self.stream.settle(verdicts)
            except redis.RedisError as error:
                self._redis_failed(error)
                if self._stop.is_set():
                    return
                continue
            self._redis_answered()
            self.collector.finished(verdict.entry for verdict in verdicts)
            self._count(verdicts)
            return

    def _count(self, verdicts: Sequence[Verdict]) -> None:
        states = Counter(verdict.state for verdict in verdicts)
        with self._lock:
            self._counts.indexed += states["indexed"]
            self._counts.filtered += states["filtered"]
            self._counts.dead += states["dead"]
            self._counts.documents += sum(sum(verdict.documents.values()) for verdict in verdicts)

    def _failed(self, delivery: Delivery, error: Exception) -> None:
        """A fault of ours: the entries come again, one by one in the end; what fails alone is dead."""
        if self._stop.is_set():
            return
        if isinstance(error, redis.RedisError):
            self._redis_failed(error)
            self.collector.abandoned([entry for entry, _ in delivery.entries])
            return
        logger.opt(exception=error).error("a batch of {} entries failed", len(delivery.entries))
        entries = [entry for entry, _ in delivery.entries]
        if delivery.suspect:
            self._settle([_dead(entry, f"processing failed: {error!r}") for entry in entries])
        else:
            self._stop.wait(backoff(1))
            self.collector.abandoned(entries)

    def _keep_alive(self) -> None:
        """Renew the entries in flight every third of the idle time, and beat."""
        while True:
            sources_problem = ""
            with self.guard.job("renewing the entries in flight"):
                self.collector.renew()
            with self.guard.job("asking how the bridges do"):
                sources_problem = self.sources_problem()
            with self.guard.job("the heartbeat"):
                problem = self.problem or self.guard.problem or sources_problem
                beat(self.stream.client, self.collector.consumer, self.counts, problem)
            if self._stop.wait(min(2.0, self.collector.min_idle_ms / 3000)):
                return

    def _redis_failed(self, error: redis.RedisError) -> None:
        if not self._redis_problem:
            logger.warning("Redis: {}", error)
        self._redis_problem = redis_fault(error).told()
        self._redis_failures += 1
        self._stop.wait(backoff(self._redis_failures, longest=5.0))

    def _redis_answered(self) -> None:
        if self._redis_problem:
            logger.info("Redis answers again")
        self._redis_problem = ""
        self._redis_failures = 0


def _dead(entry: StreamEntry, reason: str) -> Verdict:
    return Verdict(entry, "dead", {}, reason)

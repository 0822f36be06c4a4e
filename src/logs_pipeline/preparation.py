"""Before the first event: the consumer group, the routing and the templates, waited for if need be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import redis
from elasticsearch import ApiError, TransportError
from loguru import logger

from vigie.errors import VigieError
from vigie.indices.routing import Epochs
from vigie.indices.store_client import fault_of
from vigie.logs_pipeline.breaker import LONGEST_PROBE_PAUSE_SECONDS, backoff
from vigie.logs_pipeline.templates import Provisioner
from vigie.schema import FeatureSchema
from vigie.settings import Settings
from vigie.telemetry.stream.pipeline_status import Counts, beat
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import Stream


class PipelineError(VigieError):
    """The pipeline cannot run; the message says why and what to do."""


class StoppedError(Exception):
    """The stop came before the pipeline was ready."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a worker does before it reads. While it waits, its heartbeat says for what."""

    settings: Settings
    stream: Stream
    consumer: str
    stop: threading.Event
    deadline: float | None = None
    """When to give up, on the monotonic clock; None: never."""

    def run(self, epochs: Epochs, provisioner: Provisioner, schema: FeatureSchema) -> None:
        """Make everything ready, waiting for Redis and store.

        Raises StoppedError as soon as the stop comes, however long Redis or the store hang; PipelineError at
        the deadline; ProvisionError for what waiting cannot mend.
        """
        failures: list[BaseException] = []

        def work() -> None:
            try:
                self._redis(epochs)
                self._store(provisioner, schema)
            except BaseException as error:  # noqa: BLE001 - raised again below, by the thread that asked
                failures.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while thread.is_alive() and not self.stop.is_set():
            thread.join(0.1)
        if self.stop.is_set():
            raise StoppedError
        if failures:
            raise failures[0]

    def _redis(self, epochs: Epochs) -> None:
        def attempt() -> str:
            try:
                self.stream.ensure_group()
                epochs.announce()
            except redis.RedisError as error:
                if self.deadline is not None:
                    raise
                return redis_fault(error).told()
            return ""

        self._until_done("waiting for Redis", attempt)

    def _store(self, provisioner: Provisioner, schema: FeatureSchema) -> None:
        def attempt() -> str:
            try:
                changes = list(provisioner.run(schema))
            except (ApiError, TransportError) as error:
                problem = fault_of(error, self.settings.store.url).text
                if self.deadline is not None and time.monotonic() > self.deadline:
                    raise PipelineError(f"nothing was indexed: {problem}") from error
                return problem
            for change in changes:
                if change.action != "unchanged":
                    logger.info("{}", change)
            return ""

        self._until_done("waiting for the store", attempt)

    def _until_done(self, what: str, attempt: Callable[[], str]) -> None:
        """Call `attempt` until it names no problem; tell each new problem once."""
        failures, told = 0, ""
        while not self.stop.is_set() and (problem := attempt()):
            if problem != told:
                told = problem
                logger.warning("{}: {}", what, problem)
            with suppress(redis.RedisError):
                beat(self.stream.client, self.consumer, Counts(), problem)
            self.stop.wait(backoff(failures, LONGEST_PROBE_PAUSE_SECONDS))
            failures += 1

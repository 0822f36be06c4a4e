"""Answering GET /metrics for all worker processes of the API, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import redis
from loguru import logger

from vigie.api.served_model import ServedModel
from vigie.errors import VigieError
from vigie.settings import Settings
from vigie.telemetry.emitter import EmitterStatus
from vigie.telemetry.flusher import TELEMETRY_THREAD
from vigie.telemetry.metrics import catalogue
from vigie.telemetry.metrics.delivery import delivery_samples
from vigie.telemetry.metrics.exposition import exposition
from vigie.telemetry.metrics.figures import Figures
from vigie.telemetry.metrics.process import (
    emitter_samples,
    model_samples,
    observer_samples,
    observer_time,
    process_samples,
)
from vigie.telemetry.metrics.samples import Samples
from vigie.telemetry.metrics.workers import WorkerFiles
from vigie.telemetry.stream.stream import connect

REDIS_SECONDS: Final = 0.5
"""Longest wait for an answer of Redis."""
SCRAPE_SECONDS: Final = 2.0
"""Longest wait for all of them; a Redis that drips must not hold the scrape."""
PUBLISH_SECONDS: Final = 1.0
"""Pause between two looks at the figures, for the other workers."""


class MetricsReader:
    """Answers /metrics; `start` and `close` belong to the process that serves."""

    def __init__(
        self,
        settings: Settings,
        figures: Figures,
        served: Callable[[], ServedModel],
        telemetry: Callable[[], EmitterStatus],
    ) -> None:
        self._settings = settings
        self._figures = figures
        self._served = served
        self._telemetry = telemetry
        self._files: WorkerFiles | None = None
        self._thread = ThreadPoolExecutor(2, thread_name_prefix="metrics")
        self._redis = connect(settings.redis, timeout=REDIS_SECONDS)
        self._asked: asyncio.Future[Samples] | None = None
        self._publisher: _Publisher | None = None

    def start(self) -> None:
        """Take a place among the workers. Raises VigieError when VIGIE_HOME cannot be written."""
        api = self._settings.api
        if api.api_workers == 1:
            return
        try:
            self._files = WorkerFiles(api.vigie_home, api.api_port)
        except OSError as error:
            raise VigieError(
                f"the workers cannot share their figures under {api.vigie_home}: {error}. Set VIGIE_HOME to "
                "a folder you can write"
            ) from error
        self._publisher = _Publisher(self.publish)
        self._publisher.start()

    async def read(self, accept: str) -> tuple[bytes, str]:
        """Return the text, and its content type, as the Accept header wants it."""
        redis_samples = await self._delivery()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._text, redis_samples, accept)

    def publish(self) -> None:
        """Show this worker's figures to the others. Raises OSError."""
        if self._files is not None:
            self._files.publish(self._own())

    def close(self) -> None:
        """Leave the place, so that the next worker goes on counting there, and end the threads."""
        if self._publisher is not None:
            self._publisher.stop()
        if self._files is not None:
            self.publish()
            self._files.leave()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._redis.close()

    def _text(self, redis_samples: Samples, accept: str) -> tuple[bytes, str]:
        own = self._own()
        everybodys = own if self._files is None else self._files.exchange(own)
        return exposition({**everybodys, **redis_samples}, accept)

    def _own(self) -> Samples:
        status, served = self._telemetry(), self._served()
        return {
            **self._figures.samples(),
            **emitter_samples(status),
            **observer_samples(observer_time(status, self._figures)),
            **model_samples(served.identity, served.predictor.budget.balance_seconds),
            **process_samples(),
        }

    async def _delivery(self) -> Samples:
        """Ask Redis, one question for all who want to know at the same time."""
        if not self._settings.redis.log_to_redis:
            return {}
        # The flusher notices first, and then no scrape has to wait for a time-out.
        if self._telemetry().redis_error is not None:
            return _REDIS_AWAY
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().run_in_executor(self._thread, self._ask)
        await asyncio.wait([self._asked], timeout=SCRAPE_SECONDS)
        return self._asked.result() if self._asked.done() else _REDIS_AWAY

    def _ask(self) -> Samples:
        try:
            return {**delivery_samples(self._redis), (catalogue.REDIS_UP.name, ()): [1]}
        except redis.RedisError:
            return _REDIS_AWAY


_REDIS_AWAY: Final[Samples] = {(catalogue.REDIS_UP.name, ()): [0]}


class _Publisher(threading.Thread):
    """Publishes until stopped."""

    def __init__(self, publish: Callable[[], None]) -> None:
        super().__init__(name=f"{TELEMETRY_THREAD}-metrics", daemon=True)
        self._publish = publish
        self._stopping = threading.Event()

    def run(self) -> None:
        """Publish at once, so that nothing of a predecessor is taken for this worker's, then every second."""
        told = ""
        while True:
            try:
                self._publish()
                told = ""
            except OSError as error:
                if told != str(error):  # once, not every second
                    told = str(error)
                    logger.warning("the figures of this worker cannot be shown to the others: {}", told)
            if self._stopping.wait(PUBLISH_SECONDS):
                return

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self.join()

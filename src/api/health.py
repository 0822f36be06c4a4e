"""Can it serve: the golden row, the journal, and what is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import httpx
import redis
from loguru import logger

from vigie.api.delivery import PipelineCheck, journal_broken, journal_growing
from vigie.model.model_loader import LoadedModel
from vigie.settings import Settings, StoreSettings
from vigie.telemetry.emitter import EmitterStatus
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import connect

PROBE_SECONDS = 0.5
"""Longest wait for Redis or the store."""
FRESH_SECONDS = 1.0
"""How long the answer of a probe stands."""

Found = TypeVar("Found")


class Cached(Generic[Found]):
    """The result of a probe, asked for at most once per FRESH_SECONDS however many want to know."""

    def __init__(self, probe: Callable[[], Awaitable[Found]]) -> None:
        self._probe = probe
        self._asked: asyncio.Task[Found] | None = None
        self._at = 0.0

    async def get(self) -> Found:
        """Return the latest result, at most FRESH_SECONDS old; whoever asks meanwhile shares one probe."""
        if self._asked is None or (self._asked.done() and time.monotonic() - self._at > FRESH_SECONDS):
            self._asked = asyncio.ensure_future(self._timed())
        return await asyncio.shield(self._asked)

    async def _timed(self) -> Found:
        try:
            return await self._probe()
        finally:
            self._at = time.monotonic()


class Health:
    """Answers /health and /readyz."""

    def __init__(
        self,
        model: Callable[[], LoadedModel],
        telemetry: Callable[[], EmitterStatus],
        refusal: Callable[[], str | None],
        settings: Settings,
    ) -> None:
        """`refusal` returns why what is at MODEL_PATH is not the `model`."""
        self._model = model
        self._telemetry = telemetry
        self._refusal = refusal
        self._settings = settings
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="health")
        self._redis = connect(settings.redis, timeout=PROBE_SECONDS)
        self._pipeline = PipelineCheck(self._redis, settings)
        self._store = store_client(settings.store)
        self._golden = Cached(self._check_golden)
        self._redis_away = Cached(self._check_redis)
        self._store_away = Cached(self._check_store)
        self._pipeline_stands = Cached(self._check_pipeline)

    async def report(self) -> tuple[bool, dict[str, Any]]:
        """Return whether it can serve, and the document that says how it is."""
        broken_model, redis_away, store_away, pipeline_stands = await asyncio.gather(
            self._golden.get(), self._redis_away.get(), self._store_away.get(), self._pipeline_stands.get()
        )
        telemetry = self._telemetry()
        broken_journal = journal_broken(telemetry, self._settings)
        broken = [reason for reason in (broken_model, broken_journal) if reason]
        refused = self._refusal()
        package = None if refused is None else f"the package at MODEL_PATH is not served: {refused}"
        away = [reason for reason in (redis_away, store_away, pipeline_stands, package) if reason]
        growing = journal_growing(telemetry, self._settings)
        away += growing
        model = self._model()
        status = "unavailable" if broken else "degraded" if away else "ok"
        return not broken, {
            "status": status,
            "reasons": [*broken, *away],
            "stages": {
                "model": broken_model or package,
                "journal": broken_journal or "; ".join(growing) or None,
                "redis": redis_away,
                "pipeline": pipeline_stands,
                "store": store_away,
            },
            "model": {
                "name": model.schema.name,
                "version": model.version,
                "runtime": model.runtime_name,
                "runtime_reason": model.runtime_reason,
            },
            "redis": "off" if not self._settings.redis.log_to_redis else "away" if redis_away else "ok",
            "store": "away" if store_away else "ok",
            "producer": telemetry.producer,
            "backlog": telemetry.backlog,
            "journal_bytes": telemetry.journal_bytes,
            "dropped": telemetry.dropped,
        }

    async def close(self) -> None:
        """Close the connections and let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._redis.close()
        await self._store.aclose()

    async def _check_golden(self) -> str | None:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._golden_answer)

    def _golden_answer(self) -> str | None:
        try:
            right = self._model().golden_ok()
        except Exception as error:  # noqa: BLE001 - a model may raise anything; health must still answer
            logger.opt(exception=error).error("the golden rows could not be predicted")
            right = False
        return None if right else "the model does not answer its golden rows as when it was trained"

    async def _check_redis(self) -> str | None:
        if not self._settings.redis.log_to_redis:
            return None
        # The flusher notices first, and then nobody has to wait for a probe to time out.
        fault = self._telemetry().redis_error
        if fault is None:
            fault = await asyncio.get_running_loop().run_in_executor(self._threads, self._ping)
        if fault is None:
            return None
        host, port = self._settings.redis.address
        known = redis_fault(fault)
        what = known.what.replace("does not answer", "is away")
        return f"Redis at {host}:{port} {what}: events wait in the journal; {known.remedy}"

    def _ping(self) -> str | None:
        try:
            self._redis.ping()
        except redis.RedisError as error:
            return f"{type(error).__name__}: {error}"
        return None

    async def _check_pipeline(self) -> str | None:
        if not self._settings.redis.log_to_redis or self._telemetry().redis_error is not None:
            return None
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._pipeline.problem)

    async def _check_store(self) -> str | None:
        store = self._settings.store
        try:
            # The limits of httpx are per operation; a server that drips must not hold the probe either.
            async with asyncio.timeout(PROBE_SECONDS):
                answer = await self._store.get("/")
        except (httpx.HTTPError, TimeoutError) as error:
            return (
                f"the store at {store.url} is away ({type(error).__name__}): events wait to be indexed; "
                "start it, or check ES_HOST and ES_PORT"
            )
        if answer.is_server_error:
            return (
                f"the store at {store.url} answers {answer.status_code}: events wait to be indexed; see the "
                "store's own log"
            )
        return None


def store_client(store: StoreSettings) -> httpx.AsyncClient:
    """Return a client for the store's REST interface, with its credentials."""
    headers, user = {}, None
    if store.es_api_key is not None:
        headers["authorization"] = f"ApiKey {store.es_api_key.get_secret_value()}"
    elif store.es_username is not None and store.es_password is not None:
        user = (store.es_username, store.es_password.get_secret_value())
    return httpx.AsyncClient(
        base_url=store.url,
        headers=headers,
        auth=user,
        timeout=PROBE_SECONDS,
        verify=str(store.es_ca_certs) if store.es_ca_certs else True,
        trust_env=False,
    )

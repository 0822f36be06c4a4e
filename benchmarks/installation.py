"""An installation to measure: the reference model, a Redis and APIs of its own, and an account of its events.

Every answer that makes an event is on the account. `balance` says whether all of them arrived, each once and
none dropped: a measurement counts only then.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx
import orjson
import redis
from contestants import LOAD_CORE, Contestant, example_folder, start, vigie_command
from load import Request, on_core
from platform_parts import ROOT, Processes, free_port, processes, until

from vigie.model.training import train
from vigie.schema import load_schema
from vigie.settings import Settings, load_settings
from vigie.telemetry.stream.stream import Stream

NO_EVENTS: Final = [sys.executable, str(Path(__file__).parent / "no_events.py")]
"""Command of an API that makes no events."""
STRAYS: Final = 20
"""Events that may come while an API makes none: the reports of all that run."""
DRAIN_SECONDS: Final = 600.0
RESTING_SECONDS: Final = 0.3
"""Time without a new event after which no more are on their way: journals are shipped every 20 ms."""
RESTING_LOOKS: Final = 6


@dataclass(frozen=True, slots=True)
class Balance:
    """What became of the answers that make events."""

    answered: int
    written: int
    """Events in the stream, reports and application logs among them."""
    dropped: int
    stored: int | None
    """Documents of predictions in the store; None when they were not indexed."""
    verified: bool | None
    """Whether `vigie verify` balanced; None when it was not asked."""

    @property
    def holds(self) -> bool:
        """Whether nothing is missing or dropped, as far as was looked."""
        stored = self.stored is None or self.stored >= self.answered
        return self.written >= self.answered and not self.dropped and stored and self.verified is not False


class Installation:
    """Redis and APIs, each a process of its own; servers and load on cores of their own."""

    def __init__(self, parts: Processes, settings: Settings) -> None:
        self.parts = parts
        self.settings = settings
        self.home = parts.home
        self.stream = Stream.open(settings.redis, timeout=30)
        self.request = Request(
            settings.api.api_port, "/predict", orjson.dumps(load_schema(example_folder()).example())
        )
        self.answered = 0
        """Events that have to be there."""
        self._seen = 0

    def api(self, name: str = "Vigie", environment: Mapping[str, object] | None = None) -> Contestant:
        """Start `vigie api`; each of its answers is on the account, and counted once its event is written."""
        port = free_port()
        request = replace(self.request, port=port)
        one = start(
            self.parts, name, vigie_command("api"), request, {**(environment or {}), "API_PORT": port}
        )
        self.answered += 1  # the answer by which it was seen to be up
        return replace(one, after=self.wait_for)

    def api_without_events(self) -> Contestant:
        """Start an API that makes no events, and checks after each round that it made none."""
        port = free_port()
        name = "Vigie, no events"
        off = {"ENABLE_PERFORMANCE_MONITORING": "false", "API_PORT": port}
        one = start(self.parts, name, NO_EVENTS, replace(self.request, port=port), off)
        return replace(one, after=self._demand_none)

    def wait_for(self, events: int) -> None:
        """Put `events` on the account and return once the stream has all that are on it, and grows no more.

        The load ends with requests on their way, whose answers it does not count: their events come too.
        """
        self.answered += events
        until(lambda: self.written() >= self.answered, "the events of what was answered", DRAIN_SECONDS)
        until(self._rests, "the stream to rest", DRAIN_SECONDS)

    def _rests(self) -> bool:
        self._seen = self.written()
        for _ in range(RESTING_LOOKS):
            time.sleep(RESTING_SECONDS / RESTING_LOOKS)
            if self.written() != self._seen:
                return False
        return True

    def written(self) -> int:
        """Return how many events were ever written to the stream."""
        return self.stream.ledger.totals().written

    def _demand_none(self, requests: int) -> None:
        before, self._seen = self._seen, self.written()
        if self._seen - before > STRAYS:
            raise RuntimeError(
                f"the API without events answered {requests} requests and wrote {self._seen - before} events"
            )

    def clear(self) -> None:
        """Settle what is in the stream as cleared, and delete it: room for the next round."""
        self.stream.clear(force=True)

    def index(self) -> None:
        """Index what is in the stream, by a pipeline of its own that ends when it is done."""
        if "store" not in self.parts.running:
            self.parts.store(self.settings.store.es_port)
        self._run("pipeline", "once")

    def balance(self, *, indexed: bool) -> Balance:
        """Return what became of the answers; with `indexed` the store and `vigie verify` are asked too."""
        totals = self.stream.ledger.totals()
        if not indexed:
            return Balance(self.answered, totals.written, totals.declared, None, None)
        self.index()
        verified = self._run("verify", check=False) == 0
        return Balance(self.answered, totals.written, totals.declared, self._stored(), verified)

    def _stored(self) -> int:
        url = f"http://127.0.0.1:{self.settings.store.es_port}/ml-api-message/_count"
        query = {"query": {"bool": {"filter": [{"term": {"doc_type": "prediction"}}]}}}
        return int(httpx.post(url, json=query, timeout=60).raise_for_status().json()["count"])

    def _run(self, *arguments: str, check: bool = True) -> int:
        environment = {**os.environ, **self.parts.environment}
        return subprocess.run(
            vigie_command(*arguments), env=environment, cwd=ROOT, check=check, stdout=sys.stderr
        ).returncode


@contextmanager
def installation() -> Iterator[Installation]:
    """Train the reference model and start a Redis; everything ends and goes with the context."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        train(example_folder(), home / "model")
        environment = {
            **{name: free_port() for name in ("REDIS_PORT", "API_PORT", "ES_PORT")},
            "VIGIE_HOME": home / "home",
            "MODEL_PATH": home / "model",
            "REDIS_HOST": "127.0.0.1",
            "ES_HOST": "127.0.0.1",
            "REDIS_STREAM_MAX_ENTRIES": 20_000_000,
        }
        settings = load_settings({name: str(value) for name, value in environment.items()}, None)
        with processes(home, environment) as parts:
            parts.redis(settings.redis.redis_port, on_core(LOAD_CORE))
            one = Installation(parts, settings)
            until(lambda: _pings(one), "Redis")
            yield one


def _pings(one: Installation) -> bool:
    try:
        return bool(one.stream.client.ping())
    except redis.RedisError:
        return False

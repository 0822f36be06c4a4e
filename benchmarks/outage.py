"""What callers notice of Redis and the store being down together: nothing; later everything is stored.

`python benchmarks/outage.py` [--normal-seconds 60] [--seconds 300] [--rate 200]

The whole platform as processes on this machine. Predictions arrive at a steady rate, each sent when it is
due whether or not the others are answered, first with everything up, then with Redis and store killed
(SIGKILL), then while both are back and the pipeline catches up. Exit status 1 when a prediction failed,
when an event was dropped, when the ledger does not balance, or when an answered prediction is not stored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import redis
from platform_parts import ROOT, Processes, free_port, processes, until

from vigie.model.cohort import draw
from vigie.model.training import train
from vigie.schema import load_schema
from vigie.settings import Settings, load_settings
from vigie.telemetry.stream.stream import Stream
from vigie.terminal import say

CATCH_UP_DEADLINE_SECONDS = 900.0


@dataclass
class Caller:
    """Sends predictions at a steady rate and remembers each answer under the phase it was sent in."""

    url: str
    rate: float
    records: list[dict[str, object]]
    phase: str = "warm-up"
    latencies_ms: dict[str, list[float]] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    answered: set[str] = field(default_factory=set)
    done: bool = False

    async def send(self) -> None:
        """Send until `done`."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        async with httpx.AsyncClient(base_url=self.url, timeout=30, limits=limits) as client:
            due, number = time.perf_counter(), 0
            async with asyncio.TaskGroup() as running:
                while not self.done:
                    running.create_task(self._one(client, self.records[number % len(self.records)]))
                    number += 1
                    due += 1 / self.rate
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _one(self, client: httpx.AsyncClient, record: dict[str, object]) -> None:
        phase, began = self.phase, time.perf_counter()
        try:
            answer = await client.post("/predict", json=record)
        except httpx.HTTPError:
            self.failed[phase] += 1
            return
        if answer.status_code != 200:
            self.failed[phase] += 1
            return
        self.latencies_ms.setdefault(phase, []).append((time.perf_counter() - began) * 1000)
        self.answered.add(answer.json()["transaction_id"])

    def rate_reached(self, phase: str, seconds: float) -> float:
        """Return how many were sent per second of a phase; far below `rate` the machine was too busy."""
        return (len(self.latencies_ms.get(phase, [])) + self.failed[phase]) / seconds

    def figures(self, phase: str) -> dict[str, object]:
        """Return what happened in a phase."""
        found = sorted(self.latencies_ms.get(phase, [0.0]))
        return {
            "answered": len(found),
            "failed": self.failed[phase],
            "median_ms": round(statistics.median(found), 2),
            "p99_ms": round(found[int(len(found) * 0.99)], 2),
        }


@dataclass
class Platform:
    """The services of the benchmark."""

    parts: Processes
    settings: Settings

    @property
    def api_url(self) -> str:
        """Where the API listens."""
        return f"http://127.0.0.1:{self.settings.api.api_port}"

    def servers_up(self) -> None:
        """Start Redis and store, and wait until they answer."""
        self.parts.redis(self.settings.redis.redis_port)
        self.parts.store(self.settings.store.es_port)
        until(self._redis_answers, "Redis")
        until(lambda: reached(self.settings.store.url), "the store")

    def services_up(self) -> None:
        """Start API and pipeline, and wait for the API."""
        self.parts.vigie("api", "api")
        self.parts.vigie("pipeline", "pipeline", "run")
        until(lambda: reached(f"{self.api_url}/readyz"), "the API")

    def servers_down(self) -> None:
        """Kill Redis and store."""
        for name in ("redis", "store"):
            self.parts.end(name, signal.SIGKILL)

    def caught_up(self) -> bool:
        """Whether nothing but what came in the last moment waits, in the journal or in the stream."""
        try:
            waiting = Stream.open(self.settings.redis).backlog()
        except redis.RedisError:
            return False
        return waiting + int(str(self.health()["backlog"])) < 100

    def health(self) -> dict[str, object]:
        """Return what GET /health says."""
        found: dict[str, object] = httpx.get(f"{self.api_url}/health", timeout=30).json()
        return found

    def stored(self) -> set[str]:
        """Return the transaction ids of the stored predictions."""
        found: set[str] = set()
        with httpx.Client(base_url=self.settings.store.url, timeout=60) as client:
            client.post("/ml-api-message/_refresh").raise_for_status()
            sort = [{"@timestamp": "asc"}, {"producer": "asc"}, {"number": "asc"}]
            body: dict[str, object] = {"size": 5000, "_source": ["transaction_id"], "sort": sort}
            while hits := client.post("/ml-api-message/_search", json=body).json()["hits"]["hits"]:
                found |= {hit["_source"]["transaction_id"] for hit in hits}
                body["search_after"] = hits[-1]["sort"]
        return found

    def _redis_answers(self) -> bool:
        try:
            return bool(Stream.open(self.settings.redis).client.ping())
        except redis.RedisError:
            return False


def reached(url: str) -> bool:
    """Whether `url` answers well."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


async def story(platform: Platform, caller: Caller, normal: float, seconds: float) -> dict[str, float]:
    """Let the phases follow one another while the caller sends; return what was measured besides."""

    async def wait_for(condition: Callable[[], bool], what: str) -> None:
        await asyncio.to_thread(until, condition, what, CATCH_UP_DEADLINE_SECONDS)

    sending = asyncio.create_task(caller.send())
    await asyncio.sleep(min(10.0, normal))
    caller.phase = "normal"
    await asyncio.sleep(normal)
    caller.phase = "failing"  # the second in which both die is neither normal nor down
    await asyncio.to_thread(platform.servers_down)
    await asyncio.sleep(1)
    caller.phase = "down"
    await asyncio.sleep(seconds)
    journal = platform.health()
    caller.phase = "catching up"
    began = time.monotonic()
    await asyncio.to_thread(platform.servers_up)
    up = time.monotonic()
    await wait_for(platform.caught_up, "the backlog to be indexed")
    caught_up = time.monotonic()
    caller.phase = "normal again"
    await asyncio.sleep(min(10.0, normal))
    caller.done = True
    await sending
    return {
        "backlog_at_the_end_of_the_outage": int(str(journal["backlog"])),
        "journal_mb_at_the_end_of_the_outage": round(int(str(journal["journal_bytes"])) / 1024**2, 1),
        "servers_up_after_seconds": round(up - began, 1),
        "caught_up_after_seconds": round(caught_up - up, 1),
    }


def run(normal: float, seconds: float, rate: float, home: Path) -> dict[str, object]:
    """Run the story on a platform of its own; return the figures."""
    schema = load_schema(ROOT / "model/lung_cancer")
    train(ROOT / "model/lung_cancer", home / "package", None)
    environment = {
        "REDIS_HOST": "127.0.0.1", "REDIS_PORT": free_port(), "ES_HOST": "127.0.0.1", "ES_PORT": free_port(),
        "API_PORT": free_port(), "VIGIE_HOME": home / "vigie", "MODEL_PATH": home / "package",
        "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    settings = load_settings({name: str(value) for name, value in environment.items()}, None)
    records, _ = draw(schema, 1000, seed=1)
    with processes(home, environment) as parts:
        platform = Platform(parts, settings)
        platform.servers_up()
        platform.services_up()
        caller = Caller(platform.api_url, rate, [dict(record) for record in records])
        measured = asyncio.run(story(platform, caller, normal, seconds))
        until(platform.caught_up, "the rest to be indexed")
        until(lambda: platform.health()["backlog"] == 0, "the journal to be empty")
        dropped = int(str(platform.health()["dropped"]))
        until(lambda: Stream.open(settings.redis).backlog() == 0, "the stream to be settled")
        missing = len(caller.answered - platform.stored())
        parts.vigie("verify", "verify")
        balanced = parts.running.pop("verify").wait(300) == 0
    figures = {phase: caller.figures(phase) for phase in ("normal", "failing", "down", "catching up")}
    ratio = float(str(figures["down"]["median_ms"])) / float(str(figures["normal"]["median_ms"]))
    return {
        "benchmark": "outage",
        "rate_per_second": rate,
        "rate_reached_per_second": round(caller.rate_reached("down", seconds), 1),
        "outage_seconds": seconds,
        "phases": figures,
        "median_ratio": round(ratio, 3),
        **measured,
        "failed": sum(caller.failed.values()),
        "answered": len(caller.answered),
        "answered_and_not_stored": missing,
        "dropped": dropped,
        "ledger_balanced": balanced,
    }


def main() -> int:
    """Parse the arguments, run, print JSON and a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--normal-seconds", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rate", type=float, default=200.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        found = run(given.normal_seconds, given.seconds, given.rate, Path(home))
    say(json.dumps(found, indent=2))
    say("| phase | answered | failed | median | p99 |\n|---|---|---|---|---|")
    phases = found["phases"]
    assert isinstance(phases, dict)
    for phase, row in phases.items():
        say(f"| {phase} | {row['answered']} | {row['failed']} | {row['median_ms']} ms | {row['p99_ms']} ms |")
    say(
        f"| all of it | dropped {found['dropped']}, answered and not stored "
        f"{found['answered_and_not_stored']} | | ratio {found['median_ratio']} | |"
    )
    good = found["ledger_balanced"] and not (
        found["failed"] or found["dropped"] or found["answered_and_not_stored"]
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

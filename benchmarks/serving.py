"""Predictions per second with everything written down, beside FastAPI's echo: `python benchmarks/serving.py`.

The yardstick (`benchmarks/echo.py`) takes the same body, a Pydantic model of the 14 inputs, and answers the
same to everything, behind the same uvicorn with its access log off. The rounds alternate; both servers run
on one core, load and Redis on another. Printed are medians: answers per second, latency, and the server's own
CPU time per answer, which says more on a machine that others use too. Then the ledger must have as many
predictions as were answered, none of them dropped; with `--verify` the pipeline indexes them all, and `vigie
verify` must balance.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

import httpx
import orjson
from load import Load, on_core, put_load
from platform_parts import ROOT, Processes, free_port, processes, until

from vigie.model.training import train
from vigie.schema import load_schema
from vigie.settings import load_settings
from vigie.telemetry.stream import Stream

HERE: Final = Path(__file__).parent
SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Round:
    """One server under load once."""

    load: Load
    cpu_us_per_request: float


@dataclass(frozen=True, slots=True)
class Server:
    """A server under test."""

    name: str
    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Return the CPU time it took since its start, all threads, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def under_load(
        self, body: bytes, clients: int, seconds: float, folder: Path, done: Callable[[int], bool]
    ) -> Round:
        """Put it under load and return what came of it, with the CPU time until `done` is true.

        `done` is asked with the number of answers: whether everything that belongs to them is done.
        """
        before = self.cpu_seconds()
        load = put_load(self.port, "/predict", body, clients, seconds, LOAD_CORE, folder)
        until(lambda: done(load.requests), "what the answers leave behind")
        return Round(load, (self.cpu_seconds() - before) * 1e6 / load.requests)


def start_servers(parts: Processes, environment: Mapping[str, object]) -> list[Server]:
    """Start the yardstick and the API on one core, and wait until both answer."""
    echo_port = free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "echo:app", "--app-dir", str(HERE), "--port", f"{echo_port}"]
    command = [*on_core(SERVER_CORE), *uvicorn, "--no-access-log", "--log-level", "warning"]
    echo = Server("FastAPI's echo", parts.start("echo", command).pid, echo_port)
    command = [*on_core(SERVER_CORE), sys.executable, "-m", "vigie.cli", "api"]
    api = Server("Vigie", parts.start("api", command).pid, int(str(environment["API_PORT"])))
    for server in (echo, api):
        until(lambda server=server: _answers(server), server.name)
    return [echo, api]


def _answers(server: Server) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{server.port}/livez", timeout=1).status_code in (200, 404)
    except httpx.HTTPError:
        return False


def table(rounds: Mapping[str, list[Round]]) -> str:
    """Return the medians as a table."""
    lines = ["| server | answers/s | p50 | p99 | CPU per answer |", "|---|---|---|---|---|"]
    for name, found in rounds.items():
        per_second = median(one.load.per_second for one in found)
        p50, p99 = (median(getattr(one.load, which) for one in found) for which in ("p50_ms", "p99_ms"))
        cpu = median(one.cpu_us_per_request for one in found)
        lines.append(f"| {name} | {per_second:,.0f} | {p50:.2f} ms | {p99:.2f} ms | {cpu:.1f} µs |")
    return "\n".join(lines)


def main() -> int:
    """Run the rounds, check the ledger, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--verify", action="store_true", help="index everything, then run `vigie verify`")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        train(ROOT / "model" / "lung_cancer", home / "model")
        ports = {name: free_port() for name in ("REDIS_PORT", "API_PORT", "ES_PORT")}
        environment = {
            **ports,
            "VIGIE_HOME": home / "home",
            "MODEL_PATH": home / "model",
            "REDIS_HOST": "127.0.0.1",
            "ES_HOST": "127.0.0.1",
            "REDIS_STREAM_MAX_ENTRIES": 10_000_000,
        }
        with processes(home, environment) as parts:
            return _run(parts, environment, asked, home)


def _run(parts: Processes, environment: Mapping[str, object], asked: argparse.Namespace, home: Path) -> int:
    settings = load_settings({name: str(value) for name, value in environment.items()}, None)
    parts.redis(settings.redis.redis_port)
    body = orjson.dumps(load_schema(ROOT / "model" / "lung_cancer").example())
    servers = start_servers(parts, environment)
    stream = Stream.open(settings.redis)
    answered = 0

    rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
    for number in range(asked.rounds + 1):
        for server in servers:

            def done(requests: int, own: bool = server is servers[-1], before: int = answered) -> bool:
                return not own or stream.ledger.totals().written >= before + requests

            one = server.under_load(body, asked.clients, asked.seconds if number else 1, home, done)
            if one.load.failed:
                raise RuntimeError(f"{server.name}: {one.load.failed} answers were not 200")
            answered += one.load.requests if server is servers[-1] else 0
            if number:  # the first round warms up
                rounds[server.name].append(one)
    totals = stream.ledger.totals()
    echo, own = (rounds[server.name] for server in servers)
    result = {
        "clients": asked.clients,
        "rounds": {name: [asdict(one) for one in found] for name, found in rounds.items()},
        "ratio_answers": median(o.load.per_second for o in own) / median(e.load.per_second for e in echo),
        "ratio_cpu": median(e.cpu_us_per_request for e in echo) / median(o.cpu_us_per_request for o in own),
        "answered": answered,
        "written": totals.written,
        "dropped": totals.declared,
    }
    ratios = f"| ratio | {result['ratio_answers']:.2f} | | | {result['ratio_cpu']:.2f} |"
    sys.stdout.write(f"{orjson.dumps(result).decode()}\n{table(rounds)}\n{ratios}\n")
    if asked.verify:
        parts.store(settings.store.es_port)
        for command in (("pipeline", "once"), ("verify",)):
            environ = {**os.environ, **{name: str(value) for name, value in environment.items()}}
            subprocess.run([sys.executable, "-m", "vigie.cli", *command], env=environ, cwd=ROOT, check=True)
    return int(totals.declared > 0 or totals.written < answered)


if __name__ == "__main__":
    sys.exit(main())

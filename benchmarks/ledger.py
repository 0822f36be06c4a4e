"""What `vigie verify` costs with ten million events: `python benchmarks/ledger.py --events 10000000`.

It fills a Redis and an embedded store of its own, then measures verify in a process of its own: seconds, CPU
seconds and peak memory, the same with an almost empty ledger for comparison, and what one request to the
store takes. What is filled: the ledger's keys in Redis as the scripts leave them (heads, folded chunks, the
bitmaps of the chunk that is still open, documents per index), of four producers that share the events; the
journals and the stream are empty, as on an installation that has caught up. The store gets `--stored` of the
events as documents of their real shape, through the pipeline's own templates; the rest counts as expired, in
retention's record, as after weeks of service. With `--stored` equal to `--events` everything is in the store,
which takes minutes to fill.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import redis
from elasticsearch import Elasticsearch

from vigie.demo.redis_server import redis_command
from vigie.indices.store_client import connect_store
from vigie.ledger.proof import verify
from vigie.logs_pipeline.templates import Provisioner
from vigie.schema import load_schema
from vigie.settings import Settings, load_settings
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.expired import Expired, ExpiredRecord
from vigie.telemetry.stream.keys import CHUNK_SIZE, STATES

ROOT: Final = Path(__file__).parents[1]
PRODUCERS: Final = 4
INDEX: Final = "ml-api-logs-2026.11.20"
EXPIRED_INDEX: Final = "ml-api-logs-2026.10.01"
BULK: Final = 5000


def fill_redis(client: redis.Redis, events: int, producers: int) -> dict[str, int]:
    """Write what the ledger knows of `events` settled events; return producer → its highest number."""
    highs = {f"producer-{n}": events // producers for n in range(producers)}
    for producer, high in highs.items():
        full, rest = divmod(high, CHUNK_SIZE)
        with client.pipeline(transaction=False) as pipe:
            pipe.sadd(keys.PRODUCERS, producer)
            about = {"high": high, "role": "api", "host": "benchmark", "closed": high}
            pipe.hset(keys.producer_key(producer), mapping=about)  # type: ignore[arg-type]  # numbers are taken
            for chunk in range(full):
                counts = {f"{chunk}:{state}": 0 for state in STATES} | {f"{chunk}:indexed": CHUNK_SIZE}
                folded: Any = {f"{chunk}:settled": CHUNK_SIZE, **counts}
                pipe.hset(keys.folded_key(producer), mapping=folded)
            bits = b"\xff" * (rest // 8) + bytes([0xFF & (0xFF00 >> (rest % 8))])
            pipe.set(keys.bitmap_key(producer, "settled", full), bits)
            pipe.set(keys.bitmap_key(producer, "indexed", full), bits)
            pipe.hset(keys.folded_key(producer), f"{full}:settled", rest)
            pipe.execute()
    client.hset(
        keys.TOTALS, mapping={"high": events, "written": events, "settled": events, "indexed": events}
    )
    return highs


def divide(client: redis.Redis, highs: Mapping[str, int], stored: int) -> dict[str, int]:
    """Let the newest events be stored and the rest expired; return producer → its first stored number."""
    firsts, expired = {}, []
    for producer, high in highs.items():
        there = min(high, stored // len(highs))
        firsts[producer], gone = high - there + 1, high - there
        documents = {INDEX: there, EXPIRED_INDEX: gone}
        client.hset(keys.documents_key(producer), mapping=documents)  # type: ignore[arg-type]  # as above
        if gone:
            total = gone * (gone + 1) // 2
            expired.append(Expired(EXPIRED_INDEX, "gone", producer, gone, 1, gone, gone, total))
    ExpiredRecord(client).add(EXPIRED_INDEX, "gone", expired)
    return firsts


def fill_store(settings: Settings, firsts: Mapping[str, int], highs: Mapping[str, int]) -> None:
    """Store the events' documents in ml-api-logs."""
    with connect_store(settings.store, timeout=120) as store:
        list(Provisioner(store, settings.store).run(load_schema(settings.model.model_path)))
        lines: list[Any] = []
        for line in documents(firsts, highs):
            lines += line
            if len(lines) >= 2 * BULK:
                store.bulk(operations=lines)
                lines = []
        if lines:
            store.bulk(operations=lines)


def documents(firsts: Mapping[str, int], highs: Mapping[str, int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield action and source of each document."""
    for producer, first in firsts.items():
        for number in range(first, highs[producer] + 1):
            source = {
                "@timestamp": "2026-11-20T10:00:00.000000Z", "doc_type": "prediction", "producer": producer,
                "number": number, "level": "INFO", "message": "POST /predict - 200 - 2ms",
                "transaction_id": f"01900000-0000-7000-8000-{number:012}", "status": "ok",
            }  # fmt: skip
            about = {"create": {"_index": INDEX, "_id": f"{producer}-{number}"}}
            yield orjson.dumps(about), orjson.dumps(source)


def measure(environment: Mapping[str, str]) -> dict[str, float]:
    """Run verify in a process of its own, and return what it took."""
    ran = subprocess.run(
        [sys.executable, __file__, "--measure"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = orjson.loads(ran.stdout)
    return found


def measured() -> dict[str, float]:
    """Verify, and return seconds, CPU seconds, peak memory, and the store's requests."""
    settings = load_settings()
    before_mb = _peak_mb()
    times: list[float] = []
    search = Elasticsearch.search

    def timed(self: Elasticsearch, **given: Any) -> Any:
        started = time.perf_counter()
        found = search(self, **given)
        times.append(time.perf_counter() - started)
        return found

    Elasticsearch.search = timed  # type: ignore[method-assign]  # the benchmark's own clock
    started, cpu = time.perf_counter(), time.process_time()
    report = verify(settings)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    if not report.balanced:
        raise SystemExit("\n".join(report.problems))
    peak_mb = _peak_mb()
    return {
        "events": report.totals["produced"],
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "peak_mb": round(peak_mb, 1),
        "peak_above_start_mb": round(peak_mb - before_mb, 1),
        "requests_to_the_store": len(times),
        "slowest_request_ms": round(1000 * max(times), 1),
    }


def benchmark(events: int, stored: int, producers: int) -> dict[str, Any]:
    """Fill and measure, in a folder that is removed; servers are stopped by the ids kept."""
    ports = {"REDIS_PORT": _free_port(), "ES_PORT": _free_port()}
    with tempfile.TemporaryDirectory(prefix="vigie-ledger-") as folder:
        home = Path(folder)
        environment = {
            **{name: str(port) for name, port in ports.items()},
            "VIGIE_HOME": str(home),
            "MODEL_PATH": str(ROOT / "model" / "lung_cancer"),
        }
        settings = load_settings(environment, None)
        (home / "redis").mkdir()
        store = [
            sys.executable,
            "-m",
            "vigie.store",
            "--data",
            str(home / "store"),
            "--port",
            str(ports["ES_PORT"]),
        ]
        commands = (redis_command(ports["REDIS_PORT"], home / "redis"), store)
        servers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
        try:
            client = redis.Redis(port=ports["REDIS_PORT"])
            _await(client.ping)
            with connect_store(settings.store) as opened:
                _await(opened.info)
            results = {}
            for name, count in (("small", 1000), ("large", events)):
                client.flushall()
                highs = fill_redis(client, count, PRODUCERS if name == "small" else producers)
                firsts = divide(client, highs, 0 if name == "small" else stored)
                fill_store(settings, firsts, highs)
                results[name] = measure(environment) | {"redis_mb": _redis_mb(client)}
            return {"events": events, "stored": stored, "producers": producers, **results}
        finally:
            for server in servers:
                server.terminate()
                server.wait()


def _redis_mb(client: redis.Redis) -> float:
    info: Any = client.info("memory")
    return round(info["used_memory"] / 1024**2, 1)


def _await(answers: Any) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            answers()
            return
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _peak_mb() -> float:
    """Return the largest resident set that this process had since it began."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Print the result as JSON, and as a line of a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--stored", type=int, default=200_000)
    parser.add_argument("--producers", type=int, default=PRODUCERS)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        sys.stdout.write(orjson.dumps(measured()).decode())
        return
    result = benchmark(given.events, given.stored, given.producers)
    large = result["large"]
    sys.stdout.write(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() + "\n")
    sys.stdout.write("| what | time | CPU | memory | requests |\n|---|---|---|---|---|\n")
    sys.stdout.write(
        f"| verify, {large['events']:,} events | {large['seconds']} s | {large['cpu_seconds']} s CPU | "
        f"{large['peak_mb']} MB peak | {large['requests_to_the_store']} requests to the store, the slowest "
        f"{large['slowest_request_ms']} ms |\n"
    )


if __name__ == "__main__":
    main()

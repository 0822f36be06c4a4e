"""Does the pipeline's memory stay flat? Its resident set after many events beside that after a tenth.

`python benchmarks/pipeline_memory.py` (1,000,000 events) [--events N] [--outage-seconds S] [--kind request]

The pipeline is a process of its own, as in production; Redis is an embedded one; the store takes every
bulk and keeps nothing (`discarding_store.py`), so that a million events take minutes. With
--outage-seconds the store is ended in the middle and started again after that time, while events keep
coming. Exit status 1 when the memory grew by more than a tenth.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis
from platform_parts import ROOT, Processes, free_port, processes, until

from vigie.settings import load_settings
from vigie.telemetry.stream.stream import Record, Stream
from vigie.terminal import say

PRODUCER = "5b1a3c1e-0000-4000-8000-00000000beef"
MOST_GROWTH = 1.10
"""What the memory after all events may be, as a ratio to that after a tenth of them."""
MOST_WAITING = 20_000
"""Events in the stream beyond which none is written, but for an outage."""
SAMPLES = 20


def event(number: int, kind: str) -> bytes:
    """Return an event of about the size of a real one; a prediction makes three documents, a request one."""
    transaction = f"01900000-0000-7000-8000-{number:012}"
    metrics = {
        "transaction_id": transaction,
        "inference_time_ms": 0.5,
        "cpu_time_ms": 0.4,
        "memory_mb": 120.5,
    }
    data = {
        "kind": kind, "producer": PRODUCER, "number": number, "transaction_id": transaction, "method": "POST",
        "path": "/predict", "status_code": 200, "status": "ok", "latency_ms": 1.5,
        "model": {"name": "lung_cancer", "version": "1.0.0", "runtime": "onnx"},
        "input_data": {"AGE": 60, "GENDER": 1, "SMOKING": 1, "ALCOHOL_CONSUMING": 0, "COUGHING": 1},
        "result": {"prediction": 1, "label": "YES", "probability": 0.9, "confidence": 0.9},
        "performance_metrics": {**metrics, "memory_delta_mb": 0.0, "latency_ms": 1.5},
        "stages": {"validate_ms": 0.1, "predict_ms": 0.2}, "batch_size": 1, "profiled": False, "weight": 0,
    }  # fmt: skip
    message = f"[{transaction}] POST /predict - 200 - 2ms"
    whole = {"timestamp": "2026-11-20T23:30:45.123456Z", "level": "INFO", "message": message, "data": data}
    return json.dumps(whole).encode()


@dataclass
class Load:
    """Writes events to the stream, and watches the pipeline take them."""

    stream: Stream
    pipeline: psutil.Process
    kind: str
    written: int = 0
    peak_bytes: int = 0

    def settled(self) -> int:
        """Return how many of the events are settled."""
        return self.stream.ledger.totals().settled

    def until(self, count: int, most_waiting: int = MOST_WAITING) -> None:
        """Write until `count` events are written, and return once they are settled."""
        while self.written < count:
            waiting = self.stream.backlog()
            room = min(count - self.written, most_waiting - waiting)
            if room > 0:
                self.write(min(500, room))
            else:
                self.look()
                time.sleep(0.02)
        while self.stream.backlog() > 50:  # the pipeline's own reports come and go
            self.look()
            time.sleep(0.05)

    def write(self, count: int) -> None:
        """Write the next `count` events."""
        first = self.written + 1
        items = [Record(number, event(number, self.kind)) for number in range(first, first + count)]
        self.written = self.stream.write(PRODUCER, items).high

    def memory_bytes(self) -> int:
        """Return the pipeline's resident set: the median of some looks while it works on a little load."""
        seen = []
        for _ in range(SAMPLES):
            self.until(self.written + 100)
            seen.append(self.look())
        return int(statistics.median(seen))

    def look(self) -> int:
        """Return the pipeline's resident set of the moment, in bytes."""
        resident = int(self.pipeline.memory_info().rss)
        self.peak_bytes = max(self.peak_bytes, resident)
        return resident


def outage(parts: Processes, load: Load, port: int, seconds: float) -> dict[str, float]:
    """End the store for `seconds` while events keep coming; return what was seen."""
    parts.end("store", signal.SIGKILL)
    end = time.monotonic() + seconds
    before = load.peak_bytes
    load.peak_bytes = 0
    while time.monotonic() < end:
        load.write(100)
        load.look()
        time.sleep(0.1)
    waiting, peak = load.stream.backlog(), load.peak_bytes
    load.peak_bytes = max(before, peak)
    started = time.monotonic()
    parts.start("store", [sys.executable, str(ROOT / "benchmarks/discarding_store.py"), str(port)])
    first = load.settled()
    until(lambda: load.settled() > first, "the pipeline to notice the store")
    noticed = time.monotonic() - started
    load.until(load.written)
    caught_up = time.monotonic() - started
    return {
        "outage_seconds": seconds,
        "outage_backlog": waiting,
        "outage_peak_mb": round(peak / 1024**2, 1),
        "noticed_after_seconds": round(noticed, 2),
        "caught_up_after_seconds": round(caught_up, 2),
        "catch_up_events_per_second": round(waiting / caught_up),
    }


def run(events: int, outage_seconds: float, kind: str, home: Path) -> dict[str, object]:
    """Run the load; return the figures."""
    redis_port, store_port = free_port(), free_port()
    environment = {
        "REDIS_HOST": "127.0.0.1", "REDIS_PORT": redis_port, "ES_HOST": "127.0.0.1", "ES_PORT": store_port,
        "VIGIE_HOME": home / "vigie", "MODEL_PATH": ROOT / "model/lung_cancer",
        "JOURNAL_MAX_BYTES": 64 * 1024**2,
    }  # fmt: skip
    with processes(home, environment) as parts:
        parts.redis(redis_port)
        parts.start("store", [sys.executable, str(ROOT / "benchmarks/discarding_store.py"), str(store_port)])
        settings = load_settings({name: str(value) for name, value in environment.items()}, None)
        stream = Stream.open(settings.redis)
        until(lambda: _answers(stream), "Redis")
        pipeline = parts.vigie("pipeline", "pipeline", "run")
        load = Load(stream, psutil.Process(pipeline.pid), kind)
        started = time.monotonic()
        load.until(events // 10)
        early = load.memory_bytes()
        load.until(events // 2)
        seen = outage(parts, load, store_port, outage_seconds) if outage_seconds else {}
        load.until(events)
        late = load.memory_bytes()
        seconds = time.monotonic() - started
        parts.end("pipeline")
    return {
        "benchmark": "pipeline_memory",
        "events": load.written,
        "kind": kind,
        "store": "takes everything, keeps nothing",
        "seconds": round(seconds, 1),
        "events_per_second": round(load.written / seconds),
        "memory_mb_after_tenth": round(early / 1024**2, 1),
        "memory_mb_at_end": round(late / 1024**2, 1),
        "ratio": round(late / early, 3),
        "peak_mb": round(load.peak_bytes / 1024**2, 1),
        **seen,
    }


def _answers(stream: Stream) -> bool:
    try:
        return bool(stream.client.ping())
    except redis.RedisError:
        return False


def main() -> int:
    """Parse the arguments, run, print JSON and a line of a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--outage-seconds", type=float, default=0.0)
    parser.add_argument("--kind", choices=("prediction", "request"), default="prediction")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        found = run(given.events, given.outage_seconds, given.kind, Path(home))
    say(json.dumps(found, indent=2))
    say(f"| {given.events // 10:,} events | {given.events:,} events | ratio | peak |")
    say("|---|---|---|---|")
    say(
        f"| {found['memory_mb_after_tenth']} MB | {found['memory_mb_at_end']} MB | {found['ratio']} "
        f"| {found['peak_mb']} MB |"
    )
    return 0 if float(str(found["ratio"])) <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())

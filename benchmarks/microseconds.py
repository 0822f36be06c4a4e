"""What each microsecond of a prediction goes to: `python benchmarks/microseconds.py` [--seconds 10].

The API runs under load of 32 clients (`--clients`) while `sampled_api.py` notes where its main thread
spends its CPU time; other threads have clocks of their own. A stage is the innermost function that the list
below knows, with everything below it: the model's stage holds ONNX Runtime, the journal's orjson. The sum
is compared with the CPU time of the process by the kernel's account, per answer; what is left over is a
line of its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from signal import SIGUSR1, SIGUSR2
from typing import Any, Final

import orjson
import psutil
from contestants import LOAD_CORE, WARM_UP_SECONDS, Contestant, start
from installation import Installation, installation
from load import closed_load
from platform_parts import free_port, until

LOOP: Final = "event loop and receiving (kernel)"
OTHER: Final = "elsewhere in Python"
REMAINDER: Final = "not attributed"
STAGES: Final[Sequence[tuple[str, str, str]]] = (
    ("src/api/express.py", "_finish", "sending the answer (kernel)"),
    ("src/api/express.py", "_write", "sending the answer (kernel)"),
    ("src/api/express.py", "header_lines", "headers of the answer"),
    ("src/api/gateway.py", "server_timing", "headers of the answer"),
    ("src/api/express.py", "data_received", "HTTP parsing"),
    ("src/api/express.py", "on_message_complete", "HTTP parsing"),
    ("src/api/express.py", "_start", "HTTP parsing"),
    ("src/api/express.py", "_start_asgi_task", "HTTP parsing"),
    ("uvicorn/protocols/", "", "HTTP parsing"),
    ("src/api/validation.py", "", "validation"),
    ("src/api/exchange.py", "", "ids and time of the request"),
    ("src/telemetry/ids.py", "", "ids and time of the request"),
    ("src/model/feature", "", "features"),
    ("onnxruntime/", "", "model"),
    ("src/model/runtime.py", "", "model"),
    ("src/telemetry/profile", "", "profiler"),
    ("src/telemetry/resident.py", "", "measuring"),
    ("src/model/", "", "batching and reading the model's answer"),
    ("src/api/hot.py", "", "answer as JSON"),
    ("src/api/answer.py", "", "answer as JSON"),
    ("src/api/events.py", "", "event"),
    ("src/telemetry/event.py", "", "event"),
    ("/figures.py", "", "metrics"),
    ("src/telemetry/", "", "journal"),
    ("src/api/", "", "lane, roles and dispatch"),
    ("uvicorn/", "", LOOP),
    ("asyncio/", "", LOOP),
    ("benchmarks/sampled_api.py", "", LOOP),
)
"""(part of a file's path, function or all, stage); the first that fits counts."""

Frame = Sequence[str]


def stage_of(stack: Iterable[Frame]) -> str:
    """Return the stage of a call stack given from the inside out, as (file, function)."""
    for file, function in stack:
        for part, name, stage in STAGES:
            if part in file and name in ("", function):
                return stage
    return OTHER


@dataclass(frozen=True, slots=True)
class Line:
    """CPU time of one stage."""

    stage: str
    us: float
    """Per answer."""


def lines_of(sampled: Mapping[str, Any], answers: int, cpu_us: float) -> list[Line]:
    """Return the stages, the costliest first, then other threads and what is left of `cpu_us` per answer."""
    spent: Counter[str] = Counter()
    for each in sampled["stacks"]:
        spent[stage_of(each["stack"])] += each["ns"]
    lines = [Line(stage, ns / 1e3 / answers) for stage, ns in spent.most_common()]
    threads = Counter(sampled["threads_ns"])
    lines += [Line(f"thread {name}", ns / 1e3 / answers) for name, ns in threads.most_common() if ns > 0]
    lines.append(Line("the sampling itself", sampled["sampler_ns"] / 1e3 / answers))
    return [*lines, Line(REMAINDER, cpu_us - sum(line.us for line in lines))]


def sample(one: Installation, clients: int, seconds: float) -> tuple[list[Line], int, float]:
    """Return the lines, the number of answers, and the CPU time per answer by the kernel's account."""
    target = one.home / "sampled.json"
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("sampled_api.py")), str(target)]
    request = replace(one.request, port=port)
    api = start(one.parts, "Vigie, sampled", command, request, {"API_PORT": port})
    one.answered += 1
    api = replace(api, after=one.wait_for)
    api.under_load(clients, WARM_UP_SECONDS, one.home)
    return _sample(api, target, clients, seconds)


def _sample(api: Contestant, target: Path, clients: int, seconds: float) -> tuple[list[Line], int, float]:
    process = psutil.Process(api.pid)
    process.send_signal(SIGUSR1)
    time.sleep(0.1)
    before = api.cpu_seconds()
    load = closed_load(api.request, clients, seconds, LOAD_CORE, target.parent)
    api.after(load.requests)
    cpu_us = (api.cpu_seconds() - before) * 1e6 / load.requests
    process.send_signal(SIGUSR2)
    until(target.exists, "the sampled stacks")
    return lines_of(orjson.loads(target.read_bytes()), load.requests, cpu_us), load.requests, cpu_us


def main() -> int:
    """Sample, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=32)
    asked = parser.parse_args()
    with installation() as one:
        lines, answers, cpu_us = sample(one, asked.clients, asked.seconds)
        balance = one.balance(indexed=False)
    result = {
        "answers": answers,
        "cpu_us": cpu_us,
        "lines": [asdict(line) for line in lines],
        "ratios": {"attributed": 1 - abs(lines[-1].us) / cpu_us},
        "bars": {
            "title": "CPU time of one prediction, by stage",
            "unit": "µs",
            "rows": [{"group": "", "name": line.stage, "value": round(line.us, 2)} for line in lines],
        },
    }
    rows = [f"| {line.stage} | {line.us:.1f} µs | {line.us / cpu_us:.1%} |" for line in lines]
    total = f"| **a prediction, {asked.clients} client{'s' * (asked.clients > 1)}** | **{cpu_us:.1f} µs** | |"
    text = "\n".join(("| stage | CPU time | share |", "|---|---|---|", *rows, total))
    sys.stdout.write(f"{orjson.dumps(result).decode()}\n{text}\n")
    return int(not balance.holds)


if __name__ == "__main__":
    sys.exit(main())

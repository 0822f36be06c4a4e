"""From the command to the first prediction: `python benchmarks/startup.py` [--rounds 5].

The seconds from starting `vigie api` to its first 200 on /readyz (which means that the golden row was
answered) and to its first prediction, with the CPU time that took; beside FastAPI's echo, which loads no
model. The first round, which fills the machine's file cache, is left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median

import httpx
import orjson
import psutil
from contestants import HERE, SERVER_CORE, vigie_command
from installation import Installation, installation
from load import Request, on_core
from platform_parts import free_port

DEADLINE_SECONDS = 120.0
STEP_SECONDS = 0.005
ECHO, OWN = "FastAPI's echo", "Vigie"


@dataclass(frozen=True, slots=True)
class Start:
    """One start."""

    ready_seconds: float
    first_answer_seconds: float
    cpu_seconds: float
    resident_mb: float


def start_once(one: Installation, name: str, command: list[str], request: Request, ready_path: str) -> Start:
    """Start a server, ask until it is ready, ask for a prediction, and end it."""
    environment = {"API_PORT": request.port}
    began = time.perf_counter()
    process = one.parts.start(name, [*on_core(SERVER_CORE), *command], environment)
    base = f"http://127.0.0.1:{request.port}"
    with httpx.Client(timeout=10) as client:
        while not _answers(client, base + ready_path):
            if process.poll() is not None or time.perf_counter() - began > DEADLINE_SECONDS:
                raise RuntimeError(f"{name} did not start: see {one.home / name}.log")
            time.sleep(STEP_SECONDS)
        ready = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        client.post(base + request.path, content=request.body, headers=headers).raise_for_status()
    answered = time.perf_counter()
    own = psutil.Process(process.pid)
    cpu, resident = own.cpu_times(), own.memory_info().rss
    one.parts.end(name)
    return Start(ready - began, answered - began, cpu.user + cpu.system, resident / 1024**2)


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code in (200, 404)  # the echo has no such path
    except httpx.TransportError:
        return False


def run(one: Installation, rounds: int) -> dict[str, list[Start]]:
    """Return the starts of both servers, in turn."""
    found: dict[str, list[Start]] = {ECHO: [], OWN: []}
    for number in range(rounds + 1):
        for name, starts in found.items():
            request = replace(one.request, port=free_port())
            echo = [sys.executable, "-m", "uvicorn", "echo:app", "--app-dir", str(HERE), "--port"]
            command = vigie_command("api") if name == OWN else [*echo, str(request.port), "--no-access-log"]
            start = start_once(one, name, command, request, "/readyz" if name == OWN else "/")
            if number:
                starts.append(start)
    return found


def figures(starts: Sequence[Start]) -> Mapping[str, float]:
    """Return the median of each figure."""
    names = Start.__dataclass_fields__
    return {name: median(getattr(start, name) for start in starts) for name in names}


def main() -> int:
    """Run the rounds, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with installation() as one:
        found = run(one, asked.rounds)
    medians = {name: figures(starts) for name, starts in found.items()}
    result = {
        "starts": {name: [asdict(start) for start in starts] for name, starts in found.items()},
        "ratios": {
            "first_answer_to_echo": medians[OWN]["first_answer_seconds"]
            / medians[ECHO]["first_answer_seconds"]
        },
        "bars": {
            "title": "From the command to the first prediction",
            "unit": "s",
            "rows": [
                {"group": "", "name": name, "value": own["first_answer_seconds"]}
                for name, own in medians.items()
            ],
        },
    }
    lines = [
        "| server | ready | first prediction | CPU | memory then |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {own['ready_seconds']:.2f} s | {own['first_answer_seconds']:.2f} s "
            f"| {own['cpu_seconds']:.2f} s | {own['resident_mb']:.0f} MB |"
            for name, own in medians.items()
        ),
    ]
    sys.stdout.write(f"{orjson.dumps(result).decode()}\n" + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Workers of the pipeline as processes of a test, which it may stop, hang and kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.servers import ROOT

from vigie.settings import Settings, load_settings
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.stream import Stream

WORKER = """
import signal, sys, threading
from vigie.logs_pipeline.pipeline import run_continuously
from vigie.settings import load_settings
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
run_continuously(load_settings(dotenv=None), stop, min_idle_ms=int(sys.argv[1]))
"""


def place(home: Path, redis_port: int, store_port: int, **more: object) -> dict[str, str]:
    """Return the variables of an installation on loopback whose files are under `home`."""
    given = {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": redis_port,
        "ES_HOST": "127.0.0.1",
        "ES_PORT": store_port,
        "VIGIE_HOME": home,
        "MODEL_PATH": ROOT / "model" / "lung_cancer",
        "JOURNAL_MAX_BYTES": 64 * 1024**2,
        **more,
    }
    return {name: str(value) for name, value in given.items()}


def settings_of(environment: Mapping[str, str]) -> Settings:
    """Return the settings that `environment` gives to a service."""
    return load_settings(dict(environment), None)


def start_worker(environment: Mapping[str, str], log: Path, min_idle_ms: int) -> subprocess.Popen[bytes]:
    """Start a worker that takes entries for abandoned after `min_idle_ms`; its output goes to `log`."""
    return start([sys.executable, "-c", WORKER, str(min_idle_ms)], environment, log)


def start_command(environment: Mapping[str, str], log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a `vigie` command."""
    return start([sys.executable, "-m", "vigie.cli", *arguments], environment, log)


def start(command: list[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start `command` with its output in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command, env={**os.environ, **environment}, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )


def consumer_of(stream: Stream, process: subprocess.Popen[bytes]) -> str | None:
    """Return the name under which the worker in `process` says that it lives; None until it does."""
    names = [status.consumer for status in statuses(stream.client)]
    return next((name for name in names if f"-{process.pid}-" in name), None)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs."""
    if process.poll() is None:
        process.kill()
    process.wait()

"""Parts of the platform for the benchmarks: servers and services as processes of their own, on free ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

from vigie.demo.redis_server import redis_command

ROOT = Path(__file__).resolve().parents[1]
Found = TypeVar("Found")


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Found], what: str, deadline_seconds: float = 120.0) -> Found:
    """Return the first true answer of `condition`; raises TimeoutError after `deadline_seconds`."""
    end = time.monotonic() + deadline_seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline_seconds:.0f} s in vain for {what}")
        time.sleep(0.05)
    return found


@dataclass
class Processes:
    """Processes that end with the benchmark, by their own ids; their output is under `home`."""

    home: Path
    environment: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, command: list[str], environment: Mapping[str, object] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start one, with more of an environment where it needs it; its output goes to `home`/<name>.log."""
        own = {key: str(value) for key, value in (environment or {}).items()}
        with (self.home / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                env={**os.environ, **self.environment, **own},
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.running[name]

    def vigie(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a `vigie` command."""
        return self.start(name, [sys.executable, "-m", "vigie.cli", *arguments])

    def redis(self, port: int, prefix: Sequence[str] = ()) -> None:
        """Start an embedded Redis, which keeps what it has under `home`; `prefix` goes before its command."""
        self.start("redis", [*prefix, *redis_command(port, self.home / "redis")])

    def store(self, port: int) -> None:
        """Start an embedded store, which keeps what it has under `home`."""
        data = str(self.home / "store")
        self.start("store", [sys.executable, "-m", "vigie.store", "--data", data, "--port", str(port)])

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """End one and return its exit status."""
        process = self.running.pop(name)
        process.send_signal(how)
        return process.wait(60)


@contextmanager
def processes(home: Path, environment: Mapping[str, object]) -> Iterator[Processes]:
    """Yield a holder of processes, all of which are ended in the end."""
    found = Processes(home, {name: str(value) for name, value in environment.items()})
    try:
        yield found
    finally:
        children = [child for process in found.running.values() for child in descendants(process.pid)]
        for process in reversed(found.running.values()):
            process.terminate()
        for process in found.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
        for child in children:  # of a server that does not end its own workers
            with suppress(psutil.NoSuchProcess):
                child.kill()


def descendants(pid: int) -> list[psutil.Process]:
    """Return the processes that this one has started, and those that they have."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []

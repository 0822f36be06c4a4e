"""Servers that tests start on loopback and stop by their id, and waiting for a state with a deadline."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
import redis

from vigie.demo.redis_server import redis_command
from vigie.settings import RedisSettings

ROOT = Path(__file__).parents[1]
Found = TypeVar("Found")


OF_MAKE = ("MAKE", "MFLAGS", "ARGS", "DATA", "MODEL", "STORE", "DEMO_")


def outside() -> dict[str, str]:
    """Return the environment without what a make around the tests leaves in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OF_MAKE)}


def free_port() -> int:
    """Return a loopback port that nothing listens on.

    Not one that the kernel gives to outgoing connections: before it is used, one of those may have it.
    """
    while True:
        port = 15_000 + secrets.randbelow(17_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(condition: Callable[[], Found], deadline: float = 20.0, what: str = "the state") -> Found:
    """Return the first true answer of `condition`; fail when there is none within `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        if found := condition():
            return found
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline} s in vain for {what}")
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes], grace: float = 10.0) -> None:
    """End a server that the test started, by its own id."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def redis_answers(port: int) -> bool:
    """Whether a Redis on `port` answers a PING."""
    try:
        with redis.Redis(port=port, socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@dataclass
class RedisServer:
    """A running embedded Redis of the test's own."""

    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, directory: Path, port: int | None = None) -> RedisServer:
        """Start a server and wait until it answers."""
        port = port or free_port()
        directory.mkdir(parents=True, exist_ok=True)
        command = redis_command(port, directory)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = cls(port, directory, process)
        wait_for(server.answers, what=f"Redis on port {port}")
        return server

    def answers(self) -> bool:
        """Whether the server answers a PING."""
        return redis_answers(self.port)

    def settings(self, database: int = 0, **values: object) -> RedisSettings:
        """Return the settings that reach this server."""
        given = {"redis_host": "127.0.0.1", "redis_port": self.port, "redis_db": database, **values}
        return RedisSettings.model_validate(given)

    def stop(self) -> None:
        """Stop the server; what it accepted stays in its folder."""
        stop(self.process)


@dataclass
class StoreServer:
    """A running embedded store."""

    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Base URL of its REST interface."""
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    def start(cls, directory: Path, port: int | None = None) -> StoreServer:
        """Start a store and wait until it answers."""
        port = port or free_port()
        command = [sys.executable, "-m", "vigie.store", "--data", str(directory), "--port", str(port)]
        server = cls(port, directory, subprocess.Popen(command))
        wait_for(server.answers, what=f"the store on port {port}")
        return server

    def answers(self) -> bool:
        """Whether the store answers."""
        try:
            with urllib.request.urlopen(self.url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """Stop the store; its data stay."""
        stop(self.process)

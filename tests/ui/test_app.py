"""The front end as a process: starting, refusing to start, stopping, and what it asks of the network."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.servers import RedisServer, free_port, stop, wait_for

from vigie.errors import VigieError
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.stream import Stream
from vigie.ui.app import listen, serve

WATCHED = """
import sys
names = open(sys.argv[1], "a", buffering=1)
def watch(event, arguments):
    if event == "socket.getaddrinfo":
        names.write(f"{arguments[0]}\\n")
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        names.write(f"{arguments[1][0]}\\n")
sys.addaudithook(watch)
from vigie.settings import load_settings
from vigie.ui.app import serve
serve(load_settings(dotenv=None))
"""
"""Serves, and writes down every host that the process looks up or connects to."""


def test_a_taken_port_is_one_line(settings_for: Callable[..., Settings], untrained: Path) -> None:
    """The message names the address and the variable, before anything heavy is built."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(VigieError) as refused:
            serve(settings_for(GRADIO_PORT=port, MODEL_PATH=untrained))
    assert str(refused.value) == (
        f"127.0.0.1:{port} is in use: stop what listens there, or set GRADIO_PORT to a free port"
    )


def test_an_address_of_another_machine_is_one_line() -> None:
    """192.0.2.0/24 is reserved for documentation and nobody's."""
    with pytest.raises(VigieError, match=r"cannot listen on 192\.0\.2\.1:7860 .*GRADIO_HOST"):
        listen("192.0.2.1", 7860)


@pytest.fixture
def process(
    redis_settings: RedisSettings, redis_server: RedisServer, untrained: Path, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """A front end in its own process: the process, its base URL, and the file of hosts it asked."""
    port, hosts = free_port(), tmp_path / "hosts"
    environment = {
        "GRADIO_PORT": port,
        "REDIS_PORT": redis_server.port,
        "MODEL_PATH": untrained,
        "VIGIE_HOME": tmp_path / "home",
        "API_PORT": free_port(),
        "JOURNAL_MAX_BYTES": 64 * 1024**2,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(hosts)],
        env=os.environ | {name: str(value) for name, value in environment.items()},
        stderr=subprocess.PIPE,
    )
    yield process, f"http://127.0.0.1:{port}", hosts
    stop(process)


def answers(url: str) -> bool:
    """Whether the front end at `url` is up."""
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_process_from_start_to_sigterm(
    process: tuple[subprocess.Popen[bytes], str, Path], redis_settings: RedisSettings
) -> None:
    """SIGTERM ends it cleanly though a page is open; its log is in the stream; it asked no host but this one."""
    running, url, hosts = process
    wait_for(lambda: answers(url), 60, "the front end")
    with httpx.stream("GET", f"{url}/gradio_api/heartbeat/session", timeout=30) as page:
        assert next(page.iter_lines()) == "data: ALIVE"
        running.terminate()
        _, stderr = running.communicate(timeout=20)
    assert running.returncode == 0
    assert b"Traceback" not in stderr
    events = [json.loads(entry.event) for entry in Stream.open(redis_settings).after("", 100)]
    assert [event["message"] for event in events if event["data"].get("logger") == "vigie.ui.app"] == [
        "front end for lung_cancer 1.0.0 started",
        "front end stops",
    ]
    assert {event["data"]["service"] for event in events} == {"ui"}
    assert events[-1]["data"]["kind"] == "service"
    assert set(hosts.read_text().split()) <= {"127.0.0.1", "localhost", "0.0.0.0", "::1"}

"""The store as a process: start, stop, kill, and what a person is told."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from vigie.store.__main__ import main
from vigie.store.engine import Engine
from vigie.store.errors import NotLoopbackError
from vigie.store.main import listening

StartStore = Callable[..., tuple[subprocess.Popen[str], str]]
NDJSON = {"content-type": "application/x-ndjson"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(start_store: StartStore, number: signal.Signals) -> None:
    """Told to stop, it ends with status 0 and nothing on stderr, also while a connection is open."""
    process, url = start_store()
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.put("/i", json={"mappings": {"dynamic": False}}).status_code == 200
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert errors == ""


def test_what_was_acknowledged_survives_a_kill(start_store: StartStore, tmp_path: Path) -> None:
    """Killed in the middle of bulks, it has each document it acknowledged when it starts again."""
    process, url = start_store()
    mappings = {"dynamic": False, "properties": {"l": {"type": "long"}}}
    httpx.put(f"{url}/i", json={"mappings": mappings}, trust_env=False)
    acknowledged: set[str] = set()
    enough = threading.Event()

    def send(part: int) -> None:
        with httpx.Client(base_url=url, trust_env=False) as client:
            for number in range(1000):
                ids = [f"{part}-{number}-{n}" for n in range(20)]
                body = "".join(f'{{"create":{{"_id":"{i}"}}}}\n{{"l":{number}}}\n' for i in ids)
                try:
                    answer = client.post("/i/_bulk", content=body, headers=NDJSON)
                except httpx.TransportError:
                    return
                assert answer.json()["errors"] is False
                acknowledged.update(ids)
                if len(acknowledged) > 400:
                    enough.set()

    threads = [threading.Thread(target=send, args=(part,)) for part in range(2)]
    for thread in threads:
        thread.start()
    assert enough.wait(20)
    process.kill()
    process.communicate()
    for thread in threads:
        thread.join()
    again, url = start_store()
    query = {"query": {"ids": {"values": sorted(acknowledged)}}, "track_total_hits": True, "size": 0}
    total = httpx.post(f"{url}/i/_search", json=query, trust_env=False).json()["hits"]["total"]["value"]
    assert total == len(acknowledged)
    assert (
        httpx.get(f"{url}/i/_mapping", trust_env=False).json()["i"]["mappings"]["properties"]
        == mappings["properties"]
    )
    assert again.poll() is None


def test_a_locked_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line names the directory, its owner and the remedy, and the status is 2."""
    engine = Engine(tmp_path)
    try:
        assert main(["--data", str(tmp_path), "--port", "0"]) == 2
    finally:
        engine.close()
    errors = capsys.readouterr().err
    assert re.fullmatch(rf"the store's data directory {tmp_path} is in use by process \d+: stop .*\n", errors)


def test_a_port_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line names the port, the status is 2, and the data directory is left alone."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--data", str(tmp_path / "data"), "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"port {port} on 127.0.0.1 is in use: stop what listens there, or set ES_PORT\n"
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "store.example.org", "::"])
def test_only_loopback(host: str) -> None:
    """Without authentication it does not listen where other machines can reach it."""
    with pytest.raises(NotLoopbackError, match="loopback"), listening(host, 0):
        pass


def test_localhost_is_loopback() -> None:
    """The name localhost and IPv6's loopback are fine."""
    with listening("localhost", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"

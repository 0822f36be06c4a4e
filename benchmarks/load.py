"""Closed-loop HTTP load: `clients` connections, each sends its next request when the last one is answered.

wrk where it is installed, else a plain loop over sockets in a process of its own; both are told the core to
run on, so that they do not take the server's.
"""

from __future__ import annotations

import re
import selectors
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

_UNITS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int
    """Answers other than 200."""

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


def put_load(
    port: int, path: str, body: bytes, clients: int, seconds: float, core: int, folder: Path
) -> Load:
    """POST the JSON `body` to `path` on that loopback port for `seconds`."""
    if shutil.which("wrk"):
        return _wrk(port, path, body, clients, seconds, core, folder)
    arguments = [str(port), path, str(clients), str(seconds)]
    command = [*on_core(core), sys.executable, __file__, *arguments]
    answer = subprocess.run(command, input=body, capture_output=True, check=True)
    return Load(**orjson.loads(answer.stdout))


def on_core(core: int) -> list[str]:
    """Return the prefix of a command that keeps it on one core, where taskset is installed."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") else []


def _wrk(port: int, path: str, body: bytes, clients: int, seconds: float, core: int, folder: Path) -> Load:
    script = folder / "post.lua"
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = [==[{body.decode()}]==]\n"
        "wrk.headers['Content-Type'] = 'application/json'\n"
    )
    url = f"http://127.0.0.1:{port}{path}"
    options = ["-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--latency", "-s", str(script), url]
    said = subprocess.run(
        [*on_core(core), "wrk", *options], capture_output=True, text=True, check=True
    ).stdout
    done = re.search(r"(\d+) requests in ([\d.]+)s", said)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    if done is None:
        raise ValueError(f"wrk said: {said}")
    return Load(int(done[1]), float(done[2]), _percentile(said, "50"), _percentile(said, "99"),
                int(failed[1]) if failed else 0)  # fmt: skip


def _percentile(said: str, percent: str) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)$", said, re.MULTILINE)
    return float(found[1]) * _UNITS[found[2]] if found else float("nan")


def closed_loop(port: int, path: str, body: bytes, clients: int, seconds: float) -> Load:
    """The same by sockets of our own."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    began: dict[socket.socket, float] = {}
    latencies: list[float] = []
    failed = 0
    with selectors.DefaultSelector() as selector:
        for _ in range(clients):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(one, selectors.EVENT_READ)
            began[one] = time.perf_counter()
            one.sendall(request)
        start = time.perf_counter()
        while (now := time.perf_counter()) < start + seconds:
            for key, _ in selector.select(0.1):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                failed += not _answer(one)
                now = time.perf_counter()
                latencies.append((now - began[one]) * 1e3)
                began[one] = now
                one.sendall(request)
        for one in began:
            one.close()
    latencies.sort()
    at = [latencies[int(share * (len(latencies) - 1))] for share in (0.5, 0.99)]
    return Load(len(latencies), now - start, at[0], at[1], failed)


def _answer(one: socket.socket) -> bool:
    """Read one answer to its end; return whether it was a 200."""
    content = b""
    while b"\r\n\r\n" not in content:
        content += one.recv(65536)
    head, _, rest = content.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    missing = int(length[1]) - len(rest) if length else 0
    while missing > 0:
        missing -= len(one.recv(65536))
    return head.startswith(b"HTTP/1.1 200")


if __name__ == "__main__":
    found = closed_loop(
        int(sys.argv[1]), sys.argv[2], sys.stdin.buffer.read(), int(sys.argv[3]), float(sys.argv[4])
    )
    sys.stdout.buffer.write(orjson.dumps(found))

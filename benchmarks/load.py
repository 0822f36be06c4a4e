"""Closed-loop HTTP load: `clients` connections, each sends its next request when the last one is answered.

wrk where it is installed, else a plain loop over sockets in a process of its own; both are told the core to
run on, so that they do not take the server's. What callers notice of a busy server is another question:
a closed loop sends less while the server is slow. `open_loop.py` asks that one.
"""

from __future__ import annotations

import re
import selectors
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import orjson

_UNITS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Request:
    """A POST of JSON to a loopback port, the same again and again."""

    port: int
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Beside Host, Content-Type and Content-Length."""

    def wire(self) -> bytes:
        """Return it as it goes over the wire, HTTP/1.1, the connection kept."""
        lines = {
            "Host": "127.0.0.1",
            "Content-Type": "application/json",
            "Content-Length": str(len(self.body)),
            **self.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + self.body


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


def closed_load(request: Request, clients: int, seconds: float, core: int, folder: Path) -> Load:
    """Send `request` from `clients` connections for `seconds`; the load runs on `core`."""
    if shutil.which("wrk"):
        return _wrk(request, clients, seconds, core, folder)
    arguments = [str(clients), str(seconds)]
    command = [*on_core(core), sys.executable, __file__, *arguments]
    given = orjson.dumps({**asdict(request), "body": request.body.decode()})
    answer = subprocess.run(command, input=given, capture_output=True, check=True)
    return Load(**orjson.loads(answer.stdout))


def on_core(core: int) -> list[str]:
    """Return the prefix of a command that keeps it on one core, where taskset is installed."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") else []


def _wrk(request: Request, clients: int, seconds: float, core: int, folder: Path) -> Load:
    script = folder / "post.lua"
    headers = {"Content-Type": "application/json", **request.headers}
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = [==[{request.body.decode()}]==]\n"
        + "".join(f"wrk.headers['{name}'] = '{value}'\n" for name, value in headers.items())
    )
    url = f"http://127.0.0.1:{request.port}{request.path}"
    options = ["-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(script), url]
    said = subprocess.run(
        [*on_core(core), "wrk", *options], capture_output=True, text=True, check=True
    ).stdout
    return read_wrk(said)


def read_wrk(said: str) -> Load:
    """Return what wrk's report says. Raises ValueError when it is none."""
    done = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", said)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    if done is None:
        raise ValueError(f"wrk said: {said}")
    seconds = float(done[2]) * (60 if done[3] == "m" else _UNITS[done[3]] / 1e3)
    lost = (int(failed[1]) if failed else 0) + sum(
        int(count) for count in (broken.groups() if broken else ())
    )
    return Load(int(done[1]), seconds, _wrk_percentile(said, "50"), _wrk_percentile(said, "99"), lost)


def _wrk_percentile(said: str, percent: str) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)$", said, re.MULTILINE)
    return float(found[1]) * _UNITS[found[2]] if found else float("nan")


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which that share of the sorted values lies (nearest rank); nan of none."""
    return ordered[int(share * (len(ordered) - 1))] if ordered else float("nan")


def closed_loop(request: Request, clients: int, seconds: float) -> Load:
    """The same by sockets of our own."""
    wire = request.wire()
    began: dict[socket.socket, float] = {}
    latencies: list[float] = []
    failed = 0
    with selectors.DefaultSelector() as selector:
        for _ in range(clients):
            one = socket.create_connection(("127.0.0.1", request.port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(one, selectors.EVENT_READ)
            began[one] = time.perf_counter()
            one.sendall(wire)
        start = now = time.perf_counter()
        while now < start + seconds:
            for key, _ in selector.select(0.1):
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                failed += not _answer(ready)
                now = time.perf_counter()
                latencies.append((now - began[ready]) * 1e3)
                began[ready] = now
                ready.sendall(wire)
            now = time.perf_counter()
        for one in began:
            one.close()
    latencies.sort()
    return Load(len(latencies), now - start, percentile(latencies, 0.5), percentile(latencies, 0.99), failed)


def _answer(one: socket.socket) -> bool:
    """Read one answer to its end; return whether it was a 200. Raises ConnectionError when it breaks off."""
    content = b""
    while (length := answer_length(content)) is None or len(content) < length:
        received = one.recv(65536)
        if not received:
            raise ConnectionError("the server closed the connection in the middle of an answer")
        content += received
    return content.startswith(b"HTTP/1.1 200")


_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def answer_length(content: bytes) -> int | None:
    """Return the bytes of the answer that `content` begins with; None while its head is not whole.

    Raises ValueError for an answer without Content-Length, which these loads cannot read.
    """
    end = content.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = _LENGTH.search(content, 0, end)
    if found is None:
        raise ValueError("an answer without Content-Length")
    return end + 4 + int(found[1])


if __name__ == "__main__":
    asked = orjson.loads(sys.stdin.buffer.read())
    asked["body"] = asked["body"].encode()
    sys.stdout.buffer.write(orjson.dumps(closed_loop(Request(**asked), int(sys.argv[1]), float(sys.argv[2]))))

"""The generators against a real server on a real socket, which answers slowly once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from load import Request, closed_loop
from open_loop import open_loop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Answers each request on each connection; counts them."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.requests = 0
        self.refuse_every = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        with one, suppress(ConnectionError):  # a client that leaves
            while one.recv(65536):
                with self._lock:
                    self.requests += 1
                    refused = self.refuse_every and self.requests % self.refuse_every == 0
                one.sendall(ANSWER.replace(b"200 OK", b"503 No") if refused else ANSWER)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that ends with the test."""
    one = Server()
    yield one
    one.listener.close()


def test_the_open_loop_sends_each_request_once(server: Server) -> None:
    """As many requests reach the server as were due, over the connections allowed, each with its answer."""
    request = Request(server.listener.getsockname()[1], "/", b"{}")
    table = open_loop(request, [number / 2000 for number in range(200)], connections=4)
    assert server.requests == 200
    assert table.finished
    assert table.failed == 0
    assert min(table.latencies_ms) > 0


def test_both_loops_count_refusals(server: Server) -> None:
    """An answer other than 200 is a failure in either loop."""
    server.refuse_every = 10
    request = Request(server.listener.getsockname()[1], "/", b"{}")
    assert open_loop(request, [0.0] * 100, connections=4).failed == 10
    server.requests = 0
    load = closed_loop(request, 2, 0.5)
    in_flight = 2  # answers that the server counted and the load did not wait for
    assert abs(load.failed - load.requests // 10) <= in_flight
    assert 0 <= server.requests - load.requests <= in_flight

"""The fault-injecting proxies do to a conversation what they say, count it, and heal."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import orjson
import pytest
from tests.faults.proxy import TcpProxy
from tests.faults.store_faults import StoreFaults, merge, split
from tests.logs_pipeline.fault_store import FaultStore, fault_store
from tests.servers import free_port, wait_for

ANSWER = b"done: " + b"x" * 100 + b"\n"


class LineServer:
    """Answers each line, and remembers it."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines, suppress(OSError):
            for line in lines:
                self.lines.append(line)
                client.sendall(ANSWER)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def server() -> Iterator[LineServer]:
    """A server that answers each line."""
    one = LineServer()
    yield one
    one.stop()


@pytest.fixture
def proxy(server: LineServer) -> Iterator[TcpProxy]:
    """A proxy before it, for which lines with WRITE carry weight."""
    one = TcpProxy(server.port, [b"WRITE"])
    yield one
    one.stop()


def connect(proxy: TcpProxy) -> socket.socket:
    """Return a connection through the proxy."""
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def ask(client: socket.socket, line: bytes) -> bytes:
    """Send a line and return everything up to the end of the answer or of the connection."""
    client.sendall(line)
    found = b""
    while not found.endswith(b"\n"):
        piece = client.recv(4096)
        if not piece:
            break
        found += piece
    return found


def test_without_a_fault_everything_passes(proxy: TcpProxy, server: LineServer) -> None:
    """Requests and answers come through unchanged, and those of weight are counted."""
    with connect(proxy) as client:
        assert ask(client, b"READ\n") == ANSWER
        assert ask(client, b"WRITE 1\n") == ANSWER
    assert server.lines == [b"READ\n", b"WRITE 1\n"]
    wait_for(lambda: proxy.marked == 1, 60, "the request of weight to be counted")
    assert sum(proxy.acted.values()) == 0


def test_refuse_ends_what_is_open_and_lets_nobody_in(proxy: TcpProxy) -> None:
    """The port refuses until it heals, and is nobody else's meanwhile."""
    with connect(proxy) as client:
        assert ask(client, b"READ\n") == ANSWER
        proxy.break_down("refuse")
        with pytest.raises(OSError):
            assert ask(client, b"READ\n") == b""
            raise ConnectionResetError
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
    assert proxy.acted["refuse"] == 1
    proxy.heal()
    with connect(proxy) as client:
        assert ask(client, b"READ\n") == ANSWER


def test_reset_comes_before_the_request_is_passed_on(proxy: TcpProxy, server: LineServer) -> None:
    """The server never sees the request; one without weight passes."""
    proxy.break_down("reset")
    with connect(proxy) as client:
        assert ask(client, b"READ\n") == ANSWER
        with pytest.raises(ConnectionResetError):
            ask(client, b"WRITE 1\n")
    assert server.lines == [b"READ\n"]
    assert proxy.acted["reset"] == 1


def test_a_lost_acknowledgement_is_of_a_request_that_was_done(proxy: TcpProxy, server: LineServer) -> None:
    """The server has done the request, the client gets not one byte of the answer."""
    proxy.break_down("lost")
    with connect(proxy) as client, pytest.raises(ConnectionResetError):
        ask(client, b"WRITE 1\n")
    assert server.lines == [b"WRITE 1\n"]
    assert proxy.acted["lost"] == 1
    proxy.heal()
    with connect(proxy) as client:
        assert ask(client, b"WRITE 1\n") == ANSWER


def test_cut_ends_in_the_middle_of_the_answer(proxy: TcpProxy, server: LineServer) -> None:
    """The client gets the first half of the answer and then the end of the connection."""
    proxy.break_down("cut")
    with connect(proxy) as client:
        found = b""
        with suppress(ConnectionResetError):
            found = ask(client, b"WRITE 1\n")
    assert found == ANSWER[: len(ANSWER) // 2]
    assert server.lines == [b"WRITE 1\n"]
    assert proxy.acted["cut"] == 1


def test_hang_takes_the_request_and_never_answers(proxy: TcpProxy, server: LineServer) -> None:
    """Nothing goes upstream while it hangs; the end of the fault resets the connection."""
    proxy.break_down("hang")
    with connect(proxy) as client:
        client.sendall(b"WRITE 1\n")
        wait_for(lambda: proxy.acted["hang"] == 1, 60, "the request to be taken")
        assert server.lines == []
        proxy.heal()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            ask(client, b"READ\n")
            ask(client, b"READ\n")
    assert server.lines == []


def test_slow_delays_and_changes_nothing(proxy: TcpProxy) -> None:
    """Every byte arrives, and the request of weight is counted."""
    proxy.break_down("slow")
    with connect(proxy) as client:
        assert ask(client, b"WRITE 1\n") == ANSWER
    assert proxy.acted["slow"] == 1


def test_an_action_comes_while_the_request_is_upstream(proxy: TcpProxy, server: LineServer) -> None:
    """It is called once, after the next request of weight was passed on."""
    called: list[int] = []
    proxy.at_next_request(lambda: called.append(proxy.marked))
    with connect(proxy) as client:
        for line in (b"READ\n", b"WRITE 1\n", b"WRITE 2\n"):
            assert ask(client, line) == ANSWER
    assert called == [1]


def test_nobody_upstream_looks_like_a_lost_connection() -> None:
    """When the server is dead the client notices at once: no connection, or one that is reset."""
    proxy = TcpProxy(free_port(), [b"WRITE"])
    found = b""
    with suppress(ConnectionResetError, BrokenPipeError), connect(proxy) as client:
        found = ask(client, b"WRITE 1\n")
    assert found == b""
    assert proxy.marked == 0
    proxy.stop()


@pytest.fixture
def store() -> Iterator[tuple[FaultStore, StoreFaults]]:
    """A store that remembers, and the faulty proxy before it."""
    with fault_store() as behind:
        faults = StoreFaults(behind.url)
        yield behind, faults
        faults.stop()


def bulk(faults: StoreFaults, *ids: str) -> httpx.Response:
    """Create documents with these ids."""
    lines = [part for key in ids for part in ({"create": {"_index": "i", "_id": key}}, {"n": key})]
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    return httpx.put(f"{faults.url}/_bulk", content=body, timeout=60)


@pytest.mark.parametrize("fault", ["503", "429"])
def test_a_bulk_refused_whole_never_reaches_the_store(
    store: tuple[FaultStore, StoreFaults], fault: str
) -> None:
    """The answer is the refusal, the store holds nothing, and other requests pass."""
    behind, faults = store
    faults.fault = fault  # type: ignore[assignment]  # one of the two
    answer = bulk(faults, "a", "b")
    assert answer.status_code == int(fault)
    assert answer.json()["error"]["type"] == "es_rejected_execution_exception"
    assert behind.bulks == []
    assert httpx.get(faults.url).json()["version"]["number"]
    assert sum(faults.acted.values()) == 1


def test_every_second_document_is_refused_within_the_answer(store: tuple[FaultStore, StoreFaults]) -> None:
    """Each item tells the truth: 201 for what the store holds, 429 for what it never saw, in the order asked."""
    behind, faults = store
    faults.fault = "429 for some documents"
    items = [item["create"] for item in bulk(faults, "a", "b", "c", "d", "e").json()["items"]]
    assert [(item["_id"], item["status"]) for item in items] == [
        ("a", 201),
        ("b", 429),
        ("c", 201),
        ("d", 429),
        ("e", 201),
    ]
    assert {key for _, key in behind.documents} == {"a", "c", "e"}
    assert faults.acted["429 for some documents"] == 2


def test_truncated_json_is_of_a_bulk_that_was_done(store: tuple[FaultStore, StoreFaults]) -> None:
    """The whole answer arrives as HTTP, its JSON does not; the documents are stored."""
    behind, faults = store
    faults.fault = "truncated JSON"
    answer = bulk(faults, "a", "b")
    assert answer.status_code == 200
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.content)
    assert len(behind.documents) == 2
    assert faults.acted["truncated JSON"] == 1


def test_a_bulk_is_split_and_merged_in_order() -> None:
    """Split keeps the first, third … document; merge puts a refusal behind each of their items."""
    actions = [orjson.dumps({"create": {"_id": str(number)}}) for number in range(3)]
    body = b"".join(action + b"\n{}\n" for action in actions)
    kept, refused = split(body)
    assert kept == actions[0] + b"\n{}\n" + actions[2] + b"\n{}\n"
    assert refused == [actions[1]]
    answer = orjson.dumps(
        {
            "errors": False,
            "items": [{"create": {"_id": "0", "status": 201}}, {"create": {"_id": "2", "status": 201}}],
        }
    )
    merged = orjson.loads(merge(answer, refused))
    assert merged["errors"] is True
    assert [(item["create"]["_id"], item["create"]["status"]) for item in merged["items"]] == [
        ("0", 201),
        ("1", 429),
        ("2", 201),
    ]

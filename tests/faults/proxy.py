"""A TCP proxy with faults: what a network, a dying peer or a lost reply do to a conversation.

A fault strikes requests that hold one of the proxy's `markers`, so that its count says how many requests
of weight (a write to the stream, a bulk) it really met; `slow`, and `hang` once it has met one, hold up
everything else too.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Literal, get_args

from tests.servers import free_port

Fault = Literal["refuse", "reset", "hang", "slow", "cut", "lost"]
"""refuse: no new connection, the open ones are reset. reset: the connection dies before the request is
passed on. hang: the request is taken and never answered. slow: each piece waits. cut: the connection ends
in the middle of the answer. lost: the request is passed on and done, its answer is thrown away."""
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
SLOW_SECONDS: Final = 0.05
"""Delay of each piece of up to 64 KiB."""
PIECE_BYTES: Final = 65536
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends RST."""


class TcpProxy:
    """Listens on loopback and passes bytes on to `upstream_port`, until told to do harm."""

    def __init__(self, upstream_port: int, markers: Sequence[bytes], port: int = 0) -> None:
        self.upstream_port = upstream_port
        """May change: a server that is started anew may listen elsewhere."""
        self.acted: Counter[Fault] = Counter()
        """Times each fault struck: marked requests, or for refuse the connections that were open."""
        self.marked = 0
        """Marked requests passed on."""
        self.hanging = False
        """Whether everything is held up since a marked request was."""
        self._markers = tuple(markers)
        self._overlap = max(map(len, markers)) - 1
        self._fault: Fault | None = None
        self._healed = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._at_next: Callable[[], None] | None = None
        self._closed = False
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = port or free_port()
        self._listener.bind(("127.0.0.1", self.port))  # by name: only such a port is kept while it refuses
        self._listen()

    @property
    def fault(self) -> Fault | None:
        """The fault that is in force."""
        return self._fault

    def break_down(self, fault: Fault) -> None:
        """Let `fault` be in force until `heal`."""
        with self._lock:
            self._fault = fault
            self._healed.clear()
        if fault == "refuse":
            # shut down, a bound listener keeps its port and refuses; nobody else can get it meanwhile
            self._listener.shutdown(socket.SHUT_RDWR)
            self._acceptor.join()
            self.acted["refuse"] += self._reset_all()

    def heal(self) -> None:
        """Pass everything on again; what hung is reset."""
        with self._lock:
            fault, self._fault = self._fault, None
            self.hanging = False
            self._healed.set()
        if fault == "refuse":
            self._listen()

    def at_next_request(self, action: Callable[[], None]) -> None:
        """Call `action` once, when the next marked request was passed on and before it is answered."""
        self._at_next = action

    def stop(self) -> None:
        """Listen no more and end every connection."""
        self._closed = True
        if self._fault != "refuse":
            self._listener.shutdown(socket.SHUT_RDWR)
        self._fault = None
        self._healed.set()
        self._acceptor.join()
        self._listener.close()
        self._reset_all()

    # What a connection asks

    def is_marked(self, data: bytes) -> bool:
        """Whether `data` holds a marker."""
        return any(marker in data for marker in self._markers)

    @property
    def overlap(self) -> int:
        """Bytes of the former piece in which a marker may begin."""
        return self._overlap

    def note(self, fault: Fault) -> None:
        """Count a strike of `fault`."""
        with self._lock:
            self.acted[fault] += 1
            self.hanging = fault == "hang"

    def passed_on(self) -> None:
        """Note a marked request that went upstream."""
        with self._lock:
            self.marked += 1
            action, self._at_next = self._at_next, None
        if action is not None:
            action()

    def pause(self) -> None:
        """Wait as long as a slow piece does."""
        self._healed.wait(SLOW_SECONDS)

    def await_healing(self) -> None:
        """Wait until no fault is in force."""
        self._healed.wait()

    def forget(self, connection: _Connection) -> None:
        """A connection ended."""
        with self._lock:
            self._connections.discard(connection)

    def _listen(self) -> None:
        self._listener.listen(128)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # shut down
                return
            try:
                upstream = socket.create_connection(("127.0.0.1", self.upstream_port), timeout=5)
            except OSError:
                _reset(client)  # nobody is there: as near to a refusal as one who listens can come
                continue
            upstream.settimeout(None)
            for end in (client, upstream):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(self, client, upstream)
            with self._lock:
                self._connections.add(connection)
            connection.start()

    def _reset_all(self) -> int:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.reset()
        return len(connections)


class _Connection:
    """One client and its counterpart upstream, a thread for each direction."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, upstream: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._upstream = upstream
        self._awaited = False
        """Whether a marked request waits for its answer."""
        self._directions = 2
        self._lock = threading.Lock()

    def start(self) -> None:
        for body in (self._requests, self._answers):
            threading.Thread(target=self._run, args=(body,), daemon=True).start()

    def reset(self) -> None:
        """Have both directions end, the client's by RST."""
        self._proxy.forget(self)
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RD)
        with suppress(OSError):
            self._upstream.shutdown(socket.SHUT_RDWR)

    def _run(self, body: Callable[[], None]) -> None:
        with suppress(OSError):
            body()
        self.reset()
        with self._lock:
            self._directions -= 1
            last = self._directions == 0
        if last:  # not earlier: the other thread could meet another connection under the same descriptor
            _reset(self._client)
            self._upstream.close()

    def _requests(self) -> None:
        tail = b""
        while data := self._client.recv(PIECE_BYTES):
            fresh = self._proxy.is_marked(tail + data)
            tail = b"" if fresh else data[-self._proxy.overlap :]
            self._awaited = self._awaited or fresh
            fault = self._proxy.fault
            if fresh and fault in {"reset", "hang", "slow"}:
                self._proxy.note(fault)
            if fault == "hang" and self._proxy.hanging:
                self._proxy.await_healing()
                return
            if fault == "reset" and self._awaited:
                return
            if fault == "slow":
                self._proxy.pause()
            self._upstream.sendall(data)
            if fresh:
                self._proxy.passed_on()

    def _answers(self) -> None:
        while data := self._upstream.recv(PIECE_BYTES):
            fault = self._proxy.fault
            if self._awaited and fault in {"cut", "lost"}:
                self._proxy.note(fault)
                if fault == "cut":
                    self._client.sendall(data[: len(data) // 2])
                    self._client.shutdown(socket.SHUT_WR)
                return
            if fault == "slow":
                self._proxy.pause()
            self._awaited = False
            self._client.sendall(data)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.close()

"""A proxy before a store that remembers what was asked of it and how it refused."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import orjson
from tests.store_requests import signature

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
TIMEOUT_SECONDS = 60


@dataclass
class Recording:
    """What went through: requests by endpoint, and the answers that were refusals."""

    requests: dict[str, set[str]] = field(default_factory=dict)
    """Endpoint → kinds of everything that was in its requests."""
    refusals: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Endpoint and HTTP status of each answer from 400 on."""
    items: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Status and error type ("" for none) of each document of a bulk."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, method: str, target: str, body: bytes, status: int, answer: bytes) -> None:
        """Remember one exchange."""
        endpoint, kinds = signature(method, target, body)
        with self._lock:
            self.requests.setdefault(endpoint, set()).update(kinds)
            if status >= 400:
                self.refusals[endpoint, status] += 1
            elif endpoint.endswith("_bulk"):
                with suppress(orjson.JSONDecodeError):  # a compressed answer stays unread
                    for item in orjson.loads(answer).get("items", ()):  # filter_path may leave it out
                        ((_, verdict),) = item.items()
                        kind = verdict.get("error", {}).get("type", "")
                        self.items[verdict["status"], kind] += 1

    def counted(self, status: int) -> int:
        """Return how many documents of bulks had `status` as their own."""
        return sum(count for (found, _), count in self.items.items() if found == status)


PLATFORM = Recording()
"""What the platform asked of a store, in the whole run."""
CONTRACT = Recording()
"""What the contract suite asked."""


class Handler(BaseHTTPRequestHandler):
    """Passes one connection's requests on; a proxy of another kind has a handler of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: StoreProxy

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = self.exchange(body)
        if found is None:
            self.close_connection = True  # as the store itself would look: the connection is lost
        else:
            self.answer(*found)

    def exchange(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes] | None:
        """Ask the store; None when the connection to it was lost."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        upstream = self.proxy.connect()
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may refuse before it has read all
                upstream.request(self.command, self.path, body or None, {**headers, **self.proxy.headers})
            answer = upstream.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            upstream.close()
        self.proxy.recording.note(self.command, self.path, body, answer.status, content)
        return answer, content

    def answer(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        """Answer with the head of `answer` and `content` as its body."""
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _forward  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no fault here."""


class StoreProxy:
    """Listens on loopback and passes everything on to `upstream`."""

    handler: type[Handler] = Handler

    def __init__(
        self,
        upstream: str,
        recording: Recording,
        port: int = 0,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.upstream = urlsplit(upstream)
        self.recording = recording
        self.headers = dict(headers or {})
        self._tls = tls
        handler = type("Handler", (self.handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", port), handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection of its own to the store: one kept open may have been closed meanwhile."""
        host, port = self.upstream.hostname or "127.0.0.1", self.upstream.port
        if self.upstream.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

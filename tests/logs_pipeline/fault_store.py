"""A tiny server that takes templates and bulks, and fails in every way a store can."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

Line = tuple[str, str, dict[str, Any]]
"""Index, id and fields of one document of a bulk."""
Answer = tuple[int, Any]
"""HTTP status and body: a JSON value, or bytes as they are."""


class FaultStore:
    """Remembers what was created; `faults` are called with each bulk, one after the other, before it is taken."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.bulks: list[list[Line]] = []
        self.faults: list[Callable[[list[Line]], Answer | None]] = []
        self.refuse: Callable[[Line], Answer | None] = lambda line: None
        """Called with each document: its own status and error, or None to take it."""
        self.lose_answers = 0
        """How many answers to bulks that were taken are lost."""
        self.url = ""

    def bulk(self, body: bytes) -> Answer | None:
        """Take a bulk; None when the answer is to be lost."""
        lines = self._lines(body)
        self.bulks.append(lines)
        if self.faults and (answer := self.faults.pop(0)(lines)) is not None:
            return answer
        items = [{"create": self._create(line)} for line in lines]
        if self.lose_answers:
            self.lose_answers -= 1
            return None
        return 200, {
            "took": 1,
            "errors": any(item["create"]["status"] != 201 for item in items),
            "items": items,
        }

    def _create(self, line: Line) -> dict[str, Any]:
        index, key, fields = line
        if (refusal := self.refuse(line)) is not None:
            return {"_index": index, "_id": key, "status": refusal[0], "error": refusal[1]}
        if (index, key) in self.documents:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "exists"}}
        self.documents[index, key] = fields
        return {"_index": index, "_id": key, "status": 201}

    def _lines(self, body: bytes) -> list[Line]:
        parts = [orjson.loads(part) for part in body.splitlines()]
        heads = [next(iter(part.values())) for part in parts[::2]]
        for part in parts[::2]:
            if "index" in part:  # takes the place of what is there
                self.documents.pop((part["index"]["_index"], part["index"]["_id"]), None)
        return [
            (head["_index"], head["_id"], fields) for head, fields in zip(heads, parts[1::2], strict=True)
        ]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up waiting is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: else 40 ms for each answer
    store: FaultStore

    def do_GET(self) -> None:
        if self.path == "/":
            version = {"number": "8.19.0", "build_flavor": "default"}
            self._answer(200, {"version": version, "tagline": "You Know, for Search"})
        elif self.path.endswith("/_mapping"):
            self._answer(200, {})
        else:
            self._answer(
                404, {"error": {"type": "resource_not_found_exception", "reason": "r"}, "status": 404}
            )

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path.endswith("/_search"):
            self._answer(200, {"hits": {"hits": []}})
        elif not path.endswith("/_bulk"):
            self._answer(200, {"acknowledged": True})
        elif (answer := self.store.bulk(body)) is not None:
            self._answer(*answer)
        else:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_POST = do_PUT  # noqa: N815 - the base class's name

    def _answer(self, status: int, body: Any) -> None:
        text = body if isinstance(body, bytes) else orjson.dumps(body)
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(body, bytes) else "application/json")
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def fault_store() -> Iterator[FaultStore]:
    """Run one on a free loopback port."""
    store = FaultStore()
    handler = type("Handler", (_Handler,), {"store": store})
    server = _Server(("127.0.0.1", 0), handler)
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

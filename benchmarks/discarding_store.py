"""A store for benchmarks: takes every bulk and keeps nothing, so that the pipeline's memory alone is seen.

`python benchmarks/discarding_store.py PORT`
"""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers as Elasticsearch would, had it stored everything."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The root and the mappings are there, templates and indices are not."""
        if self.path == "/":
            self._answer(200, b'{"version": {"number": "8.19.0", "build_flavor": "default"}}')
        elif self.path.endswith("/_mapping"):
            self._answer(200, b"{}")
        else:
            self._answer(
                404, b'{"error": {"type": "resource_not_found_exception", "reason": "r"}, "status": 404}'
            )

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def do_PUT(self) -> None:
        """A bulk is taken; so is every template."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.partition("?")[0].endswith("/_bulk"):
            self._answer(200, created(body.count(b"\n") // 2))
        elif self.path.partition("?")[0].endswith("/_search"):
            self._answer(200, b'{"hits": {"hits": []}}')
        else:
            self._answer(200, b'{"acknowledged": true}')

    do_POST = do_PUT  # noqa: N815 - the base class's name

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@lru_cache(maxsize=64)
def created(count: int) -> bytes:
    """Return the answer to a bulk of `count` documents."""
    items = [{"create": {"_index": "i", "_id": "d", "status": 201}}] * count
    return json.dumps({"took": 1, "errors": False, "items": items}).encode()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

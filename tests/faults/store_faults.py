"""A proxy before the store that answers bulks as a store in trouble does; all else passes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

import orjson
from tests.store_proxy import Handler, Recording, StoreProxy

BulkFault = Literal["503", "429", "429 for some documents", "truncated JSON"]
"""503 and 429: nothing is passed on. Some documents: every second one is refused without being passed on,
within an answer 200. Truncated: the bulk is done, its answer's body ends in the middle."""
BULK_FAULTS: Final[tuple[BulkFault, ...]] = get_args(BulkFault)
REJECTED: Final = {"type": "es_rejected_execution_exception", "reason": "rejected execution of a test"}


class _FaultyHandler(Handler):
    proxy: StoreFaults

    def _bulk(self) -> None:
        if not self.path.split("?")[0].endswith("/_bulk"):
            self._forward()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.fault
        if fault in {"503", "429"}:
            self.proxy.struck(fault)
            self._say(int(fault), {"error": REJECTED, "status": int(fault)})
            return
        refused: list[bytes] = []
        if fault == "429 for some documents":
            body, refused = split(body)
        accident = self.proxy.arrived()
        found = self.exchange(body)
        if accident is not None and accident.is_over():
            found = None  # what it may have answered went down with it
        if found is None:
            self.proxy.broken += 1
            self.close_connection = True
            return
        head, content = found
        if fault == "truncated JSON":
            self.proxy.struck(fault)
            content = content[: len(content) // 2]
        elif refused and fault is not None and head.status == 200:
            self.proxy.struck(fault, len(refused))
            content = merge(content, refused)
        self.answer(head, content)

    do_POST = do_PUT = _bulk  # noqa: N815 - the base class's names

    def _say(self, status: int, content: Any) -> None:
        text = orjson.dumps(content)
        self.send_response_only(status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class Accident(threading.Thread):
    """What happens to the store while a bulk is with it."""

    def __init__(self, action: Callable[[], None], fatal: bool) -> None:
        super().__init__(target=action, daemon=True)
        self._fatal = fatal

    def is_over(self) -> bool:
        """Wait for it; whether it was the store's end."""
        if self._fatal:
            self.join()
        return self._fatal


class StoreFaults(StoreProxy):
    """Passes requests on to `upstream`; `fault` says what becomes of bulks."""

    handler = _FaultyHandler

    def __init__(self, upstream: str, port: int = 0) -> None:
        super().__init__(upstream, Recording(), port)
        self.fault: BulkFault | None = None
        self.acted: Counter[BulkFault] = Counter()
        """Bulks that each fault met; documents, for the fault of some documents."""
        self.broken = 0
        """Bulks whose store went away while they were with it."""
        self._lock = threading.Lock()
        self._at_next: Accident | None = None

    def move(self, upstream: str) -> None:
        """Pass requests on to another address from now on."""
        self.upstream = urlsplit(upstream)

    def struck(self, fault: BulkFault, times: int = 1) -> None:
        """Count a strike of `fault`."""
        with self._lock:
            self.acted[fault] += times

    def at_next_bulk(self, action: Callable[[], None], *, fatal: bool) -> None:
        """Call `action` once in a thread, when the next bulk is about to be passed on.

        A `fatal` one ends the store: no answer to that bulk is passed back.
        """
        self._at_next = Accident(action, fatal)

    def arrived(self) -> Accident | None:
        """A bulk is about to be passed on; return what happens to the store meanwhile."""
        with self._lock:
            accident, self._at_next = self._at_next, None
        if accident is not None:
            accident.start()
        return accident


def split(body: bytes) -> tuple[bytes, list[bytes]]:
    """Return the bulk without every second document, and the actions of those."""
    lines = body.splitlines()
    kept = [line for at in range(0, len(lines), 4) for line in lines[at : at + 2]]
    return b"".join(line + b"\n" for line in kept), lines[2::4]


def merge(content: bytes, refused: list[bytes]) -> bytes:
    """Return the answer to a bulk with a refusal after each item, as if nothing had been kept back."""
    answer = orjson.loads(content)
    items: list[Any] = []
    for at, item in enumerate(answer["items"]):
        items.append(item)
        if at < len(refused):
            action = orjson.loads(refused[at])["create"]
            items.append({"create": {**action, "status": 429, "error": REJECTED}})
    return orjson.dumps({**answer, "errors": True, "items": items})

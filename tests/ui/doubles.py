"""Real servers for the tests of the front end: an ASGI application in a thread, and an API that fails on demand."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from tests.servers import wait_for

TRANSACTION = "019a0000-0000-7000-8000-000000000001"
ANSWER = {
    "prediction": 1,
    "label": "YES",
    "probability": 0.8731,
    "confidence": 0.8731,
    "message": "",
    "model_name": "lung_cancer",
    "model_version": "1.2.3",
    "transaction_id": TRANSACTION,
    "timestamp": "2026-11-20T10:30:45.123456Z",
}


@dataclass
class ApiDouble:
    """A real server in the API's place, for faults that the API does not produce on demand."""

    url: str = ""
    status: int = 200
    body: Any = field(default_factory=lambda: ANSWER)
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    """What /predict was sent."""
    elsewhere: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Path → status and body that differ from those of /predict."""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    """Path and JSON body of what those were sent."""

    def answer_with(self, status: int, body: Any, delay_seconds: float = 0.0, **headers: str) -> None:
        """Answer /predict so from now on; `body` is sent as JSON unless it is text."""
        self.status, self.body, self.delay_seconds, self.headers = status, body, delay_seconds, headers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return
        body = (await receive())["body"]
        if scope["path"] == "/predict":
            self.requests.append({"record": json.loads(body), "headers": dict(scope["headers"])})
            await asyncio.sleep(self.delay_seconds)
        status, answer = self.elsewhere.get(scope["path"], (self.status, self.body))
        if scope["path"] in self.elsewhere:
            self.asked.append((scope["path"], json.loads(body) if body else None))
        content = answer if isinstance(answer, str) else json.dumps(answer)
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content.encode()})


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an ASGI application on a free loopback port in a thread; the value is its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_for(lambda: server.started or not thread.is_alive(), what="the server")
        assert server.started
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)

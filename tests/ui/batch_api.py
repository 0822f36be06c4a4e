"""A real server that answers batches as the API does, and fails as it is told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.ui.doubles import served

from vigie.settings import load_settings
from vigie.ui.api_client import ApiClient

Message = dict[str, Any]


@dataclass
class BatchApi:
    """Answers YES where GENDER is 1; what is not a number from 0 to 120 is no AGE."""

    url: str = ""
    faults: list[str] = field(default_factory=list)
    """What goes wrong with the next requests: "503", "lost" (the answer), "nonsense", "500", or nothing ("")."""
    chunks: list[int] = field(default_factory=list)
    """Rows of every request that came."""
    request_ids: Counter[str] = field(default_factory=Counter)
    ages: list[object] = field(default_factory=list)
    """AGE of every row that was answered, in order."""
    together: int = 0
    most_together: int = 0
    hold: asyncio.Event | None = None
    """Answers wait for it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        records = json.loads(body)["records"]
        self.chunks.append(len(records))
        self.request_ids[dict(scope["headers"])[b"x-request-id"].decode()] += 1
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        fault = self.faults.pop(0) if self.faults else ""
        await asyncio.sleep(0.01)
        self.together -= 1
        await self._answer(send, fault, records)

    async def _answer(self, send: Any, fault: str, records: list[dict[str, Any]]) -> None:
        async def reply(status: int, content: object, **headers: str) -> None:
            given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": given})
            await send({"type": "http.response.body", "body": json.dumps(content).encode()})

        if fault == "503":
            await reply(503, {"title": "Busy", "detail": "the queue is full"}, retry_after="0")
        elif fault == "500":
            await reply(500, {"title": "Failed", "detail": "a fault inside"})
        elif fault == "nonsense":
            await reply(200, {"results": []})
        elif fault == "lost":
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9999")]}
            )
        else:
            self.ages += [record.get("AGE") for record in records]
            await reply(200, {"results": [self._row(n, record) for n, record in enumerate(records)]})

    @staticmethod
    def _row(index: int, record: dict[str, Any]) -> dict[str, Any]:
        own = {"index": index, "transaction_id": f"id-{record.get('AGE')}"}
        if not isinstance(record.get("AGE"), int):
            return {**own, "error": {"detail": "no", "errors": [{"field": "AGE", "reason": "is required"}]}}
        yes = record["GENDER"] == 1
        probability = 0.75 if yes else 0.25
        return {
            **own,
            "prediction": int(yes),
            "label": "YES" if yes else "NO",
            "probability": probability,
        } | {"confidence": 0.75}


@contextmanager
def batch_api() -> Iterator[BatchApi]:
    """Serve a double for a while."""
    double = BatchApi()
    with served(double) as double.url:
        yield double


def client_of(url: str) -> ApiClient:
    """Return the page's client for the API at `url`."""
    return ApiClient(load_settings({"API_URL": url}, None).api)

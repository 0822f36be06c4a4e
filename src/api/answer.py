"""An answer ready to be sent."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Send

from vigie.api.exchange import Exchange
from vigie.api.problems import PROBLEM_TYPE, Problem

JSON_TYPE = b"application/json"

RawHeaders = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Answer:
    """Status, body and headers of a response; the gateway adds what every response carries."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON_TYPE
    headers: RawHeaders = ()

    @classmethod
    def of_problem(cls, problem: Problem, exchange: Exchange) -> Answer:
        """Return the problem document that answers `exchange`."""
        body = problem.body(transaction_id=exchange.instant.id, instance=exchange.path)
        extra = tuple((name.lower().encode(), value.encode()) for name, value in problem.headers.items())
        return cls(body, problem.status, PROBLEM_TYPE.encode(), extra)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of this answer, without those that every response carries."""
        return [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            *self.headers,
        ]

    async def send(self, send: Send) -> None:
        """Send it as one response."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.raw_headers()})
        await send({"type": "http.response.body", "body": self.body})

"""A running installation that browser tests share, and can break for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from tests.dashboards.seed import Event
from tests.servers import wait_for
from tests.stack import Stack

from vigie.schema import FeatureSchema


@dataclass
class Installation:
    """Everything running, with the seeded events of 17 and 18 November 2026 in the store."""

    stack: Stack
    schema: FeatureSchema
    events: list[Event]
    """The seeded events, as tests/dashboards/expected.py takes them."""

    @property
    def url(self) -> str:
        """Base URL of the front end."""
        return self.stack.url("ui")

    def predict(self, **changed: Any) -> str:
        """Send a prediction by the API, the schema's example but for `changed`; return its transaction id."""
        record = {**self.schema.example(), **changed}
        answer = httpx.post(f"{self.stack.url('api')}/predict", json=record, timeout=30)
        return str(answer.headers["X-Transaction-Id"])

    def indexed(self, transaction_id: str) -> dict[str, Any]:
        """Wait until the prediction is in the store; return what GET /predict/{id} says of it."""

        def found() -> dict[str, Any] | None:
            answer = httpx.get(f"{self.stack.url('api')}/predict/{transaction_id}", timeout=30)
            return dict(answer.json()) if answer.status_code == 200 else None

        return wait_for(found, 120, f"{transaction_id} to be indexed")

    def streamed(self, transaction_id: str) -> None:
        """Wait until the prediction has left the API's journal, with nothing running that indexes it."""

        def arrived() -> bool:
            answer = httpx.get(f"{self.stack.url('api')}/predict/{transaction_id}", timeout=30)
            return bool(answer.json().get("state") == "stream")

        wait_for(arrived, 60, f"{transaction_id} to be in the stream")

    @contextmanager
    def without(self, *services: str) -> Iterator[None]:
        """Kill services (api, store, redis, pipeline) for the time of the block, then start them again."""
        for name in services:
            self.stack.kill(name)
        try:
            yield
        finally:
            self.stack.start(*services)

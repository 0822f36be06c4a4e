"""The page's way to the API: one pooled client, time-outs, an id with every request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx
from loguru import logger

from vigie.schema import Value
from vigie.settings import ApiSettings
from vigie.telemetry.ids import new_instant
from vigie.ui.outcome import Failure, Outcome, failure_of, outcome_of

CONNECT_SECONDS: Final = 2.0
ANSWER_MARGIN_SECONDS: Final = 2.0
"""Waited beyond REQUEST_TIMEOUT, so that the API's own 504 (with its transaction id) arrives first."""
PROBE_SECONDS: Final = 1.0


class ApiClient:
    """Asks the API for predictions; belongs to one event loop."""

    def __init__(self, settings: ApiSettings) -> None:
        self.url = settings.url.rstrip("/")
        answer = settings.request_timeout + ANSWER_MARGIN_SECONDS
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(answer, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
            trust_env=False,  # the API is a neighbour, not behind the proxy of this machine
        )

    async def predict(self, record: Mapping[str, Value]) -> Outcome:
        """Return the API's prediction for `record`, or why there is none: a fault of the API never raises."""
        request_id = new_instant().id
        try:
            response = await self._client.post(
                f"{self.url}/predict", json={**record}, headers={"X-Request-ID": request_id}
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            logger.warning(
                "no answer from the API at {} to request {}: {}", self.url, request_id, repr(error)
            )
            return failure_of(error, self.url, request_id)
        outcome = outcome_of(response, request_id)
        if isinstance(outcome, Failure):
            logger.warning("the API answered request {} with {}", request_id, response.status_code)
        return outcome

    async def reachable(self) -> bool:
        """Return whether the API's process answers at all."""
        try:
            response = await self._client.get(f"{self.url}/livez", timeout=PROBE_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return response.is_success

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

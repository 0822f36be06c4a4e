"""The page's way to the API: one pooled client, time-outs, an id with every request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from loguru import logger

from vigie.schema import Value
from vigie.settings import ApiSettings
from vigie.telemetry.ids import new_instant
from vigie.ui.outcome import Failure, Outcome, failure_of, not_our_api, outcome_of, refusal_of

CONNECT_SECONDS: Final = 2.0
ANSWER_MARGIN_SECONDS: Final = 2.0
"""Waited beyond REQUEST_TIMEOUT, so that the API's own 504 (with its transaction id) arrives first."""
PROBE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Answer:
    """What the API answered to a question: a success."""

    status: int
    json: Any
    """The decoded body; None when it has none."""
    headers: Mapping[str, str] = field(default_factory=dict)


class ApiFaultError(Exception):
    """The API refused, failed or did not answer; `failure` says it for a visitor."""

    def __init__(
        self,
        failure: Failure,
        status: int | None = None,
        document: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(failure.in_one_line())
        self.failure = failure
        self.status = status
        """The API's status; None when no answer came."""
        self.document = document or {}
        """The problem document as it came, for what it says beyond the standard's fields."""
        self.headers = headers or {}
        """The answer's headers, such as Retry-After."""


class ApiClient:
    """Asks the API; belongs to one event loop."""

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

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: object = None,
        content: bytes | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Return the API's answer to `method` `path`, at most `timeout` seconds later (default: as /predict).

        The body is `json`, or `content`, which is JSON already; attempts at one thing share a `request_id`
        (a UUID). A parameter that is None is not sent. Raises ApiFaultError when the API does not answer,
        answers with an error, or with what is no JSON.
        """
        request_id = request_id or new_instant().id
        headers = {"X-Request-ID": request_id} | ({"Content-Type": "application/json"} if content else {})
        wanted = {name: value for name, value in (params or {}).items() if value is not None}
        limit = httpx.Timeout(timeout, connect=CONNECT_SECONDS) if timeout else httpx.USE_CLIENT_DEFAULT
        try:
            response = await self._client.request(
                method,
                f"{self.url}{path}",
                params=wanted,
                json=json,
                content=content,
                headers=headers,
                timeout=limit,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            logger.warning("no answer from the API at {} to {} {}: {}", self.url, method, path, repr(error))
            raise ApiFaultError(failure_of(error, self.url, request_id)) from error
        try:
            document = response.json() if response.content else None
        except ValueError as error:
            raise ApiFaultError(not_our_api(response, request_id), response.status_code) from error
        if response.is_success:
            return Answer(response.status_code, document, response.headers)
        known = document if isinstance(document, dict) else None
        raise ApiFaultError(refusal_of(response, request_id), response.status_code, known, response.headers)

    async def health(self, timeout: float) -> Any:
        """Return what GET /health says, decoded; None when nothing answers or what answers is no JSON.

        Every open page asks again and again, so nothing is logged.
        """
        try:
            return (await self._client.get(f"{self.url}/health", timeout=timeout)).json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None

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

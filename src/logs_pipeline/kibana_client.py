"""The connection to Kibana: its HTTP API, waiting until it is ready, and its refusals in words."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Self

import httpx

from vigie.errors import VigieError
from vigie.settings import StoreSettings

OLDEST: Final = (8, 3)
"""Oldest Kibana that understands the objects: they are written at its level."""
TIMEOUT_SECONDS: Final = 60.0
"""An import of dashboards into a Kibana that has just started takes its time."""
PAUSE_SECONDS: Final = 1.0

REMEDIES: Final[Mapping[int, str]] = {
    401: "it does not accept the credentials; set ES_API_KEY, or ES_USERNAME and ES_PASSWORD",
    403: "the credentials lack a right; give them all privileges on Saved Objects Management, Stack Rules, "
    "and Actions and Connectors in this space",
    404: "it does not know this address; set KIBANA_URL to Kibana's own, with basePath or /s/<space> if any",
    409: "somebody else changed the same object at the same moment; run `vigie provision` again",
    413: "the objects are too large for it; raise savedObjects.maxImportPayloadBytes in kibana.yml",
    422: "the objects are of a newer format than it knows; use Kibana 8.3 or newer",
    503: "it is not ready; wait until its status is green, or see its log",
}
"""HTTP status of a refusal → what to do."""


class KibanaError(VigieError):
    """Kibana is away or refuses; the message says what was asked, what it answered and what to do."""


class KibanaClient:
    """Requests to one Kibana (and space)."""

    def __init__(self, settings: StoreSettings) -> None:
        self.url = settings.kibana_url.rstrip("/")
        headers, user = {"kbn-xsrf": "vigie"}, None
        if settings.es_api_key is not None:
            headers["authorization"] = f"ApiKey {settings.es_api_key.get_secret_value()}"
        elif settings.es_username is not None and settings.es_password is not None:
            user = (settings.es_username, settings.es_password.get_secret_value())
        certificates = settings.es_ca_certs
        try:
            self._client = httpx.Client(
                base_url=self.url,
                headers=headers,
                auth=user,
                timeout=TIMEOUT_SECONDS,
                verify=ssl.create_default_context(cafile=certificates) if certificates else True,
                trust_env=False,
            )
        except OSError as error:
            raise KibanaError(f"ES_CA_CERTS {settings.es_ca_certs}: cannot be read ({error})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def wait(self, seconds: float, say: Callable[[str], None], pause: float = PAUSE_SECONDS) -> None:
        """Wait until Kibana serves.

        Raises KibanaError when it does not within `seconds`, and at once when it refuses or is too old.
        """
        end = time.monotonic() + seconds
        told = False
        while True:
            problem = self._not_ready()
            if problem is None:
                return
            if time.monotonic() >= end:
                raise KibanaError(f"Kibana at {self.url} is not ready after {seconds:.0f} s: {problem}")
            if not told:
                say(f"waiting for Kibana at {self.url}: {problem}")
                told = True
            time.sleep(min(pause, max(0.0, end - time.monotonic())))

    def _not_ready(self) -> str | None:
        """Return why Kibana does not serve yet; None when it does."""
        try:
            answer = self._client.get("/api/status")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"it does not answer ({error}); check KIBANA_URL"
        if answer.status_code in {502, 503, 504}:
            return f"it answers {answer.status_code} ({_message(answer)})"
        status = self._body("GET", "/api/status", answer, ())
        if not isinstance(status, dict) or "status" not in status:
            raise KibanaError(f"{self.url} is not Kibana: /api/status has no status; correct KIBANA_URL")
        number = str(status.get("version", {}).get("number", ""))
        version = re.match(r"(\d+)\.(\d+)", number)
        if version and (int(version[1]), int(version[2])) < OLDEST:
            raise KibanaError(f"Kibana at {self.url} is {number}: 8.3 or newer is needed")
        level = str(status["status"].get("overall", {}).get("level", "available"))
        return None if level in {"available", "degraded"} else f"its status is {level}"

    def ask(self, method: str, path: str, json: object = None, *, missing: Collection[int] = (404,)) -> Any:
        """Send one request and return the JSON of its answer; None when its status is among `missing`.

        Raises KibanaError when Kibana refuses or does not answer.
        """
        return self._body(method, path, self._send(method, path, json=json), missing)

    def upload(self, path: str, name: str, content: bytes) -> Any:
        """Send a file and return the JSON of the answer. Raises KibanaError."""
        files = {"file": (name, content, "application/ndjson")}
        return self._body("POST", path, self._send("POST", path, files=files), ())

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **content)
        except httpx.HTTPError as error:
            raise KibanaError(f"Kibana at {self.url} does not answer {method} {path} ({error!r})") from error

    def _body(self, method: str, path: str, answer: httpx.Response, missing: Collection[int]) -> Any:
        if answer.status_code in missing:
            return None
        if not answer.is_success:
            remedy = REMEDIES.get(answer.status_code, "see Kibana's log")
            said = f"{answer.status_code} {_message(answer)}".strip()
            raise KibanaError(f"Kibana at {self.url} refuses {method} {path} ({said}): {remedy}")
        try:
            return answer.json()
        except ValueError as error:
            raise KibanaError(f"{self.url} is not Kibana: {path} has no JSON; correct KIBANA_URL") from error


def _message(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.text.strip()[:200]
    return str(body.get("message") or body.get("error") or "")[:500] if isinstance(body, dict) else ""

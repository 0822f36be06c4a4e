"""The front end of another installation as the http source sees it: its pages, or why there is none.

A Space that is asleep, starting, private or gone answers in many ways, none of them a page: each is told
with its remedy. Redirects are not followed, so the token goes to no other host.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import httpx
import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, ValidationError

from vigie.logs_pipeline.bridges.bridge import BridgeError
from vigie.telemetry.stream.reader import checked_id, position

TIMEOUTS: Final = httpx.Timeout(5.0, connect=3.0)
"""Seconds without any byte; an answer that drips is bounded by LONGEST_ANSWER_SECONDS."""
LONGEST_ANSWER_SECONDS: Final = 60.0
LARGEST_ANSWER_BYTES: Final = 64 * 1024 * 1024
LONGEST_PAUSE_SECONDS: Final = 300.0
ASLEEP: Final = (
    "{url} answers {status} with a page for people: a Space that is asleep or starts does so; it is asked "
    "again by itself, opening it in a browser wakes it; else correct GRADIO_URL (the Space's own address is "
    "https://<user>-<space>.hf.space)"
)

EntryId = Annotated[str, AfterValidator(checked_id)]


class Entry(BaseModel):
    """One entry of a page; the parts of the event are whatever was written there."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: EntryId

    def parts(self) -> dict[str, Any]:
        """Return its fields as they came, however deeply nested: model_dump raises beyond 255 levels."""
        return {**(self.model_extra or {}), "id": self.id}


class Page(BaseModel):
    """A page of `/logs_api`."""

    model_config = ConfigDict(strict=True)

    logs: list[Entry]
    next: str
    oldest: EntryId | None

    size: int = 0
    """Bytes of the answer."""


class FrontEnd:
    """Asks one front end for pages."""

    def __init__(
        self, url: str, token: SecretStr | None, *, longest_seconds: float = LONGEST_ANSWER_SECONDS
    ) -> None:
        self.url = url.rstrip("/")
        self._longest_seconds = longest_seconds
        self._token = token
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        # A proxy of the environment is for the way out, never for this machine.
        self._client = httpx.Client(headers=headers, timeout=TIMEOUTS, trust_env=not _local(url))

    def page(self, after: str, limit: int, consumer: str, keep_turn: Callable[[], None]) -> Page:
        """Return the page after the entry `after`, whose taking it confirms for `consumer`.

        `keep_turn` is called while the answer comes in. Raises BridgeError.
        """
        query: dict[str, str | int] = {"after": after, "limit": limit, "consumer": consumer}
        try:
            with self._client.stream("GET", f"{self.url}/logs_api", params=query) as answer:
                body = self._read(answer, keep_turn)
        except httpx.TimeoutException as error:
            raise BridgeError(
                f"{self.url} did not answer in time ({type(error).__name__}): it is asked again by itself; a "
                "Space that starts takes a minute"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BridgeError(
                f"{self.url} does not answer ({error}): start the front end, or correct GRADIO_URL"
            ) from error
        if answer.status_code != 200:
            raise BridgeError(self._refusal(answer, body), _retry_after(answer))
        return self._parsed(answer, body, after)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _read(self, answer: httpx.Response, keep_turn: Callable[[], None]) -> bytes:
        body, deadline = bytearray(), time.monotonic() + self._longest_seconds
        for part in answer.iter_bytes():
            body += part
            keep_turn()
            if len(body) > LARGEST_ANSWER_BYTES:
                raise BridgeError(f"{self.url} answers more than {LARGEST_ANSWER_BYTES} bytes: {_REMEDY}")
            if time.monotonic() > deadline:
                raise BridgeError(
                    f"{self.url} was still answering after {self._longest_seconds:.0f} s: the connection or "
                    "the Space is too slow; it is asked again by itself"
                )
        return bytes(body)

    def _refusal(self, answer: httpx.Response, body: bytes) -> str:
        """Say what an answer that is no page means, and what to do."""
        status = answer.status_code
        if answer.is_redirect:
            target = answer.headers.get("Location", "nowhere")[:200]
            return (
                f"{self.url} sends to {target} ({status}): a Space that is asleep does so, opening it in a "
                "browser wakes it; else set GRADIO_URL to the final address (redirects are not followed)"
            )
        detail = _detail(answer, body)
        if status in (401, 403) and not detail:
            if self._token is None:
                return f"{self.url} demands a token ({status}): set HF_TOKEN to one that may read the Space"
            return f"{self.url} refuses HF_TOKEN ({status}): make one that may read the Space"
        if detail:
            return f"{self.url} refuses ({status}): {detail}"
        if status == 404:
            return f"{self.url} has no /logs_api (404): correct GRADIO_URL" + (
                ", or set HF_TOKEN if the Space is private" if self._token is None else ""
            )
        if status == 429:
            return f"{self.url} is asked too often (429): it is asked less often for now; raise POLL_INTERVAL"
        if _is_html(answer, body):
            return ASLEEP.format(url=self.url, status=status)
        return f"{self.url} fails ({status}): look at its log; it is asked again by itself"

    def _parsed(self, answer: httpx.Response, body: bytes, after: str) -> Page:
        if _is_html(answer, body):
            raise BridgeError(ASLEEP.format(url=self.url, status=answer.status_code))
        try:
            page = Page.model_validate(orjson.loads(body))
        except orjson.JSONDecodeError as error:
            raise BridgeError(f"{self.url}/logs_api does not answer JSON ({error}): {_REMEDY}") from error
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"]) or "the answer"
            told = f"{where}: {fault['msg']}"
            raise BridgeError(f"{self.url}/logs_api answers no page ({told}): {_REMEDY}") from error
        places = [position(after or "0-0"), *(position(entry.id) for entry in page.logs)]
        if any(later <= earlier for earlier, later in pairwise(places)):
            raise BridgeError(f"{self.url}/logs_api gives entries out of order: {_REMEDY}")
        return page.model_copy(update={"size": len(body)})


_REMEDY: Final = "is GRADIO_URL the front end of a Vigie of this version?"


def _detail(answer: httpx.Response, body: bytes) -> str:
    """Return the reason in a problem document; "" when it is none."""
    if "json" not in answer.headers.get("Content-Type", ""):
        return ""
    try:
        problem: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return detail[:300] if isinstance(detail, str) and "title" in problem else ""


def _is_html(answer: httpx.Response, body: bytes) -> bool:
    return "html" in answer.headers.get("Content-Type", "") or body.lstrip()[:1] == b"<"


def _retry_after(answer: httpx.Response) -> float:
    value = answer.headers.get("Retry-After", "")
    return min(float(value), LONGEST_PAUSE_SECONDS) if value.isascii() and value.isdigit() else 0.0


def _local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

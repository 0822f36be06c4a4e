"""The commands' way to the API: one request, a JSON answer, or an error that says what to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import httpx

from vigie.errors import VigieError
from vigie.settings import Settings

TIMEOUT_SECONDS = 30.0


class ApiError(VigieError):
    """The API is away or refused; the message is its own reason."""


def ask_api(
    settings: Settings,
    method: str,
    path: str,
    *,
    query: Mapping[str, str | int] | None = None,
    body: object = None,
    expected: Collection[int] = (200,),
) -> dict[str, Any]:
    """Send one request to the API of `settings` and return its JSON answer.

    Raises ApiError when the API does not answer, or answers with a status that is not `expected`.
    """
    url = settings.api.url
    try:
        answer = httpx.request(
            method, url + path, params=query, json=body, timeout=TIMEOUT_SECONDS, trust_env=False
        )
    except httpx.HTTPError as error:
        raise ApiError(f"the API at {url} does not answer ({error}): start it with `make run-api`") from error
    if answer.status_code not in expected:
        raise ApiError(f"{method} {path}: {answer.status_code} {_reason(answer)}")
    content = answer.json()
    if not isinstance(content, dict):
        raise ApiError(f"{method} {path}: the answer is not a JSON object; is {url} Vigie's API?")
    return content


def _reason(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        faults = "; ".join(f"{fault['field']}: {fault['reason']}" for fault in problem.get("errors", []))
        return " — ".join(part for part in (problem.get("title"), problem.get("detail"), faults) if part)
    except (ValueError, AttributeError, KeyError, TypeError):
        return answer.text[:200]

"""A logged request as a curl command that repeats it, safe to paste into a shell."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

REJECTED_INPUT_BYTES: Final = 4096
"""A refused body of so many bytes may have been longer: it cannot be repeated."""
_METHOD: Final = re.compile(r"[A-Z]{1,16}")
_BODILESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_SLACK: Final = 4
"""Bytes by which a cut body may be shorter, since no character is cut in two."""


def curl_command(api_url: str, data: Mapping[str, Any]) -> str | None:
    """Return the command that sends the request of an event's `data` again; None when that cannot be.

    A row of a batch is sent as a batch of one. The query string and the headers are not stored, and so not
    sent. None stands for what is no request, has a body that is not stored whole, or would put control
    characters into a terminal.
    """
    method, path = data.get("method"), data.get("path")
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        return None
    if not isinstance(path, str) or not path.startswith("/"):
        return None
    # quoted also against curl itself, which takes {} and [] in an address for patterns
    words = ["curl", "--globoff", "--request", method, api_url.rstrip("/") + quote(path, safe="/~:@,;=+$")]
    if method not in _BODILESS:
        body = _body(data)
        if body is None:
            return None
        words += ["--header", "Content-Type: application/json", "--data-raw", body]
    return " ".join(shlex.quote(word) for word in words)


def _body(data: Mapping[str, Any]) -> str | None:
    """Return the body as it was sent, as far as it is stored."""
    if isinstance(data.get("input_data"), Mapping):
        record = dict(data["input_data"])
        if isinstance(data.get("subject_id"), str):
            record["subject_id"] = data["subject_id"]
        return _as_json(data, record)
    refused = data.get("rejected_input")
    if isinstance(refused, str):
        whole = len(refused.encode("utf-8", "replace")) <= REJECTED_INPUT_BYTES - _SLACK
        harmless = all(character.isprintable() or character in "\n\t" for character in refused)
        return refused if whole and harmless else None
    return None if refused is None else _as_json(data, refused)


def _as_json(data: Mapping[str, Any], value: object) -> str:
    """ASCII only: what a terminal would act upon is escaped."""
    return json.dumps([value] if data.get("batch_id") else value)

"""What the store's answer means for a document: the one table that decides retry or dead letter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Ruling = Literal["done", "retry", "dead", "blocked", "unclear", "too_large"]
"""done: stored. retry: try again. dead: this document can never be stored. blocked: index, cluster or
rights stand in the way; try again once somebody has applied the remedy. unclear: the server failed;
dead only when the document fails alone while the store is healthy. too_large: send fewer at once."""

DOCUMENT_FAULTS: Final = frozenset(
    {"document_parsing_exception", "mapper_parsing_exception", "strict_dynamic_mapping_exception"}
)
"""Error types that only the document itself can cause."""
DOCUMENT_REASONS: Final = ("immense term", "id is too long")
"""Reasons that make an illegal_argument_exception the document's own fault."""
BUSY: Final = frozenset({429, 502, 503, 504})

REMEDIES: Final[Mapping[str, str]] = {
    "security_exception": "check ES_API_KEY, or ES_USERNAME and ES_PASSWORD, and their rights on the indices",
    "cluster_block_exception": "free disk space if it is short, then remove the index.blocks setting",
    "index_closed_exception": "open the index again, or delete it",
    "index_not_found_exception": "allow action.auto_create_index for the platform's indices",
    "validation_exception": "delete old indices (RETENTION_DAYS) or raise cluster.max_shards_per_node",
    "illegal_argument_exception": "compare the index's mapping with its template: `make provision`",
}
_BY_STATUS: Final[Mapping[int, str]] = {
    401: "set ES_API_KEY, or ES_USERNAME and ES_PASSWORD",
    403: "give the credentials the right to create and write the platform's indices",
    404: "check ES_HOST and ES_PORT, and allow action.auto_create_index for the platform's indices",
}

_BUSY_REMEDY: Final = (
    "it is tried again, with less at once; if that lasts, give the store more memory or nodes"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A ruling and why."""

    ruling: Ruling
    text: str = ""
    trips: bool = False
    """Whether everything else would fail the same way: the circuit breaker opens."""
    status: int = 0
    """HTTP status of the document or the request; 0 when there was no answer."""
    type: str = ""
    """The store's type of error; empty when it gave none."""
    reason: str = ""
    """The store's own reason, with its cause."""


DONE: Final = Fault("done")


def item(status: int, error: Mapping[str, Any] | None) -> Fault:
    """Return the ruling on one document of a bulk, from its status and error object."""
    if status in {200, 201, 409}:  # 409: stored by an earlier attempt whose answer was lost
        return DONE
    kind = str((error or {}).get("type", ""))
    reason = str((error or {}).get("reason", ""))
    caused = (error or {}).get("caused_by")
    said = reason + (f" ({caused['reason']})" if isinstance(caused, dict) and caused.get("reason") else "")
    detail = f"{kind}: {said}"
    if status == 400 and (kind in DOCUMENT_FAULTS or any(known in reason for known in DOCUMENT_REASONS)):
        return Fault("dead", detail, False, status, kind, said)
    if status == 413:
        return Fault("too_large", detail, False, status, kind, said)
    if status in BUSY and kind not in REMEDIES:
        return Fault("retry", f"the store is busy ({status} {detail}): {_BUSY_REMEDY}")
    if status >= 500 and kind not in REMEDIES:
        text = f"the store failed ({status} {detail}): see the store's own log"
        return Fault("unclear", text, False, status, kind, said)
    return Fault("blocked", _with_remedy(status, kind, detail), trips=True)


def whole_request(status: int, kind: str, reason: str) -> Fault:
    """Return the ruling on every document of a request that was refused as a whole."""
    fault = item(status, {"type": kind, "reason": reason})
    if fault.ruling == "dead":  # a whole request is never one document's fault
        return Fault("blocked", _with_remedy(status, kind, f"{kind}: {reason}"), trips=True)
    if status in BUSY:
        return Fault("retry", fault.text, trips=True)
    return fault


def _with_remedy(status: int, kind: str, detail: str) -> str:
    remedy = REMEDIES.get(kind) or _BY_STATUS.get(status) or "see the store's own log"
    return f"the store refuses to write ({status} {detail}): {remedy}"

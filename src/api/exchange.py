"""One HTTP request and what becomes known of it on its way: the source of its answer and of its event."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.types import Scope

from vigie.api.roles import Principal
from vigie.telemetry.event import REQUEST, FieldError, Kind, ModelIdentity, Stages
from vigie.telemetry.ids import new_instant

if TYPE_CHECKING:
    from vigie.api.validation import Record, Rejected
    from vigie.model.inference import Inference

    Row = tuple[str, Record | Rejected, Inference | None]
    """A row of a batch: its transaction id, its record or why it is none, and its answer if it has one."""

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")
"""A client's own request id that is taken as it is: no spaces, no control characters, no markup."""
TRACEPARENT: Final = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, version 00; the first group is the trace id."""


class Exchange:
    """A request between its arrival and its event."""

    __slots__ = (
        "body",
        "correlation_id",
        "cpu_ns",
        "errors",
        "headers",
        "inference",
        "input_data",
        "instant",
        "kind",
        "method",
        "model",
        "path",
        "principal",
        "rows",
        "stages",
        "started_ns",
        "subject_id",
    )

    def __init__(
        self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], principal: Principal
    ) -> None:
        self.started_ns = time.perf_counter_ns()
        self.instant = new_instant()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = headers
        self.principal = principal
        self.correlation_id = correlation_id(headers)
        self.kind: Kind = REQUEST
        self.model: ModelIdentity | None = None
        self.body = b""
        self.errors: Sequence[FieldError] = ()
        self.stages: Stages = {}
        self.cpu_ns = 0
        self.input_data: Record | None = None
        self.inference: Inference | None = None
        self.subject_id: str | None = None
        """Who a refused record is about; an accepted one says it itself."""
        self.rows: Sequence[Row] = ()

    def elapsed_ms(self) -> float:
        """Return the milliseconds since the request arrived."""
        return (time.perf_counter_ns() - self.started_ns) / 1e6


def exchange_of(scope: Scope) -> Exchange:
    """Return the exchange that the gateway has put into `scope`."""
    exchange: Exchange = scope["state"]["exchange"]
    return exchange


def correlation_id(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the valid X-Request-ID, else the trace id of a valid W3C traceparent, else None."""
    given = headers.get(b"x-request-id")
    if given is not None and REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    parent = headers.get(b"traceparent")
    found = TRACEPARENT.fullmatch(parent) if parent is not None else None
    return found[1].decode("ascii") if found else None

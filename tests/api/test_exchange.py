"""Correlation ids: only well-formed ones are taken from outside."""

from __future__ import annotations

import pytest

from vigie.api.exchange import correlation_id

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = b"00-" + TRACE + b"-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({}, None),
        ({b"x-request-id": b"order-17/a_b:c"}, "order-17/a_b:c"),
        ({b"x-request-id": b"x" * 128}, "x" * 128),
        ({b"x-request-id": b"x" * 129}, None),
        ({b"x-request-id": b""}, None),
        ({b"x-request-id": b"two words"}, None),
        ({b"x-request-id": b"a\nb"}, None),
        ({b"x-request-id": b"a\n"}, None),
        ({b"x-request-id": b"<script>"}, None),
        ({b"x-request-id": "é".encode()}, None),
        ({b"traceparent": PARENT}, TRACE.decode()),
        ({b"traceparent": PARENT + b"\n"}, None),
        ({b"traceparent": PARENT.upper()}, None),
        ({b"traceparent": PARENT.replace(TRACE, b"0" * 32)}, None),
        ({b"traceparent": PARENT.replace(b"00f067aa0ba902b7", b"0" * 16)}, None),
        ({b"traceparent": b"ff" + PARENT[2:]}, None),
        ({b"x-request-id": b"mine", b"traceparent": PARENT}, "mine"),
        ({b"x-request-id": b"not valid", b"traceparent": PARENT}, TRACE.decode()),
    ],
)
def test_a_valid_id_is_kept_and_any_other_ignored(headers: dict[bytes, bytes], kept: str | None) -> None:
    """Length and characters are bounded; of a traceparent the trace id is kept."""
    assert correlation_id(headers) == kept

"""The request that the running code serves, so that its application logs can name it."""

from __future__ import annotations

from contextvars import ContextVar

current_transaction: ContextVar[str | None] = ContextVar("current_transaction", default=None)
"""Transaction id of the request being served in this context; None outside requests."""

"""What is known of the model that answers: its threshold, and how far off its probabilities were found."""

from __future__ import annotations

import time
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from vigie.ui.api_client import ApiClient, ApiFaultError

ASK_SECONDS: Final = 1.0
"""An answer is not held up for it."""
KEEP_SECONDS: Final = 60.0
"""Every question makes an event: one in a minute is enough to follow a model that was replaced."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Metrics(_Part):
    """Quality on the held-out rows."""

    rows: int
    correct: int
    calibration_error: float | None = None
    """None of a model that was trained before it was measured."""


class Facts(_Part):
    """The part of the API's /model that the page shows."""

    version: str
    threshold: float | None
    """P(positive class) from which on it is the answer; None with more than two classes."""
    simulated: bool
    metrics: Metrics


class ModelFacts:
    """Asks the API for the facts, at most once a minute for each version; holds nothing of a visitor."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._found: Facts | None = None
        self._until = 0.0

    async def now(self) -> Facts | None:
        """Return the facts; None when the API does not say them in time."""
        if self._found is not None and time.monotonic() < self._until:
            return self._found
        try:
            answer = await self._api.ask("GET", "/model", timeout=ASK_SECONDS)
            self._found = Facts.model_validate(answer.json)
        except (ApiFaultError, ValidationError):
            return None
        self._until = time.monotonic() + KEEP_SECONDS
        return self._found

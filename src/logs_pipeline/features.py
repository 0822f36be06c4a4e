"""Which inputs of which model are listed in features_present."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from elasticsearch import ApiError, TransportError

from vigie.schema import FeatureSchema

_LOOK_AGAIN_SECONDS: Final = 30.0


class PresentFeatures:
    """The served model's from its schema; another's as its pipeline left them in the store."""

    def __init__(
        self,
        schema: FeatureSchema,
        provisioned: Callable[[], Mapping[str, Mapping[str, Any]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known: dict[str, Sequence[str]] = {
            schema.name: [feature.name for feature in schema.features if feature.present]
        }
        self._provisioned = provisioned
        self._clock = clock
        self._lock = threading.Lock()
        self._look_at = 0.0

    def __call__(self, model: str) -> Sequence[str] | None:
        """Return the names of the inputs of `model` that are marked `present`; None when nobody knows."""
        with self._lock:
            if model and model not in self._known and self._clock() >= self._look_at:
                self._look_at = self._clock() + _LOOK_AGAIN_SECONDS
                try:
                    found = self._provisioned()
                except (ApiError, TransportError):
                    return None
                self._known = {**{name: about["present"] for name, about in found.items()}, **self._known}
            return self._known.get(model)

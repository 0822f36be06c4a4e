"""Entries that may be what ends their workers: each is filtered alone, and given up if nobody comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import redis

from vigie.logs_pipeline.filter import PoisonError
from vigie.telemetry.stream.keys import SUSPECTS

MOST_ALONE: Final = 2
"""Workers that may end over an entry while they filter nothing else."""


class Suspects:
    """Keeps in Redis which entries are being filtered alone: what a worker left there, it ended on.

    How often an entry was delivered says nothing of that: entries that shared its batches, or waited for a
    store that was away while workers came and went, were delivered as often.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @contextmanager
    def alone(self, entry_id: str) -> Iterator[None]:
        """Filter the entry inside; nothing else may be filtered in this process meanwhile.

        Raises PoisonError when MOST_ALONE workers have ended inside, and redis.RedisError.
        """
        tried = int(self._client.hincrby(SUSPECTS, entry_id, 1))
        try:
            if tried > MOST_ALONE:
                raise PoisonError(
                    f"{MOST_ALONE} workers ended while they filtered this event and nothing else: "
                    "it may be what ends them"
                )
            yield
        finally:
            self._client.hdel(SUSPECTS, entry_id)

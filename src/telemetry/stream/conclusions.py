"""Events about stored events: written in one step with the cursor up to which there is a conclusion.

They do not go through a journal: a journal survives its process, but knows nothing of the cursor, and a crash
between the two would repeat a conclusion or leave it out. Every method raises redis.RedisError when Redis is
away.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import orjson
import redis

from vigie.telemetry.event import Event
from vigie.telemetry.ids import iso_timestamp, new_producer_id
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.reader import text
from vigie.telemetry.stream.scripts import script

Concluded = Literal["done", "moved", "full"]
MOST_EVENTS: Final = 1000
"""Events of one conclusion."""


class Conclusions:
    """The conclusions of one watch, such as `drift`, each subject with a cursor of its own."""

    def __init__(self, client: redis.Redis, watch: str, max_entries: int) -> None:
        self._client = client
        self._watch = watch
        self._max_entries = max_entries
        self._conclude = script(client, "conclude")

    def state(self, subject: str) -> dict[str, str]:
        """Return what was kept with the last conclusion: its `cursor` and further fields; {} before."""
        stored: Any = self._client.hgetall(keys.conclusions_key(self._watch, subject))
        return {text(name): text(value) for name, value in stored.items()}

    def conclude(
        self,
        subject: str,
        *,
        after: str,
        cursor: str,
        events: Sequence[Event],
        kept: Mapping[str, str] | None = None,
    ) -> Concluded:
        """Write `events` and move the subject's cursor from `after` ("": none yet) to `cursor`, or neither.

        `kept` are further fields of its state. "moved": somebody else concluded that part; "full": the
        stream has no room, nothing was written.
        """
        if len(events) > MOST_EVENTS:
            raise ValueError(f"{len(events)} events in one conclusion, {MOST_EVENTS} are the most")
        fields = [part for pair in (kept or {}).items() for part in pair]
        arguments: list[str | bytes | int] = [keys.PREFIX, self._max_entries, new_producer_id(), self._watch]
        arguments += [iso_timestamp(time.time_ns()), after, cursor, len(fields) // 2, *fields]
        arguments += [orjson.dumps(event) for event in events]
        shared = [keys.STREAM, keys.PRODUCERS, keys.TOTALS]
        own = [keys.conclusions_key(self._watch), keys.conclusions_key(self._watch, subject)]
        answer: Any = text(self._conclude(keys=[*shared, *own], args=arguments))
        return answer  # type: ignore[no-any-return]  # the script's own three words

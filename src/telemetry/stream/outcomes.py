"""Recording outcomes: the event and the mark that it is recorded, in one step of Redis.

They do not go through a journal: a kill between journal and mark would record an outcome twice, or answer for
one that is nowhere. So an outcome is taken only while Redis is there. Every method raises redis.RedisError
when it is not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
import redis

from vigie.telemetry.event import Event
from vigie.telemetry.ids import iso_timestamp, new_producer_id
from vigie.telemetry.stream import keys
from vigie.telemetry.stream.reader import text
from vigie.telemetry.stream.scripts import script

Recorded = Literal["recorded", "known", "corrected", "conflict"]
LABEL_SECONDS: Final = 2 * 24 * 3600
"""How long Redis itself knows a recorded label; the store shows its document within seconds."""
MOST_OUTCOMES: Final = 1000
"""Outcomes of one call."""


class NoRoomError(Exception):
    """The stream holds as many entries that are not indexed as it may; nothing was recorded."""


@dataclass(frozen=True, slots=True)
class NewOutcome:
    """One outcome to be recorded."""

    transaction_id: str
    label: str
    stored: str
    """The label that the store has for it; empty when it has none, or was not asked."""
    event: Event
    correction: Event | None
    """The event when it takes the place of another label; None when it must not."""


class Outcomes:
    """The outcomes recorded in the last two days, and the way to record more; safe among threads."""

    def __init__(self, client: redis.Redis, max_entries: int) -> None:
        self._client = client
        self._max_entries = max_entries
        self._record = script(client, "record_outcomes")

    def labels(self, transaction_ids: Sequence[str]) -> list[str]:
        """Return the label recorded last for each; empty where Redis knows of none."""
        found: Any = self._client.mget([keys.outcome_key(one) for one in transaction_ids])
        return [text(label) if label is not None else "" for label in found]

    def record(self, outcomes: Sequence[NewOutcome]) -> list[tuple[Recorded, str]]:
        """Record all of them in their order, or none; return what became of each, and the label before it.

        The same label again is "known" and adds nothing; another one is a "conflict" and adds nothing, unless
        a correction is given. Raises NoRoomError.
        """
        if len(outcomes) > MOST_OUTCOMES:
            raise ValueError(f"{len(outcomes)} outcomes in one call, {MOST_OUTCOMES} are the most")
        arguments: list[str | bytes | int] = [keys.PREFIX, self._max_entries, new_producer_id()]
        arguments += [iso_timestamp(time.time_ns()), LABEL_SECONDS]
        for one in outcomes:
            correction = b"" if one.correction is None else orjson.dumps(one.correction)
            arguments += [keys.outcome_key(one.transaction_id), one.label, one.stored]
            arguments += [orjson.dumps(one.event), correction]
        places = [keys.STREAM, keys.PRODUCERS, keys.TOTALS, keys.FEEDBACK]
        answer: Any = [text(part) for part in self._record(keys=places, args=arguments)]
        if answer == ["full"]:
            raise NoRoomError
        return list(zip(answer[::2], answer[1::2], strict=True))

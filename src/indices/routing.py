"""Which physical index a document goes to: decided by the stream, not by the worker's settings.

An entry may be delivered again after a change of ES_INDEX_PREFIX or RETENTION_DAYS. Were its index
taken from the settings of whoever indexes it, it would end up in two indices. So the settings that
hold for an entry are kept in Redis as epochs, each valid for the entries after a given id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import orjson
import redis

from vigie.indices.mappings import DEAD
from vigie.settings import StoreSettings
from vigie.telemetry.stream.keys import GROUP, PREFIX, STREAM
from vigie.telemetry.stream.reader import position
from vigie.telemetry.stream.scripts import script

Granularity = Literal["day", "month"]

EPOCHS: Final = f"{PREFIX}epochs"
LONGEST_DAILY_RETENTION: Final = 300
"""Days of retention above which indices are monthly: three daily ones would near a node's 1,000 shards."""
_DATED: Final = re.compile(r"-(\d{4})\.(\d{2})(?:\.(\d{2}))?$")
_DATE_FORMATS: Final[dict[Granularity, str]] = {"day": "%Y.%m.%d", "month": "%Y.%m"}


def granularity(settings: StoreSettings) -> Granularity:
    """Return how long a physical index is, from the retention."""
    return "month" if settings.retention_days > LONGEST_DAILY_RETENTION else "day"


@dataclass(frozen=True, slots=True)
class Epoch:
    """Index settings for the entries after the id `after`."""

    after: str
    prefix: str
    granularity: Granularity

    def physical(self, index: str, when: datetime) -> str:
        """Return the physical index of the alias `index` for an event of the UTC time `when`."""
        return f"{self.prefix}{index}-{_dated(when.date(), self.granularity)}"


@lru_cache(maxsize=64)
def _dated(day: date, granularity: Granularity) -> str:
    return day.strftime(_DATE_FORMATS[granularity])


def letters_index(prefix: str, when: datetime) -> str:
    """Return the physical index of ml-api-dead for a letter of the UTC time `when`: one per month."""
    return Epoch("", prefix, "month").physical(DEAD, when)


def end_of(physical: str) -> datetime | None:
    """Return when the day or month that the physical index stands for is over; None when it has no date."""
    found = _DATED.search(physical)
    if found is None:
        return None
    try:
        start = datetime(int(found[1]), int(found[2]), int(found[3] or 1), tzinfo=UTC)
        if found[3] is not None:
            return start + timedelta(days=1)
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    except (ValueError, OverflowError):  # a date that there is not, or the last one there is
        return None


def alias_of(physical: str, aliases: Iterable[str]) -> str | None:
    """Return which of `aliases`, under whatever prefix, the physical index is of; None when of none."""
    undated = _DATED.sub("", physical)
    return next((alias for alias in aliases if undated.endswith(alias)), None)


class Epochs:
    """The table in Redis, and the settings of this worker."""

    def __init__(self, client: redis.Redis, settings: StoreSettings) -> None:
        self._client = client
        self._settings = settings
        self._announce = script(client, "announce", Path(__file__).parent)

    def announce(self) -> bool:
        """Let the settings hold for entries not yet delivered; return whether they differ from the last."""
        arguments = [GROUP, self._settings.es_index_prefix, granularity(self._settings)]
        return bool(self._announce(keys=[STREAM, EPOCHS], args=arguments))

    def read(self) -> list[Epoch]:
        """Return the epochs, oldest first; empty until a worker announces one."""
        stored: Any = self._client.lrange(EPOCHS, 0, -1)
        return [Epoch(**orjson.loads(epoch)) for epoch in stored]


def epoch_of(entry_id: str, epochs: Sequence[Epoch]) -> Epoch:
    """Return the epoch that holds for an entry; raises LookupError when none was announced."""
    found = position(entry_id)
    for epoch in reversed(epochs):
        if position(epoch.after) < found:
            return epoch
    raise LookupError(f"no routing epoch for entry {entry_id}: a worker announces one when it starts")

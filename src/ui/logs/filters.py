"""What a search through the log asks for: read from the page's address, and written into one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from vigie.indices.event_order import CURSOR, NEWEST_FIRST, between, ordered, place
from vigie.ui.logs.entries import LogEntry
from vigie.ui.logs.words import clauses, fit, terms_of

PAGE: Final = 50
"""Entries of one page."""
COUNTED: Final = 10_000
"""Up to so many entries are counted; of more it is only said that there are more."""
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
STATUSES: Final = ("ok", "refused", "shed", "failed")
SPANS: Final[Mapping[str, timedelta]] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
"""Value of `last` in the address → how far back it reaches."""
LONGEST: Final = 300
"""Characters of a filter."""
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "level": LEVELS,
    "status": STATUSES,
    "last": tuple(SPANS),
}
_IDS: Final = ("transaction_id", "batch_id", "correlation_id")
"""An id finds the request, the rows of a batch, and what came with the client's own id."""


@dataclass(frozen=True, slots=True)
class LogFilters:
    """The filters as they were given; an empty one does not narrow the search."""

    level: str = ""
    status: str = ""
    path: str = ""
    """The whole path, or its beginning and a `*`."""
    text: str = ""
    transaction_id: str = ""
    last: str = ""
    """One of SPANS; it goes before `since` and `until`."""
    since: str = ""
    """ISO 8601; without an offset in the zone in which times are shown."""
    until: str = ""
    cursor: str = ""
    """Place behind which the page begins."""

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Self:
        """Return the filters of an address's parameters; what is no filter is left alone."""
        known = {name: asked.get(name, "").strip() for name in cls.__slots__}
        return cls(**known)

    def faults(self) -> list[str]:
        """Return the names of the filters that cannot be searched by."""
        given = asdict(self)
        found = [name for name, value in given.items() if len(value) > LONGEST and name != "cursor"]
        found += [name for name, values in _CHOICES.items() if given[name] and given[name] not in values]
        found += [name for name in ("since", "until") if given[name] and _time(given[name]) is None]
        if self.cursor and not re.fullmatch(CURSOR, self.cursor):
            found.append("cursor")
        return sorted(set(found))

    @property
    def narrow(self) -> bool:
        """Whether anything is filtered by."""
        return any(asdict(replace(self, cursor="")).values())

    @property
    def open_ended(self) -> bool:
        """Whether what happens now belongs to what is shown: the newest page, without an end."""
        return not self.cursor and (bool(self.last) or not self.until)

    def address(self, **changes: str) -> str:
        """Return the address of this search, from any page, with `changes` made to it."""
        given = {name: value for name, value in {**asdict(self), **changes}.items() if value}
        return f"./logs?{urlencode(given)}" if given else "./logs"

    def search(self, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
        """Return the search's body for the store; times without an offset are in `zone`."""
        body: dict[str, Any] = {
            "query": {"bool": {"filter": list(self._clauses(now, zone))}},
            "sort": list(NEWEST_FIRST),
            "size": PAGE + 1,  # one more says whether there is a next page
            "track_total_hits": COUNTED,
        }
        if self.cursor:
            body["search_after"] = list(place(self.cursor))
        return body

    def _clauses(self, now: datetime, zone: ZoneInfo) -> Iterator[dict[str, Any]]:
        yield from ordered()
        for name in ("level", "status"):
            if value := getattr(self, name):
                yield {"term": {name: value}}
        if self.path:
            whole = not self.path.endswith("*")
            yield {"term": {"path": self.path}} if whole else {"prefix": {"path": self.path[:-1]}}
        if self.transaction_id:
            ids = [{"term": {name: value}} for name in _IDS for value in self._spellings()]
            yield {"bool": {"should": ids, "minimum_should_match": 1}}
        yield from clauses(terms_of(self.text))
        yield from between(*self._times(now, zone))

    def _spellings(self) -> set[str]:
        """Our own ids are in lower case; a client's is as it was sent."""
        return {self.transaction_id, self.transaction_id.lower()}

    def _times(self, now: datetime, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
        if self.last:
            return now - SPANS[self.last], None
        since, until = (_time(given) if given else None for given in (self.since, self.until))
        return _in_zone(since, zone), _in_zone(until, zone)

    def local(self, name: str, zone: ZoneInfo) -> str:
        """Return `since` or `until` as the value of a datetime-local field in `zone`; empty if it is none."""
        when = _in_zone(_time(getattr(self, name)), zone)
        return "" if when is None else when.strftime("%Y-%m-%dT%H:%M:%S")

    def fits(self, entry: LogEntry, now: datetime, zone: ZoneInfo) -> bool:
        """Return whether an entry that is not stored yet belongs to what is searched for."""
        data = entry.data
        if any(wanted and wanted != had for wanted, had in self._compared(entry)):
            return False
        if self.path and not _path_fits(self.path, str(data.get("path") or "")):
            return False
        if self.transaction_id and not self._spellings() & {str(data.get(name)) for name in _IDS}:
            return False
        since, until = self._times(now, zone)
        when = _time(entry.timestamp)
        if (since or until) and (when is None or when.tzinfo is None):
            return False
        if when is not None and ((since and when < since) or (until and when >= until)):
            return False
        return fit(terms_of(self.text), [entry.message, str(data.get("exception") or "")])

    def _compared(self, entry: LogEntry) -> tuple[tuple[str, str], ...]:
        return (self.level, entry.level), (self.status, str(entry.data.get("status") or ""))


def _path_fits(wanted: str, path: str) -> bool:
    return path.startswith(wanted[:-1]) if wanted.endswith("*") else path == wanted


def _time(given: str) -> datetime | None:
    try:
        return datetime.fromisoformat(given.upper())
    except ValueError:
        return None


def _in_zone(when: datetime | None, zone: ZoneInfo) -> datetime | None:
    if when is None:
        return None
    try:
        return (when if when.tzinfo else when.replace(tzinfo=zone)).astimezone(zone)
    except OverflowError:
        return None

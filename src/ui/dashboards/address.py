"""What a dashboard shows, as it stands in the address of its page: name, time, choices, refresh."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from vigie.dashboards.query import seconds
from vigie.dashboards.specification import Condition, Dashboard

PRESETS: Final = ("15m", "1h", "3h", "6h", "24h", "7d", "30d", "90d")
MOST_DAYS: Final = 3660
MOST_VALUES: Final = 50
"""Values of one field that an address may choose."""
MOST_FIELDS: Final = 500
_LAST: Final = re.compile(r"[1-9][0-9]{0,4}[mhd]")
_OFF: Final = "off"


class AddressError(ValueError):
    """The address cannot be understood; `key` is the text that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of the address."""

    name: str = ""
    """Id of the dashboard; empty: the first."""
    last: str = ""
    """Time up to now, such as 24h; empty: as the dashboard declares it, or since and until."""
    since: str = ""
    until: str = ""
    """ISO 8601; without an offset they are the wall clock of the display time zone."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Field → the values chosen."""
    refresh: bool = True

    @classmethod
    def of(cls, query: str) -> Address:
        """Read the query string of an address; what is not known, or beyond MOST_FIELDS, is left out."""
        given: dict[str, list[str]] = {}
        fields = query.removeprefix("?").split("&", MOST_FIELDS)[:MOST_FIELDS]
        for name, value in parse_qsl("&".join(fields)):
            if value:
                given.setdefault(name, []).append(value)
        known = {name: given.pop(name, [""])[-1] for name in ("name", "last", "since", "until")}
        refresh = given.pop("refresh", [""])[-1] != _OFF
        choices = {name: tuple(dict.fromkeys(values))[:MOST_VALUES] for name, values in given.items()}
        return cls(**known, choices=choices, refresh=refresh)

    def query(self) -> str:
        """Return the query string, as short as it can be; `Address.of` reads it."""
        parts = [
            (name, value)
            for name in ("name", "last", "since", "until")
            if (value := str(getattr(self, name)))
        ]
        parts += [(name, value) for name, values in self.choices.items() for value in values]
        if not self.refresh:
            parts.append(("refresh", _OFF))
        return urlencode(parts, safe=":")

    def of_dashboard(self, dashboard: Dashboard) -> Address:
        """Return the address with what `dashboard` has: its id, and choices among its controls alone."""
        fields = [control.field for control in dashboard.controls]
        choices = {name: self.choices[name] for name in fields if name in self.choices}
        return replace(self, name=dashboard.id, choices=choices)

    def at(self, other: str) -> Address:
        """Return the address of the dashboard `other` for the same time."""
        return Address(other, self.last, self.since, self.until)

    @property
    def absolute(self) -> bool:
        """Whether the time does not move on by itself."""
        return bool(self.since or self.until)

    def times(self, dashboard: Dashboard, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return since and until, in UTC; raises AddressError."""
        if not self.absolute:
            return now - _span(self.last or dashboard.time_from.removeprefix("now-")), now
        until = _moment(self.until, zone) if self.until else now
        since = _moment(self.since, zone) if self.since else until - timedelta(days=1)
        if since >= until:
            raise AddressError("dashboards.time_reversed")
        if until - since > timedelta(days=MOST_DAYS):
            raise AddressError("dashboards.time_too_long")
        return since, until

    def conditions(self) -> list[Condition]:
        """Return what the choices demand of every document."""
        return [
            Condition.model_validate({"field": name, "is": list(values)})
            for name, values in self.choices.items()
        ]


def _span(last: str) -> timedelta:
    if not _LAST.fullmatch(last):
        raise AddressError("dashboards.time_unreadable")
    span = timedelta(seconds=seconds(last))
    if span > timedelta(days=MOST_DAYS):
        raise AddressError("dashboards.time_too_long")
    return span


def _moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        # A plus that was not escaped arrives as a space.
        read = datetime.fromisoformat(re.sub(r" (?=\d\d:?\d\d$)", "+", text) if text.count(":") > 1 else text)
        when = (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise AddressError("dashboards.time_unreadable") from None
    if not 1971 <= when.year <= 2260:  # what the store's nanoseconds reach
        raise AddressError("dashboards.time_unreadable")
    return when


def wall_clock(when: datetime, zone: ZoneInfo | timezone) -> str:
    """Return `when` as a field for date and time has it: the wall clock of `zone`, to the minute."""
    return when.astimezone(zone).strftime("%Y-%m-%dT%H:%M")

"""Following the log live: what the stream has that is newer than what was shown, before it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from vigie.ui.language import Language
from vigie.ui.logs.entries import LogEntry, LogRow, row_of
from vigie.ui.logs.filters import LogFilters
from vigie.ui.logs_api import LogsQuery, LogsUnavailableError, NotPermittedError
from vigie.ui.site import Site

AT_ONCE: Final = 200
"""Entries that are read at one time; when more came, only the newest of them are shown."""
BEGINNING: Final = "0-0"

State = Literal["following", "paused", "ended", "away", "refused"]


@dataclass(frozen=True, slots=True)
class Came:
    """What came in since a position in the stream."""

    html: str
    """The entries, newest first; empty when nothing did."""
    position: str
    """From where to go on."""
    said: str
    """How following stands, as HTML."""


class Following:
    """Answers with HTML; the visitor's position in the stream is kept by the page."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._zone = ZoneInfo(site.settings.api.display_timezone)

    def switched(self, follows: bool, language: Language, asked: Mapping[str, str]) -> tuple[bool, str]:
        """Return whether to look for new entries from now on, and what the page says of it."""
        filters = LogFilters.of(asked)
        if not follows:
            return False, self._said(language, "paused")
        if filters.faults() or not filters.open_ended:
            return False, self._said(language, "ended")
        return True, self._said(language, "following")

    def since(self, position: str, language: Language, asked: Mapping[str, str]) -> Came:
        """Return what came in after `position` (empty: the newest) and is what the address asks for.

        It blocks until Redis answers or its time is up.
        """
        try:
            logs, skipped = self._read(position)
        except (LogsUnavailableError, NotPermittedError) as error:
            state: State = "refused" if isinstance(error, NotPermittedError) else "away"
            return Came("", position, self._said(language, state))
        rows = self._rows(logs, LogFilters.of(asked))
        html = ""
        if rows or skipped:
            html = self._site.templates.render(language, "logs/rows.html", rows=rows, skipped=skipped)
        newest = str(logs[0]["id"]) if logs else position or BEGINNING
        return Came(html, newest, self._said(language, "following"))

    def _read(self, position: str) -> tuple[Sequence[Mapping[str, Any]], bool]:
        """Return entries newest first, and whether some between `position` and them are left out.

        They are read from the stream itself: to ask the API would make a log entry of each look.
        """
        if not position:
            return self._site.reader.newest(AT_ONCE), False
        page = self._site.reader.page(LogsQuery(after=position, limit=AT_ONCE + 1))
        if len(page.logs) > AT_ONCE:
            return self._site.reader.newest(AT_ONCE), True
        return page.logs[::-1], False

    def _rows(self, logs: Sequence[Mapping[str, Any]], filters: LogFilters) -> list[LogRow]:
        if filters.faults():
            return []
        now, entries = datetime.now(UTC), map(LogEntry.streamed, logs)
        return [
            row_of(entry, self._zone, self._site.api.url)
            for entry in entries
            if filters.fits(entry, now, self._zone)
        ]

    def _said(self, language: Language, state: State) -> str:
        return self._site.templates.render(language, "logs/live.html", state=state)

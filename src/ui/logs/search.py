"""One page of the stored log, as the address asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from vigie.indices.event_order import cursor
from vigie.indices.mappings import LOGS
from vigie.ui.language import Language
from vigie.ui.logs.entries import LogEntry, row_of
from vigie.ui.logs.filters import LEVELS, LONGEST, PAGE, SPANS, STATUSES, LogFilters
from vigie.ui.site import Site
from vigie.ui.store_reader import StoreAwayError

MOST_SHOWN: Final = 300
"""Entries in the page at most, however long it follows what comes in."""


class LogSearch:
    """Answers with HTML; holds nothing of a visitor."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._zone = ZoneInfo(site.settings.api.display_timezone)

    async def page(self, language: Language, asked: Mapping[str, str]) -> tuple[str, str]:
        """Return the form and the entries for an address's parameters; instead of these, what went wrong."""
        filters = LogFilters.of(asked)
        form = self._form(language, filters)
        faults = filters.faults()
        if faults:
            names = ", ".join(
                self._site.texts.say(language, f"logs.filter_{name}", zone=self._zone.key) for name in faults
            )
            return form, self._unreadable(language, "logs.fault_title", "logs.fault", names=names)
        try:
            answer = await self._site.store.search(LOGS, filters.search(datetime.now(UTC), self._zone))
        except StoreAwayError as error:
            return form, self._unreadable(
                language, "logs.store_away_title", f"logs.store_{error.kind}", url=self._site.store.url
            )
        # Fifty trees take tens of milliseconds of CPU: other visitors are answered meanwhile.
        return form, await asyncio.to_thread(self._list, language, filters, answer)

    def _form(self, language: Language, filters: LogFilters) -> str:
        return self._site.templates.render(
            language,
            "logs/filters.html",
            filters=filters,
            levels=LEVELS,
            statuses=STATUSES,
            spans=SPANS,
            longest=LONGEST,
            zone=self._zone.key,
            since=filters.local("since", self._zone),
            until=filters.local("until", self._zone),
        )

    def _list(self, language: Language, filters: LogFilters, answer: Mapping[str, Any]) -> str:
        hits = answer["hits"]["hits"]
        page, total = hits[:PAGE], answer["hits"]["total"]
        rows = [row_of(LogEntry.stored(hit["_source"]), self._zone, self._site.api.url) for hit in page]
        return self._site.templates.render(
            language,
            "logs/list.html",
            filters=filters,
            rows=rows,
            skipped=0,
            total=total["value"],
            more=total["relation"] == "gte",
            older=cursor(*page[-1]["sort"]) if len(hits) > PAGE else "",
            most=MOST_SHOWN,
        )

    def _unreadable(self, language: Language, title: str, what: str, **values: str) -> str:
        texts = self._site.texts
        return self._site.templates.render(
            language,
            "logs/unreadable.html",
            title=texts.say(language, title),
            what=texts.say(language, what, **values),
            most=MOST_SHOWN,
        )

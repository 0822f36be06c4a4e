"""Answering the page at `/trace`: each part asked for by itself, and what went wrong said in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from vigie.indices.event_order import instant
from vigie.indices.mappings import LOGS
from vigie.ui.api_client import ApiFaultError
from vigie.ui.language import Language
from vigie.ui.logs.entries import LogEntry, row_of
from vigie.ui.moments import milliseconds, significant
from vigie.ui.site import Site
from vigie.ui.store_reader import StoreAwayError
from vigie.ui.trace.latency_place import Found, Place
from vigie.ui.trace.request import merged, stored_lines, streamed_lines
from vigie.ui.trace.view import Teller, documents_of
from vigie.ui.transaction import is_transaction, transaction_in

RECENT: Final = 20
MOST_LINES: Final = 200
LINES_SECONDS: Final = 4.0
BEFORE: Final = 5000
"""Milliseconds that the stream's clock may be behind the one that made the id."""
MOST_TRIES: Final = 60
"""How often a page looks again by itself."""
_SURROUNDINGS: Final = frozenset({"journal", "stream"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What the second look, at everything around the request, has to know of it."""

    id: str
    event: Mapping[str, Any]
    lines: Sequence[LogEntry]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The parts of the page, as HTML; an empty one is not shown."""

    find: str
    main: str
    documents: str = ""
    asked: Asked | None = None
    again: bool = False
    """Whether the page shall look again by itself."""
    answered: bool = False
    """Whether a prediction was answered, of which an outcome can be told."""


@dataclass(frozen=True, slots=True)
class Around:
    """The parts that are asked for once the request is known."""

    place: str = ""
    lines: str = ""


class TraceReading:
    """Answers with HTML; holds nothing of a visitor."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._zone = ZoneInfo(site.settings.api.display_timezone)

    async def draw(self, language: Language, address: Mapping[str, str], tries: int) -> Drawn:
        """Return the page for an address's parameters; `tries` is how often it has looked by itself."""
        given = transaction_in(address.get("id", ""))
        find = self._render(language, "trace/find.html", given=given)
        gave_up = tries >= MOST_TRIES
        try:
            if not given:
                return Drawn(find, await self._recent(language, address.get("cursor")))
            if not is_transaction(given):
                return Drawn(
                    find,
                    self._absent(language, "trace.not_an_id_title", "trace.not_an_id", given=given[:100]),
                )
            answer = await self._site.api.ask("GET", f"/predict/{given}")
        except ApiFaultError as error:
            return self._fault(language, find, error, given, gave_up)
        return await asyncio.to_thread(self._found, language, find, answer.json, gave_up)

    async def _recent(self, language: Language, cursor: str | None) -> str:
        answer = await self._site.api.ask(
            "GET", "/predict/history", params={"limit": RECENT, "cursor": cursor or None}
        )
        teller = self._teller(language)
        return self._render(
            language,
            "trace/recent.html",
            items=[teller.recent(item) for item in answer.json["items"]],
            older=answer.json["next"],
            further=bool(cursor),
            zone=self._zone.key,
        )

    def _fault(self, language: Language, find: str, error: ApiFaultError, given: str, gave_up: bool) -> Drawn:
        if error.status == 404:
            return Drawn(find, self._absent(language, "trace.unknown_title", "trace.unknown", id=given))
        if error.status in {401, 403}:
            return Drawn(find, self._absent(language, "trace.unreadable_title", "trace.role_missing"))
        what = "trace.api_away" if error.status is None else "trace.service_away"
        said = str(error.document.get("detail") or "")
        html = self._absent(
            language, "trace.unreadable_title", what, said=said, gave_up=gave_up, url=self._site.api.url
        )
        return Drawn(find, html, again=not gave_up)

    def _found(self, language: Language, find: str, trace: Mapping[str, Any], gave_up: bool) -> Drawn:
        html = self._render(language, "trace/request.html", seen=self._teller(language).seen(trace))
        waits = trace["state"] not in {"stored", "dead letter"}
        if waits:
            where = trace["state"] if trace["state"] in _SURROUNDINGS else "indexed"
            html = (
                self._render(
                    language, "trace/waiting.html", where=where, state=trace["state"], gave_up=gave_up
                )
                + html
            )
        documents = (
            "" if waits else self._render(language, "trace/documents.html", stored=documents_of(trace))
        )
        event = trace["event"] or {}
        asked = Asked(trace["transaction_id"], event, stored_lines(trace.get("documents")))
        label = ((event.get("data") or {}).get("result") or {}).get("label")
        answered = label in self._site.schema.target.classes
        return Drawn(find, html, documents, asked, waits and not gave_up, answered)

    async def around(self, language: Language, asked: Asked | None) -> Around:
        """Return what is around a request: its place in its hour, and the lines it logged."""
        if asked is None:
            return Around()
        place, lines = await asyncio.gather(self._place(language, asked), self._lines(language, asked))
        return Around(place, lines)

    async def _place(self, language: Language, asked: Asked) -> str:
        place = Place.of(asked.event, self._zone)
        found: Found | None = None
        failure = dashboard = ""
        if place is not None:
            span = {"since": instant(place.since), "until": instant(place.until)}
            dashboard = f"./dashboards?{urlencode({'name': 'performance', **span})}"
            try:
                found = place.found(await self._site.store.search(LOGS, place.search()))
            except StoreAwayError:
                failure = self._site.texts.say(language, "trace.store_away", url=self._site.store.url)
        return self._render(language, "trace/place.html", found=found, failure=failure, dashboard=dashboard)

    async def _lines(self, language: Language, asked: Asked) -> str:
        partly, streamed = False, []
        try:
            answer = await self._site.api.ask(
                "GET",
                "/logs",
                params={"transaction_id": asked.id, "limit": MOST_LINES, "after": _before(asked.event)},
                timeout=LINES_SECONDS,
            )
            streamed = streamed_lines(answer.json["logs"])
        except ApiFaultError:
            partly = True
        entries = merged(asked.lines, streamed)

        def drawn() -> str:
            rows = [row_of(entry, self._zone, self._site.api.url) for entry in entries]
            return self._render(
                language, "trace/lines.html", rows=rows, skipped=0, partly=partly, id=asked.id
            )

        return await asyncio.to_thread(drawn)  # as many trees as lines: other visitors are answered meanwhile

    def _absent(
        self,
        language: Language,
        title: str,
        what: str,
        said: str = "",
        gave_up: bool = False,
        **values: str,
    ) -> str:
        say = partial(self._site.texts.say, language)
        return self._render(
            language,
            "trace/absent.html",
            title=say(title),
            what=say(what, **values),
            said=said,
            gave_up=gave_up,
        )

    def _teller(self, language: Language) -> Teller:
        return Teller(self._site.texts, self._site.schema, self._zone, language)

    def _render(self, language: Language, name: str, **values: object) -> str:
        shown = {
            "milliseconds": partial(milliseconds, language),
            "significant": partial(significant, language),
        }
        return self._site.templates.render(language, name, **shown, **values)


def _before(event: Mapping[str, Any]) -> str | None:
    """Return an id of the stream from before the event, from which its lines are looked for."""
    try:
        when = datetime.fromisoformat(str(event.get("timestamp"))).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return f"{max(0, int(when.timestamp() * 1000) - BEFORE)}-0"

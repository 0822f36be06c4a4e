"""One dashboard for one reader: from the address of the page to its HTML."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from vigie.dashboards.kibana import object_id
from vigie.dashboards.specification import TIME_FIELD, Dashboard
from vigie.ui.dashboards.address import MOST_VALUES, PRESETS, Address, AddressError, wall_clock
from vigie.ui.dashboards.panels import Panels
from vigie.ui.language import Language
from vigie.ui.site import Site
from vigie.ui.store_reader import StoreAwayError

_COUNTED: Final = {"m": "dashboards.last_minutes", "h": "dashboards.last_hours", "d": "dashboards.last_days"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One control: a field, its values in the time shown, and those chosen."""

    field: str
    title: str
    chosen: tuple[str, ...]
    options: tuple[str, ...]


class Dashboards:
    """Draws dashboards; shared by all visitors."""

    def __init__(self, site: Site, panels: Panels, now: Callable[[], datetime] | None = None) -> None:
        self._site = site
        self._panels = panels
        self._zone = ZoneInfo(site.settings.api.display_timezone)
        self._now = now or (lambda: datetime.now(UTC))

    async def html(self, language: Language, query: str) -> str:
        """Return everything below the page's heading for the address with `query`."""
        asked = Address.of(query)
        dashboards = {one.id: one for one in self._panels.specifications[language].dashboards}
        fault = "" if asked.name in {"", *dashboards} else "dashboards.unknown"
        dashboard = dashboards.get(asked.name) or next(iter(dashboards.values()))
        address = asked.of_dashboard(dashboard)
        now = self._now()
        since = until = now
        values: dict[str, Any] = {"views": [], "controls": ()}
        try:
            since, until = address.times(dashboard, now, self._zone)
        except AddressError as error:
            fault = fault or error.key
        if not fault:
            views, controls = await asyncio.gather(
                self._panels.views(language, dashboard.panels, since, until, address.conditions()),
                self._controls(dashboard, address, since, until),
            )
            values = {"views": views, "controls": controls}
        return await asyncio.to_thread(
            self._site.templates.render,
            language,
            "dashboards/content.html",
            **values,
            fault=fault,
            dashboard=dashboard,
            tabs=list(_tabs(dashboards, address)),
            address=address.query(),
            kibana=self._kibana(dashboard, since, until),
            **self._toolbar(language, dashboard, address, now, since, until),
        )

    def _toolbar(
        self,
        language: Language,
        dashboard: Dashboard,
        address: Address,
        now: datetime,
        since: datetime,
        until: datetime,
    ) -> dict[str, Any]:
        seconds = dashboard.refresh_seconds
        return {
            "presets": list(self._presets(language, dashboard, address)),
            "zone": self._zone.key,
            "since": wall_clock(since, self._zone),
            "until": wall_clock(until, self._zone),
            "refresh": address.refresh,
            "refresh_every": f"{seconds // 60}\u00a0min" if seconds % 60 == 0 else f"{seconds}\u00a0s",
            "refresh_seconds": seconds if address.refresh and not address.until else 0,
            "as_of": now.astimezone(self._zone).strftime("%H:%M:%S"),
        }

    def _presets(
        self, language: Language, dashboard: Dashboard, address: Address
    ) -> Iterator[dict[str, Any]]:
        chosen = "" if address.absolute else address.last or dashboard.time_from.removeprefix("now-")
        if not chosen:
            own = self._site.texts.say(language, "dashboards.own_time")
            yield {"value": "", "text": own, "chosen": True}
        for preset in PRESETS if not chosen or chosen in PRESETS else (*PRESETS, chosen):
            yield {"value": preset, "text": self._span(language, preset), "chosen": preset == chosen}

    def _span(self, language: Language, last: str) -> str:
        if last == "1h":
            return self._site.texts.say(language, "dashboards.last_hour")
        if last[-1:] not in _COUNTED:
            return last
        return self._site.texts.say(language, _COUNTED[last[-1]], count=last[:-1])

    async def _controls(
        self, dashboard: Dashboard, address: Address, since: datetime, until: datetime
    ) -> list[Choice]:
        """Return the controls in their order; without the store they offer what is chosen."""
        bounds = {"gte": since.isoformat(), "lt": until.isoformat()}
        ordered = sorted(dashboard.controls, key=lambda control: control.index)
        found: dict[str, tuple[str, ...]] = {}

        async def ask(index: str, fields: list[str]) -> None:
            body = {
                "size": 0,
                "query": {"bool": {"filter": [{"range": {TIME_FIELD: bounds}}]}},
                "aggs": {name: {"terms": {"field": name, "size": MOST_VALUES}} for name in fields},
            }
            try:
                answer = await self._site.store.search(index, body)
            except StoreAwayError:  # the panels say so
                return
            for name, part in answer.get("aggregations", {}).items():
                found[name] = tuple(str(bucket["key"]) for bucket in part["buckets"])

        groups = groupby(ordered, key=lambda control: control.index)
        await asyncio.gather(*(ask(index, [one.field for one in own]) for index, own in groups))
        choices = []
        for control in dashboard.controls:
            chosen = address.choices.get(control.field, ())
            options = tuple(sorted({*found.get(control.field, ()), *chosen}))
            choices.append(Choice(control.field, control.title, chosen, options))
        return choices

    def _kibana(self, dashboard: Dashboard, since: datetime, until: datetime) -> str:
        url = self._site.settings.store.kibana_url.rstrip("/")
        if not url:
            return ""
        name = object_id("dashboard", dashboard.id, self._site.settings.store.es_index_prefix)
        time = f"(time:(from:'{since:%Y-%m-%dT%H:%M:%SZ}',to:'{until:%Y-%m-%dT%H:%M:%SZ}'))"
        state = quote(time, safe="():,'")
        return f"{url}/app/dashboards#/view/{name}?_g={state}"


def _tabs(dashboards: dict[str, Dashboard], address: Address) -> Iterator[dict[str, Any]]:
    for name, dashboard in dashboards.items():
        yield {"title": dashboard.title, "query": address.at(name).query(), "current": name == address.name}

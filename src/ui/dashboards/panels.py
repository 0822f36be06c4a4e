"""The panels of the specification, asked of the store and made ready for a page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from loguru import logger

from vigie.dashboards.charts import ChartContext, chart, has_chart
from vigie.dashboards.query import PanelQuery, panel_query
from vigie.dashboards.result import Key, Row, panel_rows
from vigie.dashboards.specification import (
    GRID_COLUMNS,
    Condition,
    Panel,
    Specification,
    load_specification,
    panels_file,
)
from vigie.schema import FeatureSchema
from vigie.ui.dashboards.panel_numbers import Cell, Numbers, Wording, numbers_of, value_cell
from vigie.ui.language import LANGUAGES, Language
from vigie.ui.plot import Chart, chart_of
from vigie.ui.site import Site
from vigie.ui.store_reader import StoreAwayError
from vigie.ui.texts import Texts

SECONDS: Final = 10.0
"""All panels of a page have to be there by then; the others say that they were too slow."""
ROW_PIXELS: Final = 20
"""Height of a row of the specification's grid."""
HEADING_ROWS: Final = 2
COLUMNS: Final = 12
"""Columns of the page's grid (styles/dashboards.css); the specification's are too narrow for their gaps."""
WEEKDAYS: Final = (
    "dashboards.monday", "dashboards.tuesday", "dashboards.wednesday", "dashboards.thursday",
    "dashboards.friday", "dashboards.saturday", "dashboards.sunday",
)  # fmt: skip

State = Literal["shown", "empty", "failed"]


@dataclass(frozen=True, slots=True)
class PanelView:
    """A panel as a page shows it."""

    panel: Panel
    state: State
    numbers: Numbers | None = None
    """The rows as a table; None when there was no answer, or the panel is one number."""
    figure: Cell | None = None
    """The number of a panel that is one."""
    chart: Chart | None = None
    """The picture; None when it is a table or a number, or there is nothing to draw."""
    failure: str = ""
    """Why there was no answer, and what to do."""

    @property
    def columns(self) -> int:
        """Width in COLUMNS."""
        return max(1, round(self.panel.width * COLUMNS / GRID_COLUMNS))

    @property
    def height(self) -> int:
        """Pixels of the chart."""
        return chart_height(self.panel)


def chart_height(panel: Panel) -> int:
    """Return the height of the panel's chart in pixels."""
    return (panel.height - HEADING_ROWS) * ROW_PIXELS


class Panels:
    """Answers panels for every visitor; holds the specification in each language."""

    def __init__(self, site: Site, path: Path | None = None) -> None:
        """Read the specification; raises SpecificationError."""
        source = path or panels_file()
        self._site = site
        self._zone = ZoneInfo(site.settings.api.display_timezone)
        self.specifications: dict[Language, Specification] = {
            language: load_specification(source, site.schema, language) for language in LANGUAGES
        }

    def panel(self, language: Language, name: str) -> Panel:
        """Return the panel of that id, in `language`; raises KeyError."""
        return {panel.id: panel for _, panel in self.specifications[language].panels}[name]

    async def views(
        self,
        language: Language,
        panels: Iterable[str | Panel],
        since: datetime,
        until: datetime,
        conditions: Sequence[Condition] = (),
    ) -> list[PanelView]:
        """Return a view of each of `panels` (by id, or of this language) over [since, until), in their order.

        They are asked side by side and all together within SECONDS; one that fails says so in its view.
        """
        asked = [self.panel(language, one) if isinstance(one, str) else one for one in panels]
        jobs = [asyncio.create_task(self._view(language, panel, since, until, conditions)) for panel in asked]
        if jobs:
            await asyncio.wait(jobs, timeout=SECONDS)
        return [self._finished(language, panel, job) for job, panel in zip(jobs, asked, strict=True)]

    async def _view(
        self,
        language: Language,
        panel: Panel,
        since: datetime,
        until: datetime,
        conditions: Sequence[Condition],
    ) -> PanelView:
        query = panel_query(panel, since, until, "", conditions)
        try:
            answer = await self._site.store.search(query.index, query.body)
        except StoreAwayError as error:
            return self._failed(language, panel, error.kind)
        # Off the event loop: a hundred buckets of five series take some milliseconds.
        return await asyncio.to_thread(self._made, language, panel, query, answer, (since, until))

    def _made(
        self,
        language: Language,
        panel: Panel,
        query: PanelQuery,
        answer: Mapping[str, Any],
        times: tuple[datetime, datetime],
    ) -> PanelView:
        rows: list[Row] = []
        if answer["_shards"]["total"]:  # else the index is not there yet
            rows = panel_rows(panel, query, answer)
        name = partial(called, self._site.schema, self._site.texts, language)
        if panel.chart == "metric":
            metric = panel.metrics[0]
            value = rows[0].values[metric.id] if rows else None
            return PanelView(panel, "shown", figure=value_cell(metric, value, language, unit=True))
        if not answer["hits"]["total"]["value"] or _without_values(rows):
            return PanelView(panel, "empty")
        wording = Wording(language, self._zone, name)
        numbers = numbers_of(panel, rows, wording, query.interval_seconds)
        if not has_chart(panel):
            return PanelView(panel, "shown", numbers=numbers)
        colours = self.specifications[language].colours
        height = chart_height(panel)
        context = ChartContext(colours, self._zone, *times, language, height, name)
        drawn = chart_of(panel.id, panel.title, height, chart(panel, rows, context, query.interval_seconds))
        return PanelView(panel, "shown", numbers=numbers, chart=drawn)

    def _finished(self, language: Language, panel: Panel, job: asyncio.Task[PanelView]) -> PanelView:
        if not job.done():
            job.cancel()
            return self._failed(language, panel, "slow")
        if error := job.exception():  # ours: the other panels are shown all the same
            logger.opt(exception=error).error("panel {} could not be drawn", panel.id)
            return self._failed(language, panel, "broken")
        return job.result()

    def _failed(self, language: Language, panel: Panel, kind: str) -> PanelView:
        say = partial(self._site.texts.say, language)
        words = {
            "away": say("dashboards.store_away", url=self._site.store.url),
            "slow": say("dashboards.store_slow"),
            "refused": say("dashboards.store_refused"),
            "broken": say("dashboards.panel_broken"),
        }
        return PanelView(panel, "failed", failure=words[kind])


def _without_values(rows: Sequence[Row]) -> bool:
    return all(value is None for row in rows for value in row.values.values())


def called(schema: FeatureSchema, texts: Texts, language: Language, field: str, key: Key) -> str:
    """Return how people call the value `key` of `field`: inputs by their labels, days by their names."""
    text = str(key)
    if field == "day_of_week" and text[:1].isdigit() and 1 <= int(text[0]) <= len(WEEKDAYS):
        return texts.say(language, WEEKDAYS[int(text[0]) - 1])
    if field == "drift.feature" and text == "prediction":
        return texts.say(language, "dashboards.the_answer")
    if field in {"features_present", "drift.feature", "errors.field"} and text in schema.by_name:
        return schema.by_name[text].label.in_language(language)
    return text

"""The page at `/drift`: whether inputs, answers and quality are still those of training."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import gradio as gr

from vigie.errors import VigieError
from vigie.ui.dashboards.panels import Panels
from vigie.ui.drift import quality_view, view
from vigie.ui.drift.reading import WINDOWS, WindowChoice
from vigie.ui.language import Language, language_of
from vigie.ui.page_events import on_load
from vigie.ui.site import Site

QUICK: Final[dict[str, Any]] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
PANELS: Final = ("predicted_share", "mean_probability")
"""Shown of the panel specification."""
PANEL_SPANS: Final = {"1h": timedelta(hours=1), "24h": timedelta(hours=24)}
PANEL_SPAN: Final = timedelta(days=7)


class DriftPage:
    """Draws the page's parts; shared by all visitors."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._panels = Panels(site)
        self._zone = ZoneInfo(site.settings.api.display_timezone)

    async def drift(self, choice: WindowChoice, language: Language) -> str:
        """Return the part on drift as HTML."""
        try:
            found = await self._site.drift.drift(choice)
        except VigieError as error:
            return self._away(language, "drift.away_drift", error)
        words = view.DriftWords(self._site.texts, language, self._zone, found.served.schema)
        return self._site.templates.render(
            language,
            "drift/drift.html",
            view=words.view(found),
            window=choice,
        )

    async def quality(self, choice: WindowChoice, language: Language) -> str:
        """Return the part on quality as HTML."""
        try:
            found = await self._site.drift.quality(choice)
        except VigieError as error:
            return self._away(language, "drift.away_quality", error)
        words = quality_view.QualityWords(self._site.texts, language, self._zone)
        return self._site.templates.render(
            language,
            "drift/quality.html",
            view=words.view(found),
            interval=words.interval,
            window=choice,
        )

    async def over_time(self, choice: WindowChoice, language: Language) -> str:
        """Return the panels on the answers over time as HTML."""
        until = datetime.now(UTC)
        since = until - PANEL_SPANS.get(choice, PANEL_SPAN)
        views = await self._panels.views(language, list(PANELS), since, until)
        return self._site.templates.render(language, "drift/over_time.html", views=views)

    def _away(self, language: Language, title: str, error: VigieError) -> str:
        say = self._site.texts.say
        return self._site.templates.render(
            language, "drift/away.html", title=say(language, title), reason=str(error)
        )


def build(site: Site) -> None:
    """Add the page to the Blocks in context."""
    page = DriftPage(site)
    gr.HTML(site.html("drift/head.html"))
    with gr.Row(elem_id="drift-choice"):
        choice = gr.Radio(
            [(site.texts(f"drift.window_{name}"), name) for name in WINDOWS],
            value=WINDOWS[0],
            label=site.texts("drift.window"),
            elem_id="drift-window",
        )
        now = gr.Button(site.texts("drift.check_now"), variant="primary", elem_id="drift-check", scale=0)
    drift = gr.HTML(elem_id="drift-found")
    quality = gr.HTML(elem_id="quality-found")
    over_time = gr.HTML(elem_id="drift-over-time")

    async def draw_drift(chosen: str, request: gr.Request) -> str:
        return await page.drift(window_of(chosen), language_of(request))

    async def draw_quality(chosen: str, request: gr.Request) -> str:
        return await page.quality(window_of(chosen), language_of(request))

    async def draw_over_time(chosen: str, request: gr.Request) -> str:
        return await page.over_time(window_of(chosen), language_of(request))

    for draw, part in ((draw_drift, drift), (draw_quality, quality), (draw_over_time, over_time)):
        on_load(draw, choice, part)
        now.click(draw, choice, part, **{**QUICK, "show_progress": "minimal", "trigger_mode": "once"})


def window_of(chosen: object) -> WindowChoice:
    """Return the choice, which comes from a browser; the scheduled check's when it is none of ours."""
    return next((name for name in WINDOWS if name == chosen), WINDOWS[0])

"""The page at `/pipeline`: stages, backlog, ledger and dead letters, refreshed by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import gradio as gr

from vigie.ui.dashboards.panels import Panels
from vigie.ui.language import language_of
from vigie.ui.page_events import on_load
from vigie.ui.pipeline.dead_letters import DeadLettersPart, Place, Pressed
from vigie.ui.pipeline.parts import PipelineParts
from vigie.ui.site import Site

REFRESH_SECONDS: Final = 15.0
REPLAY_SECONDS: Final = 1.0
PANELS: Final = (
    "backlog_over_time", "lag_over_time", "throughput", "retries", "ledger_over_time", "letters_by_cause",
)  # fmt: skip
"""Shown of the panel specification, over the last hour."""
QUICK: Final[dict[str, Any]] = {
    "queue": False,
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "once",
}
PRESSED: Final = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) trigger("click", {action: button.dataset.action, letter: button.dataset.letter});
});
"""
"""A button of the server's HTML says what it is for."""


def build(site: Site) -> None:
    """Add the page to the Blocks in context."""
    gr.HTML(site.html("pipeline/head.html"))
    refresh = gr.Checkbox(
        value=True, label=site.texts("pipeline.refresh"), container=False, elem_id="pipeline-refresh"
    )
    timer = gr.Timer(REFRESH_SECONDS)
    refresh.input(lambda on: gr.Timer(active=bool(on)), refresh, timer, **QUICK)
    _parts(site, timer)
    _dead_letters(site, timer)
    _panels(site, timer)


def _parts(site: Site, timer: gr.Timer) -> None:
    """Add the stages, the processes and the ledger."""
    parts = PipelineParts(site)
    shown = [gr.HTML(elem_id=f"pipeline-{name}") for name in ("stages", "processes", "ledger")]

    async def stages(request: gr.Request) -> str:
        return await parts.stages(language_of(request))

    async def processes(request: gr.Request) -> str:
        return await parts.processes(language_of(request))

    async def ledger(request: gr.Request) -> str:
        return await parts.ledger(language_of(request))

    for draw, part in zip((stages, processes, ledger), shown, strict=True):
        on_load(draw, None, part)
        timer.tick(draw, None, part, **QUICK)


def _dead_letters(site: Site, timer: gr.Timer) -> None:
    """Add the dead letters, and what is asked and answered about them."""
    part = DeadLettersPart(site)
    place, replay = gr.State(Place()), gr.State("")
    said = gr.HTML(elem_id="pipeline-said")
    letters = gr.HTML(elem_id="pipeline-letters", js_on_load=PRESSED)
    following = gr.Timer(REPLAY_SECONDS, active=False)
    outputs = [letters, said, place, replay, following]

    async def draw(seen: Place, request: gr.Request) -> str:
        return await part.letters(language_of(request), seen)

    async def press(
        seen: Place, running: str, event: gr.EventData, request: gr.Request
    ) -> tuple[str, Any, Place, str, gr.Timer]:
        language, pressed = language_of(request), Pressed.of(event._data)
        answer: Any = gr.skip()
        match pressed.action:
            case "replay":
                answer, running = await part.replay(language, pressed.letter)
            case "discard":
                answer = await part.discard(language, pressed.letter)
            case "ask":
                answer = ""
        seen = part.moved(pressed, seen)
        drawn = await part.letters(language, seen)
        return drawn, answer, seen, running, gr.Timer(active=bool(running))

    async def follow(seen: Place, running: str, request: gr.Request) -> tuple[str, str, Place, str, gr.Timer]:
        language = language_of(request)
        answer, running = await part.progress(language, running)
        drawn = await part.letters(language, seen)
        return drawn, answer, seen, running, gr.Timer(active=bool(running))

    on_load(draw, place, letters)
    timer.tick(draw, place, letters, **QUICK)
    letters.click(press, [place, replay], outputs, **QUICK)
    following.tick(follow, [place, replay], outputs, **QUICK)


def _panels(site: Site, timer: gr.Timer) -> None:
    """Add the panels over the last hour."""
    panels = Panels(site)
    shown = gr.HTML(elem_id="pipeline-panels")

    async def draw(request: gr.Request) -> str:
        until = datetime.now(UTC)
        language = language_of(request)
        views = await panels.views(language, list(PANELS), until - timedelta(hours=1), until)
        return site.templates.render(language, "pipeline/panels.html", views=views)

    on_load(draw, None, shown)
    timer.tick(draw, None, shown, **QUICK)

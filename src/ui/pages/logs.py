"""The page at `/logs`: searching what is stored, following what comes in, emptying the stream."""

from __future__ import annotations

from typing import Any, Final, Literal

import gradio as gr

from vigie.ui.language import Language, language_of
from vigie.ui.logs.clearing import Clearing
from vigie.ui.logs.following import Following
from vigie.ui.logs.search import LogSearch
from vigie.ui.page_events import on_load
from vigie.ui.plain_html import plain
from vigie.ui.site import Site

TICK_SECONDS: Final = 2.0
QUICK: Final[dict[str, Any]] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
SHOW_FRESH: Final = "(html) => document.dispatchEvent(new CustomEvent('vigie:logs', {detail: html}))"
"""What came in is put above what is there, which stays as it is: unfolded entries stay unfolded."""


def build(site: Site) -> None:
    """Add the page to the Blocks in context."""
    search, following = LogSearch(site), Following(site)
    gr.HTML(site.html("logs/head.html"))
    filters = plain("logs-search")
    with gr.Row(elem_id="logs-bar"):
        follow = gr.Checkbox(label=site.texts("logs.follow"), container=False, elem_id="logs-follow", scale=0)
        live = plain("logs-live")
        _clearing(site)
    entries = plain("logs-list")
    fresh = gr.HTML(visible=False)
    after = gr.State("")
    redraw = gr.Button("", elem_id="logs-draw", visible="hidden")
    timer = gr.Timer(TICK_SECONDS, active=False)

    async def draw(request: gr.Request) -> tuple[str, str]:
        return await search.page(language_of(request), request.query_params)

    def switch(follows: bool, request: gr.Request) -> tuple[gr.Timer, str, str]:
        active, said = following.switched(follows, language_of(request), request.query_params)
        return gr.Timer(active=active), said, ""

    def go_on(follows: bool, request: gr.Request) -> tuple[gr.Timer, str, str]:
        return switch(follows, request) if follows else (gr.Timer(active=False), "", "")

    def tick(position: str, request: gr.Request) -> tuple[str, str, str]:
        came = following.since(position, language_of(request), request.query_params)
        return came.html, came.position, came.said

    drawn = [filters, entries]
    switched = [timer, live, after]
    on_load(draw, None, drawn)
    redraw.click(draw, None, drawn, **QUICK).then(go_on, follow, switched, **QUICK)
    follow.input(switch, follow, switched, **QUICK)
    timer.tick(tick, after, [fresh, after, live], trigger_mode="once", **QUICK).then(
        None, fresh, None, js=SHOW_FRESH, **QUICK
    )


def _clearing(site: Site) -> None:
    """Add the button that empties the stream, and the question that it asks first."""
    clearing = Clearing(site)
    begin = gr.Button(site.texts("logs.clear"), size="sm", elem_id="logs-clear", scale=0, min_width=150)
    with gr.Column(visible=False, elem_classes="card", elem_id="logs-clearing") as question:
        said = plain()
        with gr.Row():
            now = _button(site, "logs.clear_now", "stop")
            force = _button(site, "logs.clear_force", "stop", visible=False)
            cancel = _button(site, "logs.clear_cancel")
            close = _button(site, "logs.clear_close", visible=False)
    outputs = [question, said, now, force, cancel, close]

    def shown(html: str, *offered: gr.Button) -> list[Any]:
        buttons = [gr.Button(visible=button in offered) for button in (now, force, cancel, close)]
        return [gr.Column(visible=True), html, *buttons]

    def asked(request: gr.Request) -> list[Any]:
        return shown(clearing.question(language_of(request)), now, cancel)

    async def cleared(language: Language, *, forced: bool) -> list[Any]:
        done = await clearing.clear(language, force=forced)
        return shown(done.html, *((force, cancel) if done.may_force else (close,)))

    async def clear(request: gr.Request) -> list[Any]:
        return await cleared(language_of(request), forced=False)

    async def clear_all(request: gr.Request) -> list[Any]:
        return await cleared(language_of(request), forced=True)

    once = {**QUICK, "trigger_mode": "once"}
    begin.click(asked, None, outputs, **once)
    now.click(clear, None, outputs, **once)
    force.click(clear_all, None, outputs, **once)
    for button in (cancel, close):
        button.click(lambda: gr.Column(visible=False), None, question, **once)


def _button(
    site: Site, key: str, variant: Literal["secondary", "stop"] = "secondary", visible: bool = True
) -> gr.Button:
    return gr.Button(site.texts(key), variant=variant, size="sm", scale=0, min_width=120, visible=visible)

"""The page at `/trace`: one request from end to end."""

from __future__ import annotations

from typing import Any, Final

import gradio as gr

from vigie.ui.language import language_of
from vigie.ui.page_events import on_load
from vigie.ui.plain_html import plain
from vigie.ui.site import Site
from vigie.ui.trace_reading import Asked, TraceReading

AGAIN_SECONDS: Final = 2.0
QUICK: Final[dict[str, Any]] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}


def build(site: Site) -> None:
    """Add the page to the Blocks in context."""
    reading = TraceReading(site)
    gr.HTML(site.html("trace/head.html"))
    find = plain("trace-search")
    main = plain("trace-main")
    place = plain()
    lines = plain()
    documents = plain()
    asked = gr.State(None)
    tries = gr.State(0)
    timer = gr.Timer(AGAIN_SECONDS, active=False)

    async def look(tried: int, request: gr.Request) -> tuple[str, str, str, Asked | None, int, gr.Timer]:
        drawn = await reading.draw(language_of(request), request.query_params, tried)
        again = gr.Timer(active=drawn.again)
        return drawn.find, drawn.main, drawn.documents, drawn.asked, tried + 1, again

    async def look_again(tried: int, request: gr.Request) -> tuple[str, str, Asked | None, int, gr.Timer]:
        return (await look(tried, request))[1:]  # the field stays: somebody may be typing

    async def around(known: Asked | None, request: gr.Request) -> tuple[str, str]:
        found = await reading.around(language_of(request), known)
        return found.place, found.lines

    parts = [main, documents, asked, tries, timer]
    on_load(look, tries, [find, *parts]).then(around, asked, [place, lines], **QUICK)
    timer.tick(look_again, tries, parts, trigger_mode="once", **QUICK).then(
        around, asked, [place, lines], **QUICK
    )

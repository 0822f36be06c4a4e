"""The page at `/trace`: one request from end to end."""

from __future__ import annotations

from typing import Any, Final

import gradio as gr

from vigie.ui.language import language_of
from vigie.ui.page_events import on_load
from vigie.ui.plain_html import plain
from vigie.ui.predict.feedback import Outcome
from vigie.ui.predict.last_answer import LastAnswer
from vigie.ui.site import Site
from vigie.ui.trace.reading import Asked, TraceReading

AGAIN_SECONDS: Final = 2.0
QUICK: Final[dict[str, Any]] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}


def build(site: Site) -> None:
    """Add the page to the Blocks in context."""
    reading = TraceReading(site)
    gr.HTML(site.html("trace/head.html"))
    find = plain("trace-search")
    main = plain("trace-main")
    outcome = Outcome.build(site)
    place = plain()
    lines = plain()
    documents = plain()
    asked = gr.State(None)
    answer = gr.Textbox(visible="hidden")
    tries = gr.State(0)
    timer = gr.Timer(AGAIN_SECONDS, active=False)

    async def look(tried: int, request: gr.Request) -> list[Any]:
        drawn = await reading.draw(language_of(request), request.query_params, tried)
        return [
            drawn.find,
            drawn.main,
            drawn.documents,
            drawn.asked,
            LastAnswer(transaction_id=drawn.asked.id).model_dump_json() if drawn.asked else "",
            gr.Column(visible=drawn.answered),
            tried + 1,
            gr.Timer(active=drawn.again),
        ]

    async def look_again(tried: int, request: gr.Request) -> list[Any]:
        return (await look(tried, request))[1:]  # the field stays: somebody may be typing

    async def around(known: Asked | None, request: gr.Request) -> tuple[str, str]:
        found = await reading.around(language_of(request), known)
        return found.place, found.lines

    parts: list[Any] = [main, documents, asked, answer, outcome.box, tries, timer]
    on_load(look, tries, [find, *parts]).then(around, asked, [place, lines], **QUICK)
    timer.tick(look_again, tries, parts, trigger_mode="once", **QUICK).then(
        around, asked, [place, lines], **QUICK
    )
    outcome.listen(site, answer, QUICK)

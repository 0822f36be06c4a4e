"""The page at `/dashboards`: the dashboards of the specification, drawn from the store."""

from __future__ import annotations

from typing import Final

import gradio as gr

from vigie.ui.dashboards.dashboard import Dashboards
from vigie.ui.dashboards.panels import Panels
from vigie.ui.language import language_of
from vigie.ui.page_events import on_load
from vigie.ui.site import Site

ASKING: Final = """
window.vigie.askDashboard = (query) => { props.value = query; trigger("submit"); };
"""
"""scripts/dashboards.js asks by it for the dashboard of another address."""


def build(site: Site) -> None:
    """Add the page to the Blocks in context."""
    dashboards = Dashboards(site, Panels(site))

    async def opened(request: gr.Request) -> str:
        return await dashboards.html(language_of(request), str(request.query_params))

    async def asked(query: str, request: gr.Request) -> str:
        return await dashboards.html(language_of(request), query)

    gr.HTML(site.html("dashboards/head.html"))
    content = gr.HTML(site.html("dashboards/waiting.html"), elem_id="dashboard")
    asking = gr.HTML("", js_on_load=ASKING, elem_classes="visually-hidden")
    on_load(opened, None, content)
    asking.submit(
        asked,
        asking,
        content,
        queue=False,
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
    )

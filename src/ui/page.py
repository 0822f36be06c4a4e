"""The pages of the front end, each at its address, in one application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import gradio as gr
from gradio.components.navbar import Navbar
from gradio.events import api as register_api

from vigie.ui.named_api import logs_api, predict_api
from vigie.ui.pages import batch, dashboards, drift, logs, pipeline, predict, trace
from vigie.ui.site import Site


@dataclass(frozen=True)
class Page:
    """One page: its address below `/`, the key of its name in texts/frame.yaml, and what builds it."""

    path: str
    key: str
    build: Callable[[Site], None]


PAGES: Final = (
    Page("", "predict", predict.build),
    Page("batch", "batch", batch.build),
    Page("trace", "trace", trace.build),
    Page("dashboards", "dashboards", dashboards.build),
    Page("logs", "logs", logs.build),
    Page("drift", "drift", drift.build),
    Page("pipeline", "pipeline", pipeline.build),
)
"""In the order of the navigation."""
SWEEP_SECONDS: Final = 600
"""How often uploads that no page took are removed, and how old they are then."""


def build_pages(site: Site) -> gr.Blocks:
    """Return the application with every page and the two functions of the named API."""
    app = gr.Blocks(analytics_enabled=False, title="Vigie", delete_cache=(SWEEP_SECONDS, SWEEP_SECONDS))
    for page in PAGES:
        if page.path:
            app.route(page.key, page.path, show_in_navbar=False)
        with app:
            Navbar(visible=False)  # the frame has its own, of plain links
            if not page.path:  # before the page's own events, which could take the names
                register_api(predict_api(site.schema, site.api), api_name="predict", queue=False)
                register_api(logs_api(site.reader), api_name="logs_api", queue=False)
            page.build(site)
    return app

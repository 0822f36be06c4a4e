"""The pages in the FastAPI application: Gradio's at `/`, what the frame needs, and what goes around them."""

from __future__ import annotations

from typing import Final

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.middleware.gzip import GZipMiddleware

from vigie.ui import bundle
from vigie.ui.bundle import Bundle
from vigie.ui.document import Documents
from vigie.ui.header import Frame, health
from vigie.ui.language import language_of
from vigie.ui.page import build_pages
from vigie.ui.security import SecurityHeaders
from vigie.ui.site import Site
from vigie.ui.theme import theme

MOST_UPLOADED: Final = "64mb"
"""100,000 rows of a wide table; Gradio refuses a larger file while it arrives."""
COMPRESSION: Final = 3
"""A page's description shrinks to a seventh; a higher level costs more time than it saves."""


def mount_pages(app: FastAPI, site: Site) -> None:
    """Add the pages of `site` to `app`."""
    style, script = Bundle.of_styles(), Bundle.of_scripts()
    app.include_router(bundle.router_of(style, script))

    @app.get("/frame/health", include_in_schema=False)
    async def frame_health(request: Request) -> HTMLResponse:
        return HTMLResponse(await health(site, language_of(request)), headers={"Cache-Control": "no-store"})

    pages = build_pages(site)
    gr.mount_gradio_app(
        app,
        pages,
        "/",
        server_name=site.settings.ui.gradio_host,
        server_port=site.settings.ui.gradio_port,
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=False,
        max_file_size=MOST_UPLOADED,
        i18n=gr.I18n(en=dict(site.texts.words("en")), fr=dict(site.texts.words("fr"))),
        theme=theme(),
        js="() => window.vigie.ready()",
    )
    # Gradio looks at the paths that callers name only in pages that it launched itself; unchecked, an event
    # that takes a file reads any file of the server.
    pages.has_launched = True
    app.add_middleware(Documents, frame=Frame(site, pages.theme_hash, style, script), texts=site.texts)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(GZipMiddleware, compresslevel=COMPRESSION)

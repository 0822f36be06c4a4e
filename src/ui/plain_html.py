"""Parts of a page that are written while somebody looks at it."""

from __future__ import annotations

import gradio as gr


def plain(elem_id: str | None = None) -> gr.HTML:
    """Add an empty part, without Gradio's styles for prose: they reach into tables, lists and links."""
    return gr.HTML(elem_id=elem_id, elem_classes="plain", apply_default_css=False)

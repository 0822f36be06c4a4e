"""Events of a page that are not a component's: what is asked once the page is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.context import Context

Components = gr.components.Component | Sequence[gr.components.Component] | None


def on_load(fn: Callable[..., Any], inputs: Components, outputs: Components, **options: Any) -> Any:
    """Call `fn` when somebody opens the page in context; return the event, for `.then`.

    `request.query_params` of a `gr.Request` parameter is what stands in the page's address.
    """
    blocks = Context.root_block
    if blocks is None:
        raise RuntimeError("there is no page in context")
    settings: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    return blocks.load(fn, inputs, outputs, **(settings | options))

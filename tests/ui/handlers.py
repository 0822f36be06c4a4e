"""What a page does when something happens on it, called without a browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import gradio as gr

from vigie.ui.language import Language
from vigie.ui.site import Site


def handlers(build: Callable[[Site], None], site: Site) -> dict[str, list[Callable[..., Any]]]:
    """Build a page; return the functions that its events call, by their names."""
    with gr.Blocks() as page:
        build(site)
    found: dict[str, list[Callable[..., Any]]] = {}
    for event in page.fns.values():
        if event.fn is not None:
            found.setdefault(event.fn.__name__, []).append(event.fn)
    return found


def request(language: Language = "en", query: Mapping[str, str] | None = None) -> Any:
    """What a page knows of who asks."""
    return SimpleNamespace(cookies={"language": language}, headers={}, query_params=dict(query or {}))

"""Gradio's file component, for files that are read at once and removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ListFiles
from gradio.utils import get_upload_folder


def table_upload(**options: Any) -> gr.File:
    """Return a `gr.File` of these `options` whose events are given the path of what was uploaded.

    Gradio's own way leaves an empty temporary file behind each time, and goes by the file's name; here its
    content says what it is.
    """
    component = gr.File(**options)
    component.preprocess = uploaded_path  # type: ignore[method-assign]  # a class of ours would need a .pyi beside it
    return component


def uploaded_path(payload: ListFiles | FileData | None) -> str | None:
    """Return the path in an event's `payload`; None for one that is no upload's: a caller may name any."""
    if not isinstance(payload, FileData):
        return None
    path, folder = Path(payload.path).resolve(), Path(get_upload_folder()).resolve()
    return str(path) if folder in path.parents else None

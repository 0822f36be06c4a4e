"""The first page: the form on one side, the answer on the other, and the named APIs."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

import gradio as gr
from gradio.events import api as register_api

from vigie.schema import FeatureSchema
from vigie.ui.answers import Entered, record_from
from vigie.ui.api_client import ApiClient
from vigie.ui.form import build_form
from vigie.ui.logs_api import LogsReader
from vigie.ui.named_api import logs_api, predict_api
from vigie.ui.result import WAITING, render

PAGE_STYLE: Final = Path(__file__).with_name("page.css")
PAGE_SCRIPT: Final = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
SYSTEM_FONTS: Final = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONOSPACE_FONTS: Final = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
"""Fonts that are on the visitor's machine: the page asks no other host for anything."""


def theme() -> gr.themes.Base:
    """Return the page's theme, light and dark."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        font=SYSTEM_FONTS,
        font_mono=MONOSPACE_FONTS,
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        # Against their backgrounds these have a contrast of 4.5 and more (WCAG AA); the defaults do not.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        body_background_fill="*neutral_50",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
    )


def build_page(
    schema: FeatureSchema, notice: str, api: ApiClient, reader: LogsReader, language: str = "en"
) -> gr.Blocks:
    """Return the page for the model of `schema`, which says `notice` wherever it answers."""
    title = schema.title.in_language(language)

    async def predict_from_form(*entered: Entered) -> str:
        outcome = await api.predict(record_from(schema, entered))
        return render(outcome, schema, notice, api.url, language)

    page = gr.Blocks(analytics_enabled=False, title=title)
    with page:
        gr.HTML(_header(schema, notice, language), elem_id="page-header")
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=3, min_width=300, elem_id="form"):
                fields = build_form(schema, language)
                button = gr.Button("Predict", variant="primary", size="lg", elem_id="predict")
            with gr.Column(scale=2, min_width=300, elem_id="result-column"):
                result = gr.HTML(WAITING, elem_id="result")
        button.click(
            predict_from_form,
            fields,
            result,
            api_visibility="private",
            preprocess=False,  # the API checks the values; its reasons are better than the components'
            queue=False,
            trigger_mode="once",
            scroll_to_output=True,
            show_progress="full",
        )
        register_api(predict_api(schema, api), api_name="predict", queue=False)
        register_api(logs_api(reader), api_name="logs_api", queue=False)
    return page


def _header(schema: FeatureSchema, notice: str, language: str) -> str:
    return f"""
<h1>{escape(schema.title.in_language(language))}</h1>
<p>{escape(schema.description.in_language(language))}</p>
<p class="notice" role="note">{escape(notice)}</p>
"""

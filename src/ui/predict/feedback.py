"""Sending the true outcome of a prediction, and what the API says to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr

from vigie.ui.api_client import ApiFaultError
from vigie.ui.language import Language, language_of
from vigie.ui.predict.last_answer import last_answer
from vigie.ui.site import Site

SECONDS: Final = 10.0
"""The API gives up after eight."""
CONFLICT: Final = 409
KEPT: Final = 202
WORDS: Final[Mapping[str, str]] = {
    "recorded": "predict.recorded",
    "kept": "predict.kept",
    "known": "predict.known",
    "corrected": "predict.corrected",
}
"""What the API says became of an outcome → what the visitor reads."""


@dataclass(frozen=True)
class Outcome:
    """The components; `all` is what a new prediction sets back."""

    box: gr.Column
    label: gr.Radio
    send: gr.Button
    correct: gr.Button
    told: gr.HTML

    @classmethod
    def build(cls, site: Site) -> Outcome:
        """Add the components to the Blocks in context; they show once there is a prediction."""
        target = site.schema.target
        with gr.Column(visible=False, elem_id="outcome") as box:
            gr.HTML(site.html("predict/outcome.html"))
            label = gr.Radio(
                list(target.classes),
                label=site.texts.made(
                    lambda language: site.texts.say(
                        language, "predict.truth", target=target.title.in_language(language)
                    )
                ),
                elem_id="truth",
            )
            with gr.Row():
                send = gr.Button(site.texts("predict.send"), size="sm", elem_id="send-truth")
                correct = gr.Button(
                    site.texts("predict.correct"), size="sm", elem_id="correct-truth", visible=False
                )
            told = gr.HTML("", elem_id="truth-told")
        return cls(box, label, send, correct, told)

    @property
    def all(self) -> list[gr.blocks.Block]:
        """What a prediction changes."""
        return [self.box, self.label, self.correct, self.told]

    @staticmethod
    def set_back(*, there: bool) -> list[Any]:
        """Return the values of `all` after a prediction, or after there was none."""
        return [gr.Column(visible=there), gr.Radio(value=None), gr.Button(visible=False), ""]

    def listen(self, site: Site, asked: gr.Textbox, options: Mapping[str, Any]) -> None:
        """Send what is chosen for the prediction in `asked` when a button is pressed."""

        async def send(request: gr.Request, kept: str, label: str | None) -> list[Any]:
            return await _sent(site, language_of(request), kept, label, correct=False)

        async def correct(request: gr.Request, kept: str, label: str | None) -> list[Any]:
            return await _sent(site, language_of(request), kept, label, correct=True)

        for button, handler in ((self.send, send), (self.correct, correct)):
            button.click(
                handler,
                [asked, self.label],
                [self.told, self.correct],
                trigger_mode="once",
                **{**options, "show_progress": "hidden"},
            )


async def _sent(site: Site, language: Language, kept: str, label: str | None, *, correct: bool) -> list[Any]:
    """Send the outcome; return what is told, and whether it may be corrected."""
    last = last_answer(kept)
    if last is None or label is None:
        key = "predict.predict_first" if last is None else "predict.choose_first"
        return [_told(site, language, "refused", key), gr.Button(visible=False)]
    outcome = {"transaction_id": last.transaction_id, "label": label, "correct": correct}
    try:
        answer = await site.api.ask("POST", "/feedback", json=outcome, timeout=SECONDS)
    except ApiFaultError as error:
        if error.status == CONFLICT:
            told = _told(site, language, "refused", "predict.another_outcome", label)
            return [told, gr.Button(visible=True)]
        shown = site.templates.render(language, "parts/failure.html", failure=error.failure)
        return [shown, gr.Button(visible=False)]
    status = "kept" if answer.status == KEPT else str(answer.json.get("status"))
    told = _told(site, language, "ok", WORDS.get(status, WORDS["recorded"]), label)
    return [told, gr.Button(visible=False)]


def _told(site: Site, language: Language, kind: str, key: str, label: str = "") -> str:
    words = site.texts.say(language, key, label=label)
    return site.templates.render(language, "predict/told.html", kind=kind, words=words)

"""The first page: the form on one side; the answer, what moved it and its true outcome on the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr
from pydantic import ValidationError

from vigie.schema import Value
from vigie.ui.api_client import ApiFaultError
from vigie.ui.language import Language, language_of
from vigie.ui.outcome import Failure, Prediction
from vigie.ui.predict.answers import Entered, entered_from, in_the_forms_words, record_from
from vigie.ui.predict.contributions import Explained, moves
from vigie.ui.predict.examples import Example, examples_of
from vigie.ui.predict.feedback import Outcome
from vigie.ui.predict.form import build_form
from vigie.ui.predict.last_answer import FoundMoves, LastAnswer, last_answer
from vigie.ui.predict.model_facts import ModelFacts
from vigie.ui.predict.result import Speaker
from vigie.ui.site import Site
from vigie.ui.texts import sentence

EXPLAIN_SECONDS: Final = 5.0
OF_THE_LAST_ANSWER: Final = """
(asked, explained, shown) => {
  const found = JSON.parse(explained || "{}");
  return asked && found.of === JSON.parse(asked).transaction_id ? found.html : shown;
}
"""
"""An explanation that comes after another answer has been given is not shown beside that."""
QUICK: Final[dict[str, Any]] = {
    "api_visibility": "private",
    "preprocess": False,  # the API checks the values; its reasons are better than the components'
    "queue": False,
}


@dataclass(frozen=True)
class Answering:
    """What the right-hand side shows, and what the page remembers of the visitor's last prediction."""

    result: gr.HTML
    moves: gr.HTML
    asked: gr.Textbox
    """The last answer as JSON (vigie.ui.predict.last_answer), which nobody sees."""
    explained: gr.Textbox
    """What moved an answer as JSON, until it is known whether that is still the last one."""
    outcome: Outcome

    @property
    def all(self) -> list[gr.blocks.Block]:
        """What a prediction changes."""
        return [self.result, self.moves, self.asked, *self.outcome.all]


def build(site: Site) -> None:
    """Add the page to the Blocks in context."""
    gr.HTML(site.html("predict/head.html", schema=site.schema))
    with gr.Row(elem_id="columns"):
        with gr.Column(scale=3, min_width=300, elem_id="form"):
            examples = examples_of(site.schema, site.settings.model.model_path, site.texts)
            picker = gr.Dropdown(
                [(site.texts.of(example.name), position) for position, example in enumerate(examples)],
                value=0,
                label=site.texts("predict.examples"),
                info=site.texts("predict.examples_help"),
                filterable=False,
                elem_id="examples",
            )
            fields = build_form(site)
            with gr.Row(elem_id="actions"):
                button = gr.Button(
                    site.texts("predict.button"), variant="primary", size="lg", elem_id="predict", scale=3
                )
                reset = gr.Button(site.texts("predict.reset"), size="lg", elem_id="reset", scale=1)
        with gr.Column(scale=2, min_width=300, elem_id="result-column"):
            shown = Answering(
                result=gr.HTML(site.html("predict/waiting.html"), elem_id="result"),
                moves=gr.HTML("", elem_id="moves", visible=False),
                asked=gr.Textbox(visible="hidden"),
                explained=gr.Textbox(visible="hidden"),
                outcome=Outcome.build(site),
            )
    _fill_in(site, examples, picker, reset, fields)
    _answer(site, button, fields, shown)
    shown.outcome.listen(site, shown.asked, QUICK)


def _fill_in(
    site: Site,
    examples: list[Example],
    picker: gr.Dropdown,
    reset: gr.Button,
    fields: list[gr.components.Component],
) -> None:
    """Fill the form from the example that is picked; set it back to the first, its defaults.

    The browser does it by itself: an answer that came later would undo what was typed meanwhile. And it is
    not the picker's input event that counts, which Gradio sends whenever the picker loses the focus too.
    """
    filled = json.dumps([entered_from(site.schema, example.record) for example in examples])
    picker.change(None, picker, fields, js=f"(position) => ({filled})[position]", **QUICK)
    reset.click(None, None, [picker, *fields], js=f"() => [0, ...({filled})[0]]", **QUICK)


def _answer(site: Site, button: gr.Button, fields: list[gr.components.Component], shown: Answering) -> None:
    """Predict when the button is pressed; once the answer is there, find out what moved it."""
    facts = ModelFacts(site.api)

    async def predict(request: gr.Request, *entered: Entered) -> list[Any]:
        language, record = language_of(request), record_from(site.schema, entered)
        outcome, known = await asyncio.gather(site.api.predict(record), facts.now())
        if isinstance(outcome, Failure):
            failure = in_the_forms_words(outcome, site.schema, record, site.texts, language)
            result = site.templates.render(language, "parts/failure.html", failure=failure)
            return [result, gr.HTML(visible=False), "", *Outcome.set_back(there=False)]
        statement = Speaker(site.schema, site.texts, language).statement(
            outcome, known, sentence(site.notice(language))
        )
        return [
            site.templates.render(language, "predict/answer.html", answer=statement),
            gr.HTML(
                site.templates.render(language, "predict/moves_waiting.html"), visible=_has_moves(outcome)
            ),
            LastAnswer(
                transaction_id=outcome.transaction_id, record=record if _has_moves(outcome) else None
            ).model_dump_json(),
            *Outcome.set_back(there=outcome.label is not None),
        ]

    async def explain(request: gr.Request, asked: str) -> str:
        last = last_answer(asked)
        if last is None or last.record is None:
            return ""
        html = await _moves(site, language_of(request), last.record)
        return FoundMoves(of=last.transaction_id, html=html).model_dump_json()

    answered = button.click(
        predict,
        fields,
        shown.all,
        trigger_mode="once",
        scroll_to_output=True,
        show_progress="full",
        show_progress_on=shown.result,
        **QUICK,
    )
    answered.then(
        explain, shown.asked, shown.explained, trigger_mode="multiple", show_progress="hidden", **QUICK
    ).then(
        None,
        [shown.asked, shown.explained, shown.moves],
        shown.moves,
        js=OF_THE_LAST_ANSWER,
        show_progress="hidden",
        **QUICK,
    )


def _has_moves(answer: Prediction) -> bool:
    """Say whether it has a probability that something could have moved; a regression has none."""
    return answer.probability is not None


async def _moves(site: Site, language: Language, record: Mapping[str, Value]) -> str:
    failure: Failure | None = None
    try:
        answer = await site.api.ask("POST", "/explain", json=record, timeout=EXPLAIN_SECONDS)
        found = moves(Explained.model_validate(answer.json), site.schema, site.texts, language)
        return site.templates.render(language, "predict/moves.html", found=found)
    except ApiFaultError as error:
        failure = error.failure
    except ValidationError:
        pass
    return site.templates.render(language, "predict/moves_missing.html", failure=failure)

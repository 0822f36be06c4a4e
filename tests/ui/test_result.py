"""The answer as the visitor reads it: honest about what it is, in both languages, with every text escaped."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.servers import ROOT

from vigie.schema import FeatureSchema, load_schema
from vigie.ui.language import LANGUAGES, Language
from vigie.ui.outcome import Prediction
from vigie.ui.predict.model_facts import Facts, Metrics
from vigie.ui.predict.result import Speaker
from vigie.ui.templates import Templates
from vigie.ui.texts import Texts

REFERENCE = load_schema(ROOT / "model" / "lung_cancer")
TEXTS = Texts()
TEMPLATES = Templates(TEXTS)
FACTS = Facts(
    version="1.2.3",
    threshold=0.8,
    simulated=True,
    metrics=Metrics(rows=4000, correct=3700, calibration_error=0.0127),
)
PAYLOADS = (
    "<script>alert(1)</script>",
    "<svg onload=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "\"><a href='javascript:alert(1)'>x</a>",
    "' onmouseover='alert(1)",
)


def prediction(**changed: object) -> Prediction:
    """A prediction of the reference model."""
    base = {"prediction": 1, "label": "YES", "probability": 0.873, "model_name": "lung_cancer"}
    base |= {"model_version": "1.2.3", "transaction_id": "t-1"}
    return Prediction.model_validate(base | changed)


def speaker(schema: FeatureSchema = REFERENCE, language: Language = "en") -> Speaker:
    """Who says it."""
    return Speaker(schema, TEXTS, language)


def page_of(
    answer: Prediction,
    schema: FeatureSchema = REFERENCE,
    language: Language = "en",
    facts: Facts | None = FACTS,
    notice: str = "Not a medical device.",
) -> str:
    """The panel of an answer."""
    statement = speaker(schema, language).statement(answer, facts, notice)
    return TEMPLATES.render(language, "predict/answer.html", answer=statement)


def tags(page: str) -> list[str]:
    """Every tag of `page`, in order."""
    return re.findall(r"<[^>]*>", page)


@pytest.mark.parametrize(
    ("probability", "shown", "french"),
    [
        (0.0, "0.0%", "0,0\u00a0%"),
        (0.0004, "less than 0.1%", "moins de 0,1\u00a0%"),
        (0.8731, "87.3%", "87,3\u00a0%"),
        (0.99951, "more than 99.9%", "plus de 99,9\u00a0%"),
        (1.0, "100.0%", "100,0\u00a0%"),
    ],
)
def test_a_probability_in_percent_never_claims_certainty(probability: float, shown: str, french: str) -> None:
    """0 % and 100 % are shown only for exactly 0 and 1."""
    assert speaker().percent(probability) == shown
    assert speaker(language="fr").percent(probability) == french


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.004, "fewer than 1"),
        (0.0, "about 0"),
        (0.873, "about 87"),
        (0.996, "more than 99"),
        (1, "about 100"),
    ],
)
def test_of_a_hundred(probability: float, words: str) -> None:
    """The frequency is rounded to a whole number and not beyond what the model said."""
    assert speaker().out_of_hundred(probability) == words


def test_the_meaning_speaks_of_the_positive_class_also_when_the_answer_is_no() -> None:
    """The frequency is that of the class whose probability is shown; the sentence that of the class given."""
    answer = prediction(prediction=0, label="NO", probability=0.12)
    assert speaker().meaning(answer) == (
        "The answers resemble those of the people without the disease. Of 100 cases with answers like these, "
        "the model expects about 12 to be “Lung cancer: YES”."
    )
    assert speaker(language="fr").meaning(answer) == (
        "Les réponses ressemblent à celles des personnes sans la maladie. Sur 100 cas aux réponses semblables, "
        "le modèle en attend environ 12 avec «\u00a0Cancer du poumon\u00a0: YES\u00a0»."
    )


def test_of_more_than_two_classes_it_speaks_of_the_one_given(mixed_schema: FeatureSchema) -> None:
    """A class without a meaning in the schema has its frequency alone, and nothing is held against a threshold."""
    answer = prediction(label="unsure", probability=0.51)
    assert speaker(mixed_schema).meaning(answer) == (
        "Of 100 cases with answers like these, the model expects about 51 to be “Tenure: unsure”."
    )
    page = page_of(answer, mixed_schema, facts=FACTS.model_copy(update={"threshold": None}))
    assert "Probability of “Tenure: unsure”" in page
    assert "threshold" not in page


def test_a_regression_is_a_number(mixed_schema: FeatureSchema) -> None:
    """No class, no bar and no calibration where there is no probability."""
    answer = prediction(prediction=12.5, label=None, probability=None)
    assert speaker(mixed_schema).meaning(answer) == (
        "For answers like these the model expects Tenure to be about 12.5."
    )
    page = page_of(answer, mixed_schema, "fr")
    assert "<strong>12,5</strong>" in page
    assert "meter" not in page
    assert "calibration" not in page


def test_the_panel_shows_all_that_a_visitor_needs() -> None:
    """Class, probability, threshold on its bar, meaning, calibration, notice, model, id, and the way to its trace."""
    page = page_of(prediction())
    for part in (
        "<span>Lung cancer</span> <strong>YES</strong>",
        "<b>87.3%</b>",
        'aria-valuenow="87.3"',
        "width: 87.3%",
        'class="threshold" style="left: 80.0%"',
        "The answer is YES from 80% on.",
        "about 87 to be “Lung cancer: YES”",
        "On 4,000 simulated rows kept back from training",
        "off by 1.3 percentage points on average (calibration error)",
        "<p>Not a medical device.</p>",
        "lung_cancer 1.2.3",
        'href="./trace?id=t-1"',
        'data-copy="t-1"',
    ):
        assert part in page


def test_what_was_not_measured_is_not_claimed() -> None:
    """An older package has its accuracy instead; another version's figures, or none, are not shown."""
    answer = prediction()
    unmeasured = FACTS.model_copy(update={"metrics": Metrics(rows=4000, correct=3700)})
    assert "92.5% of the answers were right" in speaker().trust(answer, unmeasured)
    for facts in (None, FACTS.model_copy(update={"version": "2.0.0"})):
        assert speaker().trust(answer, facts) == "How far this model’s answers are off is not known here."
        assert "threshold" not in page_of(answer, facts=facts)
    real = FACTS.model_copy(update={"simulated": False})
    assert "simulated" not in speaker().trust(answer, real)


def test_without_facts_the_schemas_threshold_stands_for_its_own_version() -> None:
    """The bar of the version that the schema declares needs nobody's answer."""
    page = page_of(prediction(model_version="1.0.0"), facts=None)
    assert 'style="left: 50.0%"' in page


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_becomes_markup(payload: str, language: Language) -> None:
    """Whatever the API, the package or the schema says stays text."""
    harmless = page_of(prediction(label="NO"), language=language)
    hostile = prediction(label=payload, model_name=payload, model_version=payload, transaction_id=payload)
    page = page_of(
        hostile, language=language, facts=FACTS.model_copy(update={"version": payload}), notice=payload
    )
    assert len(tags(page)) == len(tags(harmless))
    assert payload not in page


@given(st.text())
def test_an_id_cannot_break_out_of_its_link(transaction_id: str) -> None:
    """Any text as an id gives one link to one address of this site."""
    page = page_of(prediction(transaction_id=transaction_id))
    assert len(re.findall(r'<a href="\./trace\?id=[^"<>&]*">', page)) == 1

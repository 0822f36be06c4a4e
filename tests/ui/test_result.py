"""The answer as the visitor reads it, with every text escaped."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.servers import ROOT

from vigie.schema import FeatureSchema, load_schema
from vigie.ui.outcome import Failure, Fault, Prediction
from vigie.ui.result import explanation, out_of_hundred, percent, render

REFERENCE = load_schema(ROOT / "model" / "lung_cancer")
API = "http://127.0.0.1:8000"
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


def tags(page: str) -> list[str]:
    """Every tag of `page`, in order."""
    return re.findall(r"<[^>]*>", page)


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "0 %"),
        (0.0004, "less than 0.1 %"),
        (0.5, "50 %"),
        (0.8731, "87.3 %"),
        (0.99951, "more than 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_a_probability_in_percent_never_claims_certainty(probability: float, shown: str) -> None:
    """0 % and 100 % are shown only for exactly 0 and 1."""
    assert percent(probability) == shown


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
    assert out_of_hundred(probability) == words


def test_the_explanation_speaks_of_the_positive_class_also_when_the_answer_is_no() -> None:
    """The frequency is that of the class whose probability is shown; the sentence that of the class given."""
    text = explanation(REFERENCE, prediction(prediction=0, label="NO", probability=0.12))
    assert text == (
        "The answers resemble those of the people without the disease. Of 100 cases with answers like these, "
        "the model expects about 12 to be “Lung cancer: YES”."
    )


def test_of_more_than_two_classes_it_speaks_of_the_one_given(mixed_schema: FeatureSchema) -> None:
    """A class without a meaning in the schema has its frequency alone."""
    text = explanation(mixed_schema, prediction(label="unsure", probability=0.51))
    assert text == "Of 100 cases with answers like these, the model expects about 51 to be “Tenure: unsure”."


def test_a_regression_is_a_number(mixed_schema: FeatureSchema) -> None:
    """No class and no bar where there is no probability."""
    answer = prediction(prediction=12.5, label=None, probability=None)
    assert (
        explanation(mixed_schema, answer)
        == "For answers like these the model expects Tenure to be about 12.5."
    )
    page = render(answer, mixed_schema, "notice", API)
    assert "<strong>12.5</strong>" in page
    assert "meter" not in page


def test_the_panel_shows_all_that_a_visitor_needs() -> None:
    """Class, probability with its bar, meaning, notice, model and a link to the log entries."""
    page = render(prediction(), REFERENCE, "not a medical device", API)
    for part in (
        "<span>Lung cancer</span> <strong>YES</strong>",
        "<b>87.3 %</b>",
        'aria-valuenow="87.3"',
        "width: 87.3%",
        "about 87 to be “Lung cancer: YES”",
        "<p>Not a medical device.</p>",
        "lung_cancer 1.2.3",
        'href="http://127.0.0.1:8000/logs?transaction_id=t-1"',
    ):
        assert part in page


def test_a_failure_says_what_happened_and_what_to_do() -> None:
    """The reasons carry the form's labels; without a transaction id the request's id is shown."""
    faults = (Fault(field="CHEST PAIN", reason="missing"), Fault(reason="not an object"))
    failure = Failure("Refused", "It did not fit.", "Correct it.", "request-1", faults=faults)
    page = render(failure, REFERENCE, "notice", API)
    assert "<li><b>Chest pain</b>: missing</li><li>not an object</li>" in page
    assert "<p>It did not fit.</p>" in page
    assert "<p>Correct it.</p>" in page
    assert "<dt>Request</dt><dd><code>request-1</code></dd>" in page
    assert 'role="alert"' in page


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_becomes_markup(payload: str) -> None:
    """Whatever the API, the package or the schema says stays text, in a prediction as in a failure."""
    harmless = render(prediction(), REFERENCE, "x", API)
    hostile = prediction(label=payload, model_name=payload, model_version=payload, transaction_id=payload)
    page = render(hostile, REFERENCE, payload, API)
    assert len(tags(page)) == len(tags(harmless))
    assert payload not in page
    faults = (Fault(field=payload, reason=payload),)
    failure = Failure(payload, payload, payload, payload, payload, faults)
    page = render(failure, REFERENCE, payload, API)
    plain = render(Failure("a", "b", "c", "d", "e", (Fault(field="f", reason="g"),)), REFERENCE, "x", API)
    assert [tag.split()[0] for tag in tags(page)] == [tag.split()[0] for tag in tags(plain)]
    assert payload not in page


@given(st.text())
def test_an_id_cannot_break_out_of_its_link(transaction_id: str) -> None:
    """Any text as an id gives one link with one address."""
    page = render(prediction(transaction_id=transaction_id), REFERENCE, "x", API)
    assert (
        len(re.findall(r'<a href="[^"<>]*" target="_blank" rel="noopener"><code>[^<>]*</code></a>', page))
        == 1
    )


def test_an_api_url_that_is_no_web_address_gives_no_link() -> None:
    """A javascript: address is never linked."""
    assert "<a " not in render(prediction(), REFERENCE, "x", "javascript:alert(1)//")

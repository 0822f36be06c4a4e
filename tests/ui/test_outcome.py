"""The API's answers and silences in terms that a visitor understands."""

from __future__ import annotations

import httpx
import pytest

from vigie.ui.language import LANGUAGES
from vigie.ui.outcome import Failure, Fault, Prediction, failure_of, not_our_api, outcome_of
from vigie.ui.templates import Templates
from vigie.ui.texts import Texts

TEXTS = Texts()
TEMPLATES = Templates(TEXTS)
TRANSACTION = "019a0000-0000-7000-8000-000000000001"
ANSWER = {
    "prediction": 0,
    "label": "NO",
    "probability": 0.25,
    "model_name": "m",
    "model_version": "1.0.0",
    "transaction_id": TRANSACTION,
}


def failure(response: httpx.Response) -> Failure:
    """The failure that `response` describes."""
    outcome = outcome_of(response, "request-1")
    assert isinstance(outcome, Failure)
    return outcome


def test_a_prediction_is_read_and_what_the_page_does_not_show_is_ignored() -> None:
    """More keys than the page needs do no harm."""
    outcome = outcome_of(httpx.Response(200, json=ANSWER | {"confidence": 0.75}), "request-1")
    assert outcome == Prediction.model_validate(ANSWER)


def test_a_regression_has_no_label_and_no_probability() -> None:
    """Null where the API says null."""
    regression = ANSWER | {"prediction": 12.5, "label": None, "probability": None}
    outcome = outcome_of(httpx.Response(200, json=regression), "request-1")
    assert isinstance(outcome, Prediction)
    assert (outcome.prediction, outcome.label, outcome.probability) == (12.5, None, None)


def test_a_refusal_names_its_fields() -> None:
    """The reasons and the transaction id of a 422 reach the visitor, and a program in one line."""
    problem = {"title": "Unprocessable", "detail": "2 faults; see errors", "transaction_id": TRANSACTION}
    errors = [{"field": "AGE", "reason": "above 120"}, {"field": "GENDER", "reason": "missing"}]
    refused = failure(httpx.Response(422, json=problem | {"errors": errors}))
    assert TEXTS.say("en", refused.title) == "Some answers were not accepted"
    assert refused.faults == (
        Fault(field="AGE", reason="above 120"),
        Fault(field="GENDER", reason="missing"),
    )
    assert refused.transaction_id == TRANSACTION
    assert refused.in_one_line() == (
        f"2 faults; see errors — AGE: above 120; GENDER: missing — transaction {TRANSACTION}"
    )
    shown = TEMPLATES.render("en", "parts/failure.html", failure=refused)
    assert '<li data-field="AGE"><b>AGE</b>: <span lang="en">above 120</span></li>' in shown
    assert "2 faults" not in shown


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (401, "This needs a sign-in"),
        (403, "This is not open to you"),
        (404, "Nothing was found"),
        (409, "This contradicts what is there"),
        (413, "This is too large"),
        (429, "Too many requests at the moment"),
        (500, "The service could not answer"),
        (503, "This is not available at the moment"),
        (504, "The service is too slow"),
    ],
)
def test_each_status_has_its_own_words(status: int, title: str) -> None:
    """The title says what happened, in both languages, and the id in the header is kept without one in the body."""
    found = failure(httpx.Response(status, json={}, headers={"X-Transaction-Id": TRANSACTION}))
    assert (TEXTS.say("en", found.title), found.transaction_id, found.status) == (title, TRANSACTION, status)
    assert f"The service answered {status}." in TEMPLATES.render("en", "parts/failure.html", failure=found)
    french = TEMPLATES.render("fr", "parts/failure.html", failure=found)
    assert f"Le service a répondu {status}." in french
    assert title not in french


def test_what_the_api_says_is_shown_as_its_english_words() -> None:
    """A sentence of the API's own stands in the French page marked as English."""
    found = failure(httpx.Response(503, json={"detail": "The queue is <full>."}))
    shown = TEMPLATES.render("fr", "parts/failure.html", failure=found)
    assert 'Le service indique\u00a0: <span lang="en">The queue is &lt;full&gt;.</span>' in shown


@pytest.mark.parametrize("body", ["<h1>502</h1>", "", "[1]", '{"errors": 3}'])
def test_an_error_that_is_no_problem_document_is_not_shown(body: str) -> None:
    """Somebody else's error page never reaches ours."""
    found = failure(httpx.Response(502, text=body))
    assert "The service answered 502." in TEMPLATES.render("en", "parts/failure.html", failure=found)
    assert (found.faults, found.said) == ((), "")


@pytest.mark.parametrize("body", ["<h1>Hello</h1>", "{}", '{"prediction": "x"}'])
def test_an_answer_that_is_no_prediction_says_so(body: str) -> None:
    """A wrong API_URL is named as what it is."""
    shown = TEMPLATES.render("en", "parts/failure.html", failure=failure(httpx.Response(200, text=body)))
    assert "The answer could not be understood" in shown
    assert "API_URL" in shown
    assert "Hello" not in shown


def test_silence_and_absence_are_told_apart() -> None:
    """Nobody there, or somebody too slow: the visitor reads which, and the id that was sent."""
    away = failure_of(httpx.ConnectError("refused"), "http://api:8000", "request-1")
    shown = TEMPLATES.render("en", "parts/failure.html", failure=away)
    assert "Nothing answers at http://api:8000." in shown
    assert "<dt>Request</dt><dd><code>request-1</code></dd>" in shown
    assert failure_of(httpx.ConnectTimeout("…"), "http://api:8000", "r").title == away.title
    slow = failure_of(httpx.ReadTimeout("…"), "http://api:8000", "request-1")
    assert TEXTS.say("en", slow.title) == "The service is too slow"
    assert slow.in_one_line().endswith("request request-1")
    assert slow.status is None


@pytest.mark.parametrize(
    "payload", ["<script>1</script>", "<svg onload=alert(1)>", "\"><a href='javascript:1'>"]
)
def test_no_text_of_a_failure_becomes_markup(payload: str) -> None:
    """Field, reason, words, id and address stay text in both languages."""
    errors = [{"field": payload, "reason": payload}]
    problem = {"detail": payload, "transaction_id": payload}
    found = [
        failure(httpx.Response(422, json=problem | {"errors": errors})),
        failure(httpx.Response(500, json=problem)),
        failure_of(httpx.ConnectError("x"), payload, payload),
        not_our_api(httpx.Response(200, headers={"X-Transaction-Id": "t"}), payload),
    ]
    for one in found:
        for language in LANGUAGES:
            assert payload not in TEMPLATES.render(language, "parts/failure.html", failure=one)

"""The API's answers and silences in terms that a visitor understands."""

from __future__ import annotations

import httpx
import pytest

from vigie.ui.outcome import Failure, Fault, Prediction, failure_of, outcome_of

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
    """The reasons and the transaction id of a 422 reach the visitor."""
    problem = {"title": "Unprocessable", "detail": "2 faults; see errors", "transaction_id": TRANSACTION}
    errors = [{"field": "AGE", "reason": "above 120"}, {"field": "GENDER", "reason": "missing"}]
    refused = failure(httpx.Response(422, json=problem | {"errors": errors}))
    assert refused.title == "Some answers were not accepted"
    assert refused.what_happened == "This does not fit what the model was made for:"
    assert refused.faults == (
        Fault(field="AGE", reason="above 120"),
        Fault(field="GENDER", reason="missing"),
    )
    assert refused.transaction_id == TRANSACTION
    assert refused.in_one_line() == (
        f"Some answers were not accepted — AGE: above 120; GENDER: missing — transaction {TRANSACTION}"
    )


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (401, "Predictions need a sign-in"),
        (403, "Predictions are not open to you"),
        (413, "The answers are too long"),
        (429, "Too many requests at the moment"),
        (500, "The prediction service could not answer"),
        (503, "The prediction service is busy or starting"),
        (504, "The prediction took too long"),
    ],
)
def test_each_status_has_its_own_words(status: int, title: str) -> None:
    """The title says what happened, and the id in the header is kept where the body has none."""
    found = failure(httpx.Response(status, json={}, headers={"X-Transaction-Id": TRANSACTION}))
    assert (found.title, found.transaction_id) == (title, TRANSACTION)
    assert found.what_happened == f"The service answered {status}."
    assert found.what_to_do


@pytest.mark.parametrize("body", ["<h1>502</h1>", "", "[1]", '{"errors": 3}'])
def test_an_error_that_is_no_problem_document_is_not_shown(body: str) -> None:
    """Somebody else's error page never reaches ours."""
    found = failure(httpx.Response(502, text=body))
    assert found.what_happened == "The service answered 502."
    assert found.faults == ()


@pytest.mark.parametrize("body", ["<h1>Hello</h1>", "{}", '{"prediction": "x"}'])
def test_an_answer_that_is_no_prediction_says_so(body: str) -> None:
    """A wrong API_URL is named as what it is."""
    found = failure(httpx.Response(200, text=body))
    assert found.title == "The answer could not be understood"
    assert "API_URL" in found.what_to_do


def test_silence_and_absence_are_told_apart() -> None:
    """Nobody there, or somebody too slow: the visitor reads which, and the id that was sent."""
    away = failure_of(httpx.ConnectError("refused"), "http://api:8000", "request-1")
    assert away.what_happened == "Nothing answers at http://api:8000, so nothing was predicted."
    assert failure_of(httpx.ConnectTimeout("…"), "http://api:8000", "r").title == away.title
    slow = failure_of(httpx.ReadTimeout("…"), "http://api:8000", "request-1")
    assert slow.title == "The prediction service is too slow"
    assert slow.in_one_line().endswith("request request-1")

"""The Predict page's handlers, asked as a browser asks them: the answer, what moved it, its true outcome."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.ui.documents import Document, document
from tests.ui.doubles import ANSWER, TRANSACTION, ApiDouble
from tests.ui.test_model_facts import MODEL

from vigie.schema import FeatureSchema

EXPLAINED = {
    "model_version": "1.2.3",
    "label": "YES",
    "probability": 0.8731,
    "baseline": 0.5,
    "contributions": [{"feature": "AGE", "value": 60, "effect": 0.3731, "standard_error": 0.001}],
    "rows": 1024,
}
ASKED = json.dumps({"transaction_id": TRANSACTION, "record": {"AGE": 60}})


@dataclass
class Visitor:
    """Somebody who has the page open."""

    url: str
    page: Document
    language: str = "en"

    def press(self, element: str, event: str = "click", data: Any = None) -> list[Any]:
        """Cause an event of `element`, and return what it changes; without `data` the form as it was drawn."""
        found = self.page.dependency(element, event)
        drawn = {one["id"]: one["props"].get("value") for one in self.page.config["components"]}
        return self.run(found["id"], [drawn[one] for one in found["inputs"]] if data is None else data)

    def run(self, number: int, data: list[Any]) -> list[Any]:
        """Call the handler of that number."""
        answer = httpx.post(
            f"{self.url}/gradio_api/run/predict",
            json={"data": data, "fn_index": number, "session_hash": "s"},
            headers={"Accept-Language": self.language},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"])

    def explain(self, asked: Any = ASKED) -> Any:
        """Ask what moved the answer, as the browser does once it has it."""
        click = self.page.dependency("predict", "click")
        (then,) = [one for one in self.page.config["dependencies"] if one["trigger_after"] == click["id"]]
        (found,) = self.run(then["id"], [asked])
        if not found:
            return None
        explained = json.loads(found)
        assert explained["of"] == TRANSACTION
        return explained["html"]


@pytest.fixture
def visitor(front_end: str, api_double: ApiDouble) -> Visitor:
    """A visitor, and an API that says everything."""
    api_double.elsewhere |= {
        "/model": (200, MODEL),
        "/explain": (200, EXPLAINED),
        "/feedback": (200, {"status": "recorded"}),
    }
    return Visitor(front_end, document(front_end))


def test_an_answer_comes_with_what_follows_it(visitor: Visitor, schema: FeatureSchema) -> None:
    """The panel; a place for what moved it; the record and the id for later; the outcome to choose."""
    panel, moved, asked, box, label, correct, told = visitor.press("predict")
    assert "<b>87.3%</b>" in panel
    assert moved["visible"] is True
    assert json.loads(asked) == {"transaction_id": TRANSACTION, "record": schema.example()}
    assert (box["visible"], label["value"], correct["visible"], told) == (True, None, False, "")


def test_a_refusal_leaves_nothing_of_the_answer_before(visitor: Visitor, api_double: ApiDouble) -> None:
    """No explanation, no id and no outcome of an earlier prediction stay beside it; it speaks the form's words."""
    errors = [{"field": "CHEST PAIN", "reason": "<script>1</script>"}]
    api_double.answer_with(422, {"errors": errors, "transaction_id": TRANSACTION})
    visitor.language = "fr"
    panel, moved, asked, box, *_ = visitor.press("predict")
    assert '<li data-field="CHEST_PAIN"><b>Douleur thoracique</b>' in panel
    assert "<script" not in panel
    assert (moved["visible"], asked, box["visible"]) == (False, "", False)


def test_a_regression_has_no_explanation_and_no_outcome_to_choose(
    visitor: Visitor, api_double: ApiDouble
) -> None:
    """There is no probability to explain and no class to say."""
    api_double.answer_with(200, ANSWER | {"prediction": 3.5, "label": None, "probability": None})
    panel, moved, asked, box, *_ = visitor.press("predict")
    assert "<strong>3.5</strong>" in panel
    assert (moved["visible"], json.loads(asked)["record"], box["visible"]) == (False, None, False)


def test_what_moved_it_is_asked_for_the_record_that_was_answered(
    visitor: Visitor, api_double: ApiDouble
) -> None:
    """Not for what the form holds by then."""
    shown = visitor.explain()
    assert ("/explain", {"AGE": 60}) in api_double.asked
    assert "Age: 60 years" in shown
    assert "+37.3" in shown


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((503, {"detail": "x"}), "not available"),
        ((200, {"rows": 1}), "cannot be told"),
        ((200, "<p>"), "understood"),
    ],
)
def test_an_answer_that_cannot_be_explained_says_so(
    visitor: Visitor, api_double: ApiDouble, answer: Any, words: str
) -> None:
    """In one quiet sentence: the answer itself stands."""
    api_double.elsewhere["/explain"] = answer
    shown = visitor.explain()
    assert "What moved the answer cannot be told at the moment." in shown
    assert words in shown
    assert 'role="alert"' not in shown


def test_without_a_prediction_nothing_is_explained(visitor: Visitor, api_double: ApiDouble) -> None:
    """The handler asks nobody."""
    assert visitor.explain(None) is None
    assert visitor.explain(json.dumps({"transaction_id": TRANSACTION, "record": None})) is None
    assert visitor.explain("{broken") is None
    assert "/explain" not in dict(api_double.asked)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((200, {"status": "recorded"}), "ok", "YES is recorded as the true outcome"),
        ((202, {"status": "kept"}), "ok", "joined to the prediction as soon as that is stored"),
        ((200, {"status": "known"}), "ok", "was recorded before"),
        ((409, {"detail": "recorded as NO"}), "refused", "Another outcome was recorded before"),
    ],
)
def test_the_outcome_is_sent_and_told(
    visitor: Visitor, api_double: ApiDouble, answer: Any, kind: str, words: str
) -> None:
    """What became of it in words; only against another outcome there is a button to correct it."""
    api_double.elsewhere["/feedback"] = answer
    told, correct = visitor.press("send-truth", data=[ASKED, "YES"])
    sent = {"transaction_id": TRANSACTION, "label": "YES", "correct": False}
    assert [body for path, body in api_double.asked if path == "/feedback"] == [sent]
    assert f'class="told {kind}"' in told
    assert words in told
    assert correct["visible"] is (answer[0] == 409)


def test_another_outcome_is_corrected_on_purpose_only(visitor: Visitor, api_double: ApiDouble) -> None:
    """The second button says so to the API, and is gone afterwards."""
    api_double.elsewhere["/feedback"] = (200, {"status": "corrected"})
    told, correct = visitor.press("correct-truth", data=[ASKED, "NO"])
    assert api_double.asked[-1][1]["correct"] is True
    assert "the true outcome is now NO" in told
    assert correct["visible"] is False


def test_an_outcome_that_cannot_be_sent_is_a_readable_failure(
    visitor: Visitor, api_double: ApiDouble
) -> None:
    """With what is away and what to do."""
    api_double.elsewhere["/feedback"] = (503, {"detail": "Redis does not answer"})
    told, _ = visitor.press("send-truth", data=[ASKED, "NO"])
    assert "Redis does not answer" in told
    assert "wait a moment and try again" in told


@pytest.mark.parametrize(
    ("data", "words"),
    [([ASKED, None], "Choose how it turned out"), ([None, "YES"], "There is no prediction")],
)
def test_nothing_is_sent_that_says_nothing(
    visitor: Visitor, api_double: ApiDouble, data: Any, words: str
) -> None:
    """Without a choice, or without a prediction, the visitor is told which."""
    told, _ = visitor.press("send-truth", data=data)
    assert words in told
    assert "/feedback" not in dict(api_double.asked)

"""POST /explain: what moves an answer, beside the predictions and never one of them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.api.conftest import Api, StartApi

from vigie.api import explanation
from vigie.model.explanation import explain


async def test_it_explains_the_answer_that_predict_gives(api: Api) -> None:
    """The probability is that of POST /predict, and baseline and effects add up to it."""
    answer = (await api.client.post("/explain", json=api.example)).json()
    predicted = (await api.client.post("/predict", json=api.example)).json()
    assert answer["probability"] == predicted["probability"]
    effects = [one["effect"] for one in answer["contributions"]]
    assert answer["baseline"] + sum(effects) == pytest.approx(answer["probability"], abs=1e-9)
    assert {one["feature"]: one["value"] for one in answer["contributions"]} == api.example
    assert (answer["label"], answer["rows"]) == ("YES", 1024)
    assert answer["model_version"] == predicted["model_version"]
    assert "Shapley" in answer["method"]


async def test_it_is_a_request_and_no_prediction(api: Api) -> None:
    """One event of kind request with the input and without a result; nothing is counted as answered."""
    await api.client.post("/explain", json=api.example)
    (event,) = api.requests()
    assert (event["kind"], event["path"], event["status"]) == ("request", "/explain", "ok")
    assert event["input_data"] == api.example
    assert not {"result", "performance_metrics", "model"} & set(event)
    metrics = (await api.client.get("/metrics")).text
    assert 'path="/explain"' in metrics or 'endpoint="/explain"' in metrics
    assert [line for line in metrics.splitlines() if line.startswith("vigie_predictions_total{")] == []


async def test_both_spellings_are_explained_alike(api: Api) -> None:
    """The features are named as in storage."""
    spaced = {name.replace("_", " "): value for name, value in api.example.items()}
    answers = [(await api.client.post("/explain", json=one)).json() for one in (api.example, spaced)]
    assert answers[0]["contributions"] == answers[1]["contributions"]


async def test_what_is_not_valid_is_refused_as_by_predict(api: Api) -> None:
    """The same reasons in the same document; the refused input is kept."""
    wrong = {**api.example, "AGE": 121}
    refused, by_predict = [await api.client.post(path, json=wrong) for path in ("/explain", "/predict")]
    assert refused.status_code == 422
    assert refused.json()["errors"] == by_predict.json()["errors"]
    assert api.requests()[0]["rejected_input"] == wrong
    assert (await api.client.post("/explain", content="x")).status_code == 415


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Explanations begin only when it is set."""
    opened = threading.Event()

    def waits(*arguments: Any, **named: Any) -> Any:
        assert opened.wait(60)
        return explain(*arguments, **named)

    monkeypatch.setattr(explanation, "explain", waits)
    return opened


async def test_predictions_go_on_while_one_is_explained(api: Api, gate: threading.Event) -> None:
    """An explanation that takes long holds up nobody."""
    explained = asyncio.create_task(api.client.post("/explain", json=api.example))
    while not api.service.explainer._waiting:
        await asyncio.sleep(0)
    assert (await api.client.post("/predict", json=api.example)).status_code == 200
    assert not explained.done()
    gate.set()
    assert (await explained).status_code == 200


async def test_too_many_at_once_are_turned_away(
    api: Api, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound the answer is 503 with Retry-After; the others get theirs."""
    monkeypatch.setattr(explanation, "MOST_WAITING", 2)
    waiting = [asyncio.create_task(api.client.post("/explain", json=api.example)) for _ in range(2)]
    while api.service.explainer._waiting < 2:
        await asyncio.sleep(0)
    refused = await api.client.post("/explain", json=api.example)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    gate.set()
    assert [(await one).status_code for one in waiting] == [200, 200]


async def test_one_that_is_late_is_given_up(start_api: StartApi, gate: threading.Event) -> None:
    """After REQUEST_TIMEOUT the answer is 504, and the work ends as soon as it sees that."""
    api = await start_api(REQUEST_TIMEOUT=0.2)
    answer = await api.client.post("/explain", json=api.example)
    assert answer.status_code == 504
    gate.set()
    while api.service.explainer._waiting:
        await asyncio.sleep(0)

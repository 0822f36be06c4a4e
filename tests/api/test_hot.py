"""Predictions: the answer, its event, and the twins behind FastAPI."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.api.conftest import Api, StartApi

from vigie.api.dispatch import Dispatcher
from vigie.api.documentation import fastapi_application
from vigie.api.gateway import Gateway
from vigie.api.hot import hot_endpoints

NOTICE = "demonstration model trained on a simulated cohort; not a medical device"
ILL = {"AGE": 75, "GENDER": 1}


def ill(api: Api) -> dict[str, Any]:
    """Return a record that the model answers YES for."""
    return {**dict.fromkeys(api.example, 1), **ILL}


async def test_an_answer_has_exactly_the_fields_promised(api: Api) -> None:
    """prediction, label, probability of the positive class, confidence, a plain sentence, model, ids."""
    answer = await api.client.post("/predict", json=ill(api))
    content = answer.json()
    assert list(content) == [
        "prediction",
        "label",
        "probability",
        "confidence",
        "message",
        "model_name",
        "model_version",
        "transaction_id",
        "timestamp",
    ]
    assert (content["prediction"], content["label"]) == (1, "YES")
    assert content["probability"] == content["confidence"] > 0.9
    assert content["message"] == (
        f"The answers resemble those of the people with the disease. Please note: {NOTICE}."
    )
    assert (content["model_name"], content["model_version"]) == ("lung_cancer", "1.0.0")
    assert content["transaction_id"] == answer.headers["x-transaction-id"]


async def test_when_the_answer_is_no_probability_is_still_that_of_yes(api: Api) -> None:
    """And /predict_proba gives both, which sum to one."""
    content = (await api.client.post("/predict_proba", json=api.example)).json()
    assert (content["prediction"], content["label"]) == (0, "NO")
    assert content["probabilities"]["YES"] == content["probability"] < 0.5
    assert content["probabilities"]["NO"] == content["confidence"] > 0.5
    assert sum(content["probabilities"].values()) == pytest.approx(1)


async def test_a_prediction_is_one_event_with_everything(api: Api) -> None:
    """Input, result, the eight metrics, stages, model; message line and level."""
    answer = (await api.client.post("/predict", json=ill(api))).json()
    (event,) = api.events
    data = event["data"]
    assert event["timestamp"] == answer["timestamp"]
    assert event["level"] == "INFO"
    assert event["message"].startswith(f"[{answer['transaction_id']}] POST /predict - 200 - ")
    assert event["message"].endswith(f" - YES {answer['probability']:.4f}")
    assert (data["kind"], data["status"], data["status_code"]) == ("prediction", "ok", 200)
    assert data["input_data"] == ill(api)
    assert data["result"] == {
        name: answer[name] for name in ("prediction", "label", "probability", "confidence")
    }
    assert data["model"] == {"name": "lung_cancer", "version": "1.0.0", "runtime": "onnx"}
    metrics = data["performance_metrics"]
    assert set(metrics) == {
        "transaction_id",
        "inference_time_ms",
        "cpu_time_ms",
        "memory_mb",
        "memory_delta_mb",
        "function_calls",
        "latency_ms",
        "top_functions",
    }
    assert metrics["latency_ms"] == data["latency_ms"] >= metrics["inference_time_ms"]
    assert metrics["function_calls"] > 0
    assert 1 <= len(metrics["top_functions"] or ()) <= 5
    assert set(data["stages"]) == {"validate_ms", "queue_ms", "features_ms", "predict_ms", "serialise_ms"}
    assert (data["batch_size"], data["profiled"], data["profile_reason"], data["weight"]) == (
        1,
        True,
        "budget",
        1,
    )
    assert (data["producer"], data["number"]) == (api.service.emitter.status().producer, data["number"])


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"AGE": "60"}', {"AGE": "60"}),
        (b"{not json", "{not json"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (b" " * 5000, " " * 4096),
    ],
)
async def test_a_refused_prediction_keeps_its_input_and_its_reasons(
    api: Api, body: bytes, kept: object
) -> None:
    """As JSON when it is that, else as text cut at 4 KB; input_data only ever holds valid values."""
    answer = await api.client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    (event,) = api.events
    data = event["data"]
    assert (data["kind"], data["status"], event["level"]) == ("prediction", "refused", "WARNING")
    assert data["rejected_input"] == kept
    assert data["errors"] == answer.json()["errors"]
    assert "input_data" not in data
    assert "performance_metrics" not in data


async def test_the_wrong_content_type_is_415(api: Api) -> None:
    """A form is not JSON."""
    answer = await api.client.post("/predict", data={"AGE": "60"})
    assert answer.status_code == 415


async def test_a_model_that_fails_is_500_with_the_input_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event of a failed prediction holds the valid input that the model failed on."""

    def fail(matrix: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(api.service.model.runtime, "predict_proba", fail)
    answer = await api.client.post("/predict", json=api.example)
    assert (answer.status_code, "inside" in answer.text) == (500, False)
    data = next(data for data in api.requests() if data["kind"] == "prediction")
    assert (data["status"], data["input_data"]) == ("failed", api.example)


async def test_without_monitoring_the_event_says_disabled(start_api: StartApi) -> None:
    """function_calls and top_functions are null, timings stay."""
    api = await start_api(ENABLE_PERFORMANCE_MONITORING="false")
    await api.client.post("/predict", json=api.example)
    (data,) = api.requests()
    metrics = data["performance_metrics"]
    assert (metrics["function_calls"], metrics["top_functions"]) == (None, None)
    assert (data["profiled"], data["profile_reason"], data["weight"]) == (False, "disabled", 0)
    assert metrics["cpu_time_ms"] > 0


async def test_the_twin_answers_as_the_hot_endpoint_does(api: Api) -> None:
    """Through FastAPI's routing, status, body and event are the same, for good and bad requests."""
    hot = hot_endpoints(api.service)
    slow = Gateway(
        Dispatcher(fastapi_application(api.service, hot), {}, max_body_bytes=16 * 1024**2, timeout_seconds=5),
        api.service.recorder,
        api.app._lifespan,
    )
    requests: list[tuple[str, bytes]] = [
        (path, body)
        for path in ("/predict", "/predict_proba", "/predict/batch")
        for body in (
            json.dumps(ill(api)).encode(),
            json.dumps([ill(api), {**ill(api), "AGE": 121}]).encode(),
            b"{",
            b" " * (17 * 1024**2) if path == "/predict/batch" else b" " * (1024**2 + 1),
        )
    ]
    varying = {"transaction_id", "timestamp"}

    def stable(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: stable(inner) for name, inner in value.items() if name not in varying}
        return [stable(inner) for inner in value] if isinstance(value, list) else value

    transport = httpx.ASGITransport(slow, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as twin:
        for path, body in requests:
            headers = {"content-type": "application/json"}
            one = await api.client.post(path, content=body, headers=headers)
            two = await twin.post(path, content=body, headers=headers)
            assert (one.status_code, stable(one.json())) == (two.status_code, stable(two.json())), path
            assert one.headers["content-type"] == two.headers["content-type"]
            first, second = [d for d in api.requests() if "batch_id" not in d][-2:]
            assert first["status"] == second["status"]
            assert set(first) == set(second)
            assert first["kind"] == second["kind"]

"""POST /predict/batch: rows judged one by one, predicted together, each with an event of its own."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest
from tests.api.conftest import Api, StartApi


async def test_good_rows_are_answered_and_bad_ones_say_why(api: Api) -> None:
    """In the order of the request, each with its own transaction id."""
    rows = [api.example, {**api.example, "AGE": "60"}, 7, {**api.example, "AGE": 80}]
    answer = await api.client.post("/predict/batch", json={"records": rows})
    content = answer.json()
    assert (answer.status_code, content["count"], content["failed"]) == (200, 4, 2)
    assert content["transaction_id"] == answer.headers["x-transaction-id"]
    results = content["results"]
    assert [result["index"] for result in results] == [0, 1, 2, 3]
    ids = [result["transaction_id"] for result in results]
    assert len({*ids, content["transaction_id"]}) == 5
    assert {uuid.UUID(row_id).version for row_id in ids} == {7}
    assert results[1]["error"]["errors"] == [
        {"field": "AGE", "reason": 'must be a whole number from 0 to 120; got "60"'}
    ]
    assert results[2]["error"]["errors"] == [
        {"field": "", "reason": "must be an object with one value per feature; got 7"}
    ]
    singles = [(await api.client.post("/predict", json=rows[index])).json() for index in (0, 3)]
    for single, result in zip(singles, (results[0], results[3]), strict=True):
        assert {name: result[name] for name in ("prediction", "label")} == {
            name: single[name] for name in ("prediction", "label")
        }
        assert result["probability"] == pytest.approx(single["probability"], abs=1e-6)


async def test_a_row_nested_too_deeply_is_refused_alone(api: Api) -> None:
    """The others are answered, and its event keeps the beginning of its text."""
    deep = b'{"AGE":' + b'{"a":' * 300 + b"1" + b"}" * 301
    answer = await api.client.post(
        "/predict/batch",
        content=b"[" + orjson.dumps(api.example) + b"," + deep + b"]",
        headers={"content-type": "application/json"},
    )
    assert (answer.status_code, answer.json()["count"], answer.json()["failed"]) == (200, 2, 1)
    assert answer.json()["results"][0]["prediction"] is not None
    *row_events, _ = api.events
    assert [event["data"]["status"] for event in row_events] == ["ok", "refused"]
    kept = row_events[1]["data"]["rejected_input"]
    assert kept.encode() == deep[: len('{"AGE":') + 63 * len('{"a":')] + '"…"'.encode() + b"}" * 64


async def test_a_batch_makes_one_event_per_row_and_one_for_the_request(api: Api) -> None:
    """Rows carry batch_id and their share of the time; refused rows their input and reasons."""
    rows = [api.example, {**api.example, "AGE": 200}, api.example]
    answer = (await api.client.post("/predict/batch", json=rows, headers={"X-Request-ID": "b1"})).json()
    *row_events, request = api.events
    assert request["data"]["kind"] == "request"
    assert request["data"]["transaction_id"] == answer["transaction_id"]
    assert " - 200 - " in request["message"]
    assert " - 3 records - " in request["message"]
    assert [event["data"]["transaction_id"] for event in row_events] == [
        result["transaction_id"] for result in answer["results"]
    ]
    assert {event["data"]["batch_id"] for event in row_events} == {answer["transaction_id"]}
    assert {event["data"]["correlation_id"] for event in row_events} == {"b1"}
    good, bad, last = (event["data"] for event in row_events)
    assert (good["kind"], good["status"], good["status_code"]) == ("prediction", "ok", 200)
    assert (bad["kind"], bad["status"], bad["status_code"]) == ("prediction", "refused", 422)
    assert row_events[1]["level"] == "WARNING"
    assert bad["rejected_input"] == {**api.example, "AGE": 200}
    assert bad["errors"] == [{"field": "AGE", "reason": "must be a whole number from 0 to 120; got 200"}]
    assert "performance_metrics" not in bad
    assert good["latency_ms"] == last["latency_ms"] < request["data"]["latency_ms"] / 3
    stages = request["data"]["stages"]
    metrics = good["performance_metrics"]
    assert metrics["inference_time_ms"] == pytest.approx((stages["features_ms"] + stages["predict_ms"]) / 2)
    assert (good["batch_size"], good["profiled"], good["profile_reason"]) == (2, False, "batch")
    assert good["input_data"] == api.example


async def test_a_batch_of_bad_rows_asks_the_model_nothing(api: Api) -> None:
    """It is still answered row by row."""
    answer = await api.client.post("/predict/batch", json=[1, 2])
    assert (answer.status_code, answer.json()["failed"]) == (200, 2)
    assert "predict_ms" not in api.events[-1]["data"]["stages"]


async def test_many_rows_are_answered_whole(api: Api) -> None:
    """The largest batch: 1000 rows, 1000 results, 1001 events."""
    rows = [{**api.example, "AGE": index % 121} for index in range(1000)]
    answer = (await api.client.post("/predict/batch", json=rows)).json()
    assert [result["index"] for result in answer["results"]] == list(range(1000))
    assert len({result["probability"] for result in answer["results"]}) > 50
    assert len(api.events) == 1001
    assert [event["data"]["input_data"]["AGE"] for event in api.events[:-1]] == [row["AGE"] for row in rows]
    assert {event["data"]["batch_size"] for event in api.events[:-1]} == {1000}


async def test_too_many_rows_are_refused(start_api: StartApi) -> None:
    """BATCH_MAX_RECORDS bounds a batch: 422, and one event."""
    api = await start_api(BATCH_MAX_RECORDS=2)
    answer = await api.client.post("/predict/batch", json=[api.example] * 3)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "records"
    assert [(d["kind"], d["status"]) for d in api.requests()] == [("request", "refused")]


async def test_a_row_that_the_model_fails_on_leaves_the_others_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its result is an error, its event is failed, its neighbours are predicted."""
    right = api.service.model.runtime.predict_proba

    def fail_at_99(matrix: object) -> object:
        if (matrix[:, 0] == 99).any():  # type: ignore[index]
            raise RuntimeError("inside")
        return right(matrix)  # type: ignore[arg-type]

    monkeypatch.setattr(api.service.model.runtime, "predict_proba", fail_at_99)
    rows = [{**api.example, "AGE": age} for age in (50, 99, 70)]
    content = (await api.client.post("/predict/batch", json=rows)).json()
    assert ["error" in result for result in content["results"]] == [False, True, False]
    assert content["results"][1]["error"] == {"detail": "The model failed on this record", "errors": []}
    assert [data["status"] for data in api.requests()] == ["ok", "failed", "ok", "ok"]


async def test_each_row_of_a_large_batch_has_its_own_event(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the request, with its own id, input, answer and message, whatever failed around it."""
    runtime = api.service.served.model.runtime
    predict = runtime.predict_proba

    def fail(matrix: Any) -> Any:
        if (matrix[:, 0] == 77).any():
            raise RuntimeError("inside")
        return predict(matrix)

    monkeypatch.setattr(runtime, "predict_proba", fail)
    rows = [{**api.example, "AGE": age} for age in range(20, 120)]
    rows[40]["AGE"] = 121
    answer = (await api.client.post("/predict/batch", json=rows)).json()
    *events, request = api.events
    assert (len(events), answer["failed"]) == (100, 2)
    assert " - 100 records - " in request["message"]
    for row, result, event in zip(rows, answer["results"], events, strict=True):
        data = event["data"]
        assert data["transaction_id"] == result["transaction_id"]
        assert event["message"].startswith(f"[{result['transaction_id']}] POST /predict/batch - ")
        wanted = {77: "failed", 121: "refused"}.get(row["AGE"], "ok")
        assert data["status"] == wanted
        assert data["rejected_input" if wanted == "refused" else "input_data"] == row
        if wanted == "ok":
            assert data["result"] == {name: result[name] for name in data["result"]}
            assert data["performance_metrics"]["transaction_id"] == data["transaction_id"]
            assert f'"AGE":{row["AGE"]},' in event["message"]
    shown = [data["performance_metrics"]["inference_time_ms"] for data in api.requests() if "result" in data]
    assert (
        len({id(event["data"]["performance_metrics"]) for event in events if "result" in event["data"]}) == 98
    )
    assert min(shown) > 0

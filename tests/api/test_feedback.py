"""POST /feedback over a real Redis and a real store."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import httpx
import orjson
import pytest
import redis
from elasticsearch import Elasticsearch
from tests.api.conftest import Api, StartApi
from tests.servers import free_port
from tests.store_proxy import StoreProxy

from vigie.api.feedback_reading import EARLIEST_YEAR, LATEST_YEAR, POSSIBLE_YEARS, read_feedback
from vigie.api.problems import Problem
from vigie.indices.mappings import MESSAGE
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.pipeline import run_once
from vigie.schema import FeatureSchema
from vigie.telemetry.ids import new_instant
from vigie.telemetry.stream.outcomes import Outcomes
from vigie.telemetry.stream.stream import Stream

DAY_NS = 24 * 3600 * 10**9
UNKNOWN = "6b1f5e0e-58e0-4b8e-9d0c-2f8a3d0b8f11"
"""An id of version 4, which says nothing of its time."""


@pytest.fixture
async def api(start_api: StartApi, store_server: StoreProxy) -> Api:
    """A started API beside a store."""
    return await start_api(ES_HOST="127.0.0.1", ES_PORT=store_server.port)


async def predicted(api: Api) -> str:
    """Ask for a prediction and return its id."""
    return str((await api.client.post("/predict", json=api.example)).json()["transaction_id"])


async def indexed(api: Api) -> None:
    """Bring everything that the API emitted into the store."""
    async with asyncio.timeout(60):
        while api.service.emitter.status().backlog:
            await asyncio.sleep(0.02)
    await asyncio.to_thread(run_once, api.service.settings)
    with connect_store(api.service.settings.store) as client:
        client.indices.refresh(index=f"{api.service.settings.store.es_index_prefix}{MESSAGE}")


async def send(api: Api, *arguments: object, **fields: object) -> httpx.Response:
    """POST /feedback."""
    return await api.client.post("/feedback", json=arguments[0] if arguments else fields)


def outcomes(api: Api) -> list[dict[str, Any]]:
    """The documents of the outcomes, in the order in which they were recorded."""
    with connect_store(api.service.settings.store) as client:
        return _outcomes(client, f"{api.service.settings.store.es_index_prefix}{MESSAGE}")


def _outcomes(client: Elasticsearch, index: str) -> list[dict[str, Any]]:
    client.indices.refresh(index=index)
    hits = client.search(
        index=index, size=1000, query={"bool": {"filter": [{"term": {"doc_type": "feedback"}}]}}
    )
    return sorted((hit["_source"] for hit in hits["hits"]["hits"]), key=lambda one: one["number"])


async def test_an_outcome_is_joined_to_its_prediction(api: Api) -> None:
    """Recorded once, and its document has what was predicted, by which version, and how long ago."""
    one = await predicted(api)
    await indexed(api)
    answer = await send(api, transaction_id=one, label=1, at="2027-01-01T01:00:00+01:00")
    assert (answer.status_code, answer.json()) == (
        200, {"transaction_id": one, "status": "recorded", "detail": None},
    )  # fmt: skip
    await indexed(api)
    (found,) = outcomes(api)
    with connect_store(api.service.settings.store) as client:
        index = f"{api.service.settings.store.es_index_prefix}{MESSAGE}"
        query = {"bool": {"filter": [{"term": {"doc_type": "prediction"}}]}}
        (hit,) = client.search(index=index, query=query)["hits"]["hits"]
    prediction = hit["_source"]
    assert found["outcome"].pop("lag_ms") > 0
    assert found["outcome"] == {
        "label": "YES", "position": 1, "at": "2027-01-01T00:00:00.000000Z", "correction": False,
        "joined": True, "superseded": False, "correct": prediction["result"]["label"] == "YES",
        "predicted_at": prediction["@timestamp"],
    }  # fmt: skip
    assert found["input_data"] == prediction["input_data"]
    assert found["model"] == {"name": "lung_cancer", "version": "1.0.0"}
    shown = ("prediction", "label", "probability")
    assert found["result"] == {name: prediction["result"][name] for name in shown}
    assert (found["transaction_id"], found["doc_type"]) == (one, "feedback")


async def test_again_in_conflict_and_corrected(api: Api) -> None:
    """The same label adds nothing, another is a 409, a correction takes its place and the first is retired."""
    one = await predicted(api)
    await indexed(api)
    answers = [
        await send(api, transaction_id=one, label="NO"),
        await send(api, transaction_id=one.upper(), label=0),
        await send(api, transaction_id=one, label="YES"),
        await send(api, transaction_id=one, label="YES", correct=True),
        await send(api, transaction_id=one, label="YES"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 409, 200, 200]
    assert [answer.json().get("status") for answer in answers] == [
        "recorded",
        "known",
        409,
        "corrected",
        "known",
    ]
    assert answers[2].json()["detail"].startswith("The outcome is recorded as NO")
    await indexed(api)
    marks = ("label", "correction", "joined", "superseded")
    assert [tuple(one["outcome"][name] for name in marks) for one in outcomes(api)] == [
        ("NO", False, True, True),
        ("YES", True, True, False),
    ]


async def test_what_redis_has_forgotten_the_store_knows(api: Api) -> None:
    """Weeks later the label in the store decides, and a correction is still recorded."""
    one = await predicted(api)
    assert (await send(api, transaction_id=one, label="NO")).json()["status"] == "kept"
    await indexed(api)
    client = Stream.open(api.service.settings.redis).client
    assert client.delete(f"api_logs:outcome:{one}") == 1
    assert (await send(api, transaction_id=one, label="NO")).json()["status"] == "known"
    assert (await send(api, transaction_id=one, label="YES")).status_code == 409
    assert (await send(api, transaction_id=one, label="YES", correct=True)).json()["status"] == "corrected"


async def test_an_outcome_may_come_before_its_prediction(api: Api) -> None:
    """202, kept, and joined once the prediction is stored: here two are indexed in the wrong order."""
    late = new_instant().id
    answer = await send(api, transaction_id=late, label="YES")
    assert (answer.status_code, answer.json()["status"]) == (202, "kept")
    await indexed(api)
    assert outcomes(api)[0]["outcome"]["joined"] is False
    event = _prediction(late)
    api.service.emitter.emit_many([event])
    await indexed(api)
    (found,) = outcomes(api)
    assert (found["outcome"]["joined"], found["outcome"]["correct"]) == (True, False)
    assert found["model"]["version"] == "0.9.0"


def _prediction(transaction_id: str) -> Any:
    data = {
        "kind": "prediction", "transaction_id": transaction_id, "status": "ok", "status_code": 200,
        "model": {"name": "lung_cancer", "version": "0.9.0", "runtime": "onnx"}, "input_data": {"AGE": 50},
        "result": {"prediction": 0, "label": "NO", "probability": 0.1, "confidence": 0.9},
    }  # fmt: skip
    return {"timestamp": new_instant().timestamp, "level": "INFO", "message": "late", "data": data}


async def test_an_id_that_nobody_knows_is_404_and_counted(api: Api) -> None:
    """One older than a day, one from the future, one without a time, one of a refused request."""
    await indexed(api)
    now = time.time_ns()
    refused = (await api.client.post("/predict", json={})).headers["x-transaction-id"]
    await indexed(api)
    ids = [new_instant(now - DAY_NS - 10**9).id, new_instant(now + 120 * 10**9).id, UNKNOWN, refused]
    answers = [await send(api, transaction_id=one, label="YES") for one in ids]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert (await send(api, transaction_id=new_instant(now - DAY_NS + 10**11).id, label=1)).status_code == 202
    assert [event["status_code"] for event in api.requests() if event["path"] == "/feedback"] == [404] * 4 + [
        202
    ]
    metrics = (await api.client.get("/metrics")).text
    assert 'vigie_feedback_total{status="unknown"} 4.0' in metrics
    assert 'vigie_feedback_total{status="kept"} 1.0' in metrics


@pytest.mark.parametrize(
    ("item", "field", "reason"),
    [
        ({"label": "YES"}, "transaction_id", "is required"),
        (
            {"transaction_id": "17", "label": "YES"},
            "transaction_id",
            'must be the UUID of a prediction; got "17"',
        ),
        ({"transaction_id": UNKNOWN}, "label", "is required"),
        ({"transaction_id": UNKNOWN, "label": "yes"}, "label", "must be one of NO, YES"),
        ({"transaction_id": UNKNOWN, "label": 2}, "label", "position from 0 to 1; got 2"),
        ({"transaction_id": UNKNOWN, "label": True}, "label", "got true"),
        ({"transaction_id": UNKNOWN, "label": "YES", "at": "2026-11-20"}, "at", "RFC 3339"),
        ({"transaction_id": UNKNOWN, "label": "YES", "at": "2026-11-20T10:00:00"}, "at", "offset"),
        (
            {"transaction_id": UNKNOWN, "label": "YES", "at": "1382-11-13T12:12:09Z"},
            "at",
            "from 1980 to 2199",
        ),
        ({"transaction_id": UNKNOWN, "label": "YES", "correct": "yes"}, "correct", "must be true or false"),
        ({"transaction_id": UNKNOWN, "label": "YES", "lable": 1}, "lable", "is not a field"),
        ([], "records", "1 to 1000"),
        ({"records": 5}, "records", "1 to 1000"),
        ({"records": [], "more": 1}, "more", "is not a field"),
        ([{}] * 1001, "records", "holds 1001"),
    ],
)
def test_what_is_wrong_is_named(schema: FeatureSchema, item: Any, field: str, reason: str) -> None:
    """422 with field and reason."""
    with pytest.raises(Problem) as refused:
        read_feedback(orjson.dumps(item), schema)
    (error,) = refused.value.errors
    assert (refused.value.status, error["field"]) == (422, field)
    assert reason in error["reason"]


def test_the_documented_years_are_those_taken() -> None:
    """The pattern in OpenAPI fits the years that `at` may have, and no others."""
    taken = [year for year in range(1, 10_000) if re.match(POSSIBLE_YEARS, f"{year:04}-01-01T00:00:00Z")]
    assert taken == list(range(EARLIEST_YEAR, LATEST_YEAR + 1))


async def test_no_json_is_refused(start_api: StartApi) -> None:
    """Another content type is a 415, half an object a 422 that keeps what was sent."""
    api = await start_api()
    assert (await api.client.post("/feedback", content=b"label=YES")).status_code == 415
    half = await api.client.post(
        "/feedback", content=b'{"label"', headers={"content-type": "application/json"}
    )
    assert half.status_code == 422
    assert api.requests()[-1]["rejected_input"] == '{"label"'


async def test_an_invalid_outcome_is_counted(start_api: StartApi) -> None:
    """One that is sent alone, like those of a list."""
    api = await start_api()
    assert (await send(api, transaction_id=UNKNOWN, label="MAYBE")).status_code == 422
    assert (await send(api, [17])).json()["failed"] == 1
    assert 'vigie_feedback_total{status="invalid"} 2.0' in (await api.client.get("/metrics")).text


async def test_each_item_of_a_list_is_judged_by_itself(api: Api) -> None:
    """One answer for all, in their order, with what became of each."""
    first, second = await predicted(api), await predicted(api)
    await indexed(api)
    young = new_instant().id
    given = [
        {"transaction_id": first, "label": "YES"},
        {"transaction_id": first, "label": "YES"},
        {"transaction_id": first, "label": "NO"},
        {"transaction_id": second, "label": "NO", "correct": True},
        {"transaction_id": second, "label": "YES", "correct": True},
        {"transaction_id": young, "label": "NO"},
        {"transaction_id": UNKNOWN, "label": "NO"},
        {"transaction_id": second, "label": "MAYBE"},
        17,
    ]
    answer = (await send(api, {"records": given})).json()
    assert (answer["count"], answer["failed"]) == (9, 4)
    assert [(result["index"], result["status"]) for result in answer["results"]] == list(
        enumerate(
            [
                "recorded",
                "known",
                "conflict",
                "recorded",
                "corrected",
                "kept",
                "unknown",
                "invalid",
                "invalid",
            ]
        )
    )
    assert [result["transaction_id"] for result in answer["results"]][-4:] == [young, UNKNOWN, second, None]
    assert "must be one of NO, YES" in answer["results"][7]["detail"]
    again = (await send(api, given)).json()
    assert [result["status"] for result in again["results"]] == [
        "known", "known", "conflict", "corrected", "corrected", "known", "unknown", "invalid", "invalid",
    ]  # fmt: skip


async def test_without_redis_or_the_store_nothing_is_taken(
    start_api: StartApi, store_server: StoreProxy
) -> None:
    """503 with Retry-After, in a line that names which."""
    for away, named in (({"REDIS_PORT": free_port()}, "Redis"), ({"ES_PORT": free_port()}, "the store")):
        api = await start_api(**{"ES_HOST": "127.0.0.1", "ES_PORT": store_server.port, **away})
        answer = await send(api, transaction_id=new_instant().id, label="YES")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert named in answer.json()["detail"]
        assert "Nothing was recorded" in answer.json()["detail"]
    stream = Stream.open(api.service.settings.redis)
    assert stream.client.exists("api_logs:feedback") == 0


async def test_an_answer_of_redis_that_is_lost_is_not_taken_for_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 that does not say that nothing was recorded; sent again it is known."""
    late, record = new_instant().id, Outcomes.record

    def lost(self: Outcomes, *outcomes: Any) -> Any:
        record(self, *outcomes)
        raise redis.TimeoutError("Timeout reading from socket")

    with monkeypatch.context() as patched:
        patched.setattr(Outcomes, "record", lost)
        answer = await send(api, transaction_id=late, label="YES")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "It may have recorded them" in answer.json()["detail"]
    assert (await send(api, transaction_id=late, label="YES")).json()["status"] == "known"


async def test_events_on_standard_output_take_no_outcomes(start_api: StartApi) -> None:
    """503 that names the variable."""
    api = await start_api(LOG_TO_REDIS="false")
    answer = await send(api, transaction_id=new_instant().id, label="YES")
    assert (answer.status_code, "LOG_TO_REDIS=false" in answer.json()["detail"]) == (503, True)

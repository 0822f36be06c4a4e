"""GET /predict/history and GET /predict/{transaction_id} over a real Redis and a real store."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.api.conftest import Api, StartApi
from tests.logs_pipeline.events import PRODUCER, prediction, record
from tests.servers import RedisServer, free_port
from tests.store_proxy import StoreProxy

from vigie.indices.event_order import cursor, place
from vigie.indices.mappings import DEAD, INDICES
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.pipeline import run_once
from vigie.telemetry.ids import new_id
from vigie.telemetry.stream.stream import Stream

STORED = 9
OTHER = "5b1a3c1e-0000-4000-8000-000000000002"


def transaction(number: int) -> str:
    """The transaction id of an event."""
    return f"01900000-0000-7000-8000-{number:012}"


def at(second: int) -> str:
    """A time, with the second given."""
    return f"2026-11-20T10:00:{second:02}.000001Z"


def history_events() -> list[dict[str, Any]]:
    """Nine predictions: three at each of three instants; refused, failed and of a batch among them."""
    changes: dict[int, dict[str, Any]] = {
        1: {"subject_id": "p-7"},
        2: {"subject_id": "p-7", "correlation_id": "c"},
        3: {"result": {"prediction": 0, "label": "NO", "probability": 0.1, "confidence": 0.9}},
        4: {"status": "refused", "status_code": 422, "input_data": None, "result": None,
            "rejected_input": {"AGE": "old"}, "errors": [{"field": "AGE", "reason": "must be a number"}],
            "performance_metrics": None},
        5: {"status": "failed", "status_code": 500, "result": None, "performance_metrics": None},
        6: {"model": {"name": "lung_cancer", "version": "2.0.0", "runtime": "onnx"}},
        7: {"batch_id": transaction(50)},
        8: {"batch_id": transaction(50), "profiled": True},
    }  # fmt: skip
    return [
        {**prediction(n, **changes.get(n, {})), "timestamp": at((n - 1) // 3)} for n in range(1, STORED + 1)
    ]


@pytest.fixture
async def api(start_api: StartApi, store_server: StoreProxy) -> Api:
    """An API with a store, whose own requests for the history make no events."""
    return await start_api(
        ES_HOST="127.0.0.1",
        ES_PORT=store_server.port,
        LOG_EXCLUDE_PATHS="/predict/history",
        LOG_LEVEL="CRITICAL",
        REQUEST_TIMEOUT=120,
    )


def put(api: Api, events: list[dict[str, Any]], *producers: str, first: int = 1) -> None:
    """Write events to the stream, for each producer, index them and let the store show them."""
    stream = Stream.open(api.service.settings.redis)
    for producer in producers or (PRODUCER,):
        stream.write(producer, [record(event, n) for n, event in enumerate(events, first)])
    index(api)


def index(api: Api) -> None:
    """Index what is in the stream, and let the store show it."""
    settings = api.service.settings
    run_once(settings)
    with connect_store(settings.store) as store:
        names = ",".join(f"{settings.store.es_index_prefix}{name}" for name in (*INDICES, DEAD))
        store.indices.refresh(index=names, ignore_unavailable=True)


async def numbers(api: Api, query: str = "") -> list[int]:
    """Return the numbers of the predictions of a query."""
    answer = await api.client.get(f"/predict/history{query}")
    assert answer.status_code == 200, answer.text
    return [int(item["transaction_id"][-12:]) for item in answer.json()["items"]]


async def test_every_filter_finds_its_predictions(api: Api) -> None:
    """Newest first, of equal times by number; each filter alone and several together; each item whole."""
    assert (await api.client.get("/predict/history")).json() == {"items": [], "next": None}
    await asyncio.to_thread(put, api, history_events())
    assert await numbers(api) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    for query, expected in {
        f"?transaction_id={transaction(5)}": [5],
        f"?since={at(1)}": [9, 8, 7, 6, 5, 4],
        f"?since={at(1)}&until={at(2)}": [6, 5, 4],
        "?since=2026-11-20T12:00:01.000001%2B02:00&until=2026-11-20T10:00:02": [6, 5, 4],
        "?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59-05:00": [9, 8, 7, 6, 5, 4, 3, 2, 1],
        "?label=NO": [3],
        "?model_version=2.0.0": [6],
        "?status=refused": [4],
        "?status=failed": [5],
        "?status=shed": [],
        "?subject_id=p-7": [2, 1],
        f"?subject_id=p-7&until={at(1)}&limit=1": [2],
    }.items():
        assert await numbers(api, query) == expected, query
    items = (await api.client.get("/predict/history?status=refused")).json()["items"]
    assert items == [
        {
            "transaction_id": transaction(4), "batch_id": None, "subject_id": None, "correlation_id": None,
            "timestamp": at(1), "status": "refused", "status_code": 422, "latency_ms": 1.5,
            "model": {"name": "lung_cancer", "version": "1.0.0", "runtime": "onnx"}, "input_data": None,
            "rejected_input": {"AGE": "old"}, "result": None,
            "errors": [{"field": "AGE", "reason": "must be a number"}],
        }
    ]  # fmt: skip
    (item,) = (await api.client.get(f"/predict/history?transaction_id={transaction(2)}")).json()["items"]
    sent = history_events()[1]["data"]
    assert {name: item[name] for name in ("input_data", "result", "subject_id", "correlation_id")} == {
        name: sent[name] for name in ("input_data", "result", "subject_id", "correlation_id")
    }
    # the schema's own name for the subject is taken, and both at once are one too many
    schema = api.service.model.schema.model_copy(update={"subject": "employee_id"})
    object.__setattr__(api.service.served.model, "schema", schema)
    assert await numbers(api, "?employee_id=p-7") == [2, 1]
    answer = await api.client.get("/predict/history?employee_id=p-7&subject_id=p-7")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "employee_id")


async def test_an_id_in_capitals_is_the_same_id(api: Api) -> None:
    """Ids are stored in small letters, and come back from spreadsheets in others."""
    one = "0190abcd-0000-7000-8000-000000000001"
    await asyncio.to_thread(put, api, [prediction(1, transaction_id=one)])
    assert await numbers(api, f"?transaction_id={one.upper()}") == [1]


async def test_pages_stay_as_they_were_while_predictions_arrive(api: Api) -> None:
    """Page by page nothing comes twice and nothing is missed, though newer ones are stored in between."""
    await asyncio.to_thread(put, api, history_events(), PRODUCER, OTHER)
    found: list[int] = []
    query = "?limit=5"
    for page in range(4):
        answer = (await api.client.get(f"/predict/history{query}")).json()
        found += [int(item["transaction_id"][-12:]) for item in answer["items"]]
        query = f"?limit=5&cursor={answer['next']}"
        assert (answer["next"] is None) == (page == 3)
        if page == 0:
            newer = {**prediction(100), "timestamp": at(50)}
            await asyncio.to_thread(put, api, [newer], first=100)
            assert await numbers(api, "?limit=1") == [100]
    assert sorted(found) == sorted([*range(1, 10)] * 2)


async def test_a_faulty_query_is_a_422(start_api: StartApi) -> None:
    """Field and reason are named, for names that there are not as well."""
    api = await start_api()
    for query, field, reason in (
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=ten", "limit", "valid integer"),
        ("since=yesterday", "since", "must be an ISO 8601 time, such as"),
        ("until=0", "until", "must be an ISO 8601 time, such as"),
        ("status=fine", "status", "'ok', 'refused', 'shed' or 'failed'"),
        ("cursor=zork", "cursor", "must be what the page before has as `next`"),
        ("subject_id=", "subject_id", "at least 1 character"),
        ("employee_id=7", "employee_id", "is not a parameter of the history"),
        ("lable=YES", "lable", "is not a parameter of the history"),
    ):
        answer = await api.client.get(f"/predict/history?{query}")
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["field"]) == (422, field)
        assert reason in error["reason"]


def test_a_cursor_names_its_place() -> None:
    """Whatever the producer is called; numbers beyond the store's are brought back into its bounds."""
    assert place(cursor(1_763_721_498_123_456_000, "é-1", 7)) == (1_763_721_498_123_456_000, "é-1", 7)
    assert place(f"{10**19 - 1}-{10**19 - 1}-61") == (2**63 - 1, "a", 2**63 - 1)


async def test_a_trace_has_everything_of_a_prediction(api: Api) -> None:
    """Event, the eight metrics, stages, top functions, and the documents of the three indices."""
    sent = {**prediction(3, profiled=True), "timestamp": at(3)}
    await asyncio.to_thread(put, api, [sent], first=3)
    answer = await api.client.get(f"/predict/{transaction(3).upper()}")
    trace = answer.json()
    assert (answer.status_code, trace["state"], trace["event"]) == (200, "stored", sent)
    metrics = sent["data"]["performance_metrics"]
    assert (trace["metrics"], trace["stages"]) == (metrics, sent["data"]["stages"])
    assert trace["top_functions"] == metrics["top_functions"]
    assert (trace["rows"], trace["dead_letter"]) == (None, None)
    shown = {
        index: sorted(one["source"]["doc_type"] for one in found)
        for index, found in trace["documents"].items()
    }
    assert shown == {
        "ml-api-logs": ["prediction"],
        "ml-api-message": ["prediction"],
        "ml-api-perfs": ["function", "function", "request"],
    }
    (logged,) = trace["documents"]["ml-api-logs"]
    assert (logged["id"], logged["index"].endswith("2026.11.20")) == (f"{PRODUCER}-3", True)


async def test_a_prediction_is_traced_on_its_whole_way(api: Api) -> None:
    """202 while it waits in the stream, then 200; a row of a batch and the batch itself too."""
    given = {**api.example, "subject_id": "p-7"}
    made = (await api.client.post("/predict", json=given)).json()["transaction_id"]
    rows = [given, api.example, {**api.example, "AGE": 999}]
    batch = (await api.client.post("/predict/batch", json=rows)).json()
    ids = [made, batch["transaction_id"], *(row["transaction_id"] for row in batch["results"])]
    states: list[str] = []
    end = time.monotonic() + 60
    while states != ["stream"] * 5 and time.monotonic() < end:
        answers = [await api.client.get(f"/predict/{one}") for one in ids]
        assert {answer.status_code for answer in answers} == {202}
        states = [answer.json()["state"] for answer in answers]
    assert states == ["stream"] * 5
    assert [answer.json()["event"]["data"]["transaction_id"] for answer in answers] == ids
    await asyncio.to_thread(run_once, api.service.settings)
    traces = [await api.client.get(f"/predict/{one}") for one in ids]
    assert [trace.status_code for trace in traces] == [200] * 5
    found = [trace.json() for trace in traces]
    assert [trace["event"]["data"]["kind"] for trace in found] == [
        "prediction",
        "request",
        *["prediction"] * 3,
    ]
    assert [trace["rows"] for trace in found] == [None, 3, None, None, None]
    assert [trace["event"]["data"]["status"] for trace in found[2:]] == ["ok", "ok", "refused"]
    items = (await api.client.get("/predict/history?subject_id=p-7")).json()["items"]
    assert [item["transaction_id"] for item in items] in ([ids[2], ids[0]], [ids[0], ids[2]])


async def test_a_prediction_is_found_in_the_journal(
    start_api: StartApi, own_redis: RedisServer, store_server: StoreProxy
) -> None:
    """With Redis away it waits in the journal; the trace says so, and an unknown id is a 503, not a 404."""
    api = await start_api(
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=own_redis.port,
        ES_HOST="127.0.0.1",
        ES_PORT=store_server.port,
        REQUEST_TIMEOUT=120,
    )
    own_redis.stop()
    made = (await api.client.post("/predict", json=api.example)).json()["transaction_id"]
    answer = await api.client.get(f"/predict/{made}")
    assert (answer.status_code, answer.json()["state"]) == (202, "journal")
    assert answer.json()["event"]["data"]["transaction_id"] == made
    unknown = await api.client.get(f"/predict/{new_id()}")
    assert unknown.status_code == 503
    assert "Redis does not answer" in unknown.json()["detail"]


async def test_what_is_nowhere_is_a_404_and_what_is_no_id_a_422(api: Api) -> None:
    """Old, new, of a time to come, of another version; /predict/batch is still for POST alone."""
    for unknown in (transaction(1), new_id(), "f" * 8 + "-ffff-7fff-bfff-" + "f" * 12, PRODUCER):
        answer = await api.client.get(f"/predict/{unknown}")
        assert (answer.status_code, unknown in answer.json()["detail"]) == (404, True)
    wrong = await api.client.get("/predict/zork")
    assert (wrong.status_code, wrong.json()["errors"]) == (
        422,
        [{"field": "transaction_id", "reason": "is not a UUID"}],
    )
    batch = await api.client.get("/predict/batch")
    assert (batch.status_code, batch.headers["allow"]) == (405, "POST")
    removed = await api.client.delete(f"/predict/{new_id()}")
    assert (removed.status_code, removed.headers["allow"]) == (405, "GET, HEAD")


async def test_a_dead_letter_is_traced_with_its_reason(api: Api) -> None:
    """An event that can never be indexed says so, from Redis and from the store's copy of the letters."""
    made = new_id()
    poison = prediction(1, transaction_id=made)
    poison["timestamp"] = "yesterday"
    await asyncio.to_thread(put, api, [poison])
    for _ in range(2):
        trace = (await api.client.get(f"/predict/{made}")).json()
        assert (trace["state"], trace["event"]) == ("dead letter", poison)
        assert "is not an ISO 8601 time" in trace["dead_letter"]["reason"]
        await asyncio.to_thread(index, api)


async def test_without_the_store_it_is_a_503(start_api: StartApi) -> None:
    """The history says what is away; a trace still tells where an event is that waits for the store."""
    api = await start_api(ES_HOST="127.0.0.1", ES_PORT=free_port(), REQUEST_TIMEOUT=120)
    answer = await api.client.get("/predict/history")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "does not answer" in answer.json()["detail"]
    made = (await api.client.post("/predict", json=api.example)).json()["transaction_id"]
    assert (await api.client.get(f"/predict/{made}")).status_code == 202
    assert (await api.client.get(f"/predict/{new_id()}")).status_code == 503


async def test_an_erased_subject_is_nowhere(api: Api) -> None:
    """What was sent with a subject, answered or refused, goes with `vigie erase --subject`."""
    from vigie.ledger.erasure import erase
    from vigie.telemetry.stream.erased import Subject

    ids = []
    for given in ({"subject_id": 17}, {"subject_id": "17", "AGE": 999}, {"subject_id": "170"}):
        answer = await api.client.post("/predict", json={**api.example, **given})
        ids.append(answer.headers["x-transaction-id"])
    end = time.monotonic() + 60
    stream = Stream.open(api.service.settings.redis)
    while stream.length() < 3 and time.monotonic() < end:
        await asyncio.sleep(0.02)
    await asyncio.to_thread(index, api)
    done = await asyncio.to_thread(erase, api.service.settings, Subject(subjects=frozenset({"17"})))
    assert (done.events, done.unsettled) == (2, 0)
    assert [(await api.client.get(f"/predict/{one}")).status_code for one in ids] == [404, 404, 200]

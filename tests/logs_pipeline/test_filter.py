"""The filter: what becomes of each kind of event, and what can never become a document."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.logs_pipeline.events import FUNCTIONS, INPUT, PRODUCER, entry, prediction

from vigie.indices.mappings import index_mappings
from vigie.indices.routing import Epoch
from vigie.logs_pipeline.filter import (
    LARGEST_EVENT_BYTES,
    Context,
    Document,
    Dropped,
    PoisonError,
    documents_of,
)

EPOCH = Epoch("0-0", "x-", "day")


def context(zone: str = "UTC", present: dict[str, list[str]] | None = None) -> Context:
    """What the filter knows in these tests."""
    known = {"lung_cancer": ["SMOKING", "COUGHING", "FATIGUE"]} if present is None else present
    return Context(ZoneInfo(zone), ("/health", "/docs"), known.get)


def documents(event: dict[str, Any] | bytes, zone: str = "UTC", number: int = 1) -> dict[str, dict[str, Any]]:
    """Documents of an event, by index and id suffix."""
    found = documents_of(entry(event, number), EPOCH, context(zone))
    assert len({(document.physical, document.id) for document in found}) == len(found)
    return {_key(document): orjson.loads(document.source) for document in found}


def _key(document: Document) -> str:
    return document.index + document.id.removeprefix(f"{PRODUCER}-1")


def test_a_profiled_prediction_makes_one_document_per_index_and_function() -> None:
    """An answered prediction is in all three indices, its costly functions one by one."""
    found = documents(prediction(profiled=True))
    assert {name: fields["doc_type"] for name, fields in found.items()} == {
        "ml-api-logs": "prediction",
        "ml-api-message": "prediction",
        "ml-api-perfs": "request",
        "ml-api-perfs-function-1": "function",
        "ml-api-perfs-function-2": "function",
    }


def test_every_document_carries_the_common_fields() -> None:
    """The fields of "all documents" are the same in each of an event's documents."""
    event = prediction(profiled=True, correlation_id="c", batch_id="b", subject_id="s")
    common = {
        "@timestamp": "2026-11-20T23:30:45.123456Z", "producer": PRODUCER, "number": 1, "level": "INFO",
        "message": event["message"], "hour_of_day": "23", "day_of_week": "5 Fri",
        "transaction_id": event["data"]["transaction_id"], "correlation_id": "c", "batch_id": "b",
        "subject_id": "s", "method": "POST", "path": "/predict", "status_code": 200, "status": "ok",
        "latency_ms": 1.5, "model": event["data"]["model"],
    }  # fmt: skip
    for fields in documents(event).values():
        assert {name: fields[name] for name in common} == common


def test_each_index_has_its_own_fields() -> None:
    """The message index holds what was asked and answered, the performance index what it cost."""
    found = documents(prediction(profiled=True))
    message, perfs = found["ml-api-message"], found["ml-api-perfs"]
    assert message["input_data"] == INPUT
    assert message["features_present"] == ["SMOKING", "COUGHING"]
    assert message["result"]["label"] == "YES"
    assert "performance_metrics" not in message
    assert (perfs["function_calls"], perfs["inference_time_ms"], perfs["top_functions"]) == (
        40,
        0.5,
        FUNCTIONS,
    )
    assert perfs["stages"] == {"validate_ms": 0.1, "predict_ms": 0.2}
    assert (perfs["batch_size"], perfs["profiled"], perfs["profile_reason"], perfs["weight"]) == (
        1,
        True,
        "budget",
        1,
    )
    assert "input_data" not in perfs
    function = found["ml-api-perfs-function-2"]
    assert {name: function[name] for name in FUNCTIONS[1]} == FUNCTIONS[1]
    logs = found["ml-api-logs"]
    assert (logs["input_data"], logs["performance_metrics"]["memory_mb"]) == (INPUT, 120.5)


@pytest.mark.parametrize(
    ("changes", "indices"),
    [
        ({"status": "refused", "status_code": 422, "input_data": None}, ["ml-api-logs", "ml-api-message"]),
        ({"status": "shed", "status_code": 503}, ["ml-api-logs"]),
        ({"status": "failed", "status_code": 500}, ["ml-api-logs"]),
        ({"performance_metrics": None}, ["ml-api-logs", "ml-api-message"]),
        ({"kind": "request", "path": "/logs"}, ["ml-api-logs"]),
        ({"kind": "log", "logger": "a", "line": 3}, ["ml-api-logs"]),
    ],
)
def test_which_events_go_where(changes: dict[str, Any], indices: list[str]) -> None:
    """Refused predictions count for quality, only answered ones for speed, everything for audit."""
    assert list(documents(prediction(**changes))) == indices


def test_a_refused_prediction_keeps_its_input_and_reasons() -> None:
    """Rejected input stays in the audit index only, the reasons in both."""
    errors = [{"field": "AGE", "reason": "too old"}]
    found = documents(
        prediction(
            status="refused", status_code=422, input_data=None, rejected_input={"AGE": 999}, errors=errors
        )
    )
    assert found["ml-api-logs"]["rejected_input"] == {"AGE": 999}
    assert found["ml-api-message"]["errors"] == errors
    assert not {"rejected_input", "input_data", "features_present"} & set(found["ml-api-message"])


def test_hour_and_day_are_those_of_the_display_time_zone() -> None:
    """Late Friday evening in UTC is Saturday morning in Tokyo; the index stays that of the UTC date."""
    found = documents_of(entry(prediction()), EPOCH, context("Asia/Tokyo"))
    fields = orjson.loads(found[0].source)
    assert (fields["hour_of_day"], fields["day_of_week"]) == ("08", "6 Sat")
    assert found[0].physical == "x-ml-api-logs-2026.11.20"


def test_a_time_with_an_offset_is_stored_in_utc() -> None:
    """A foreign producer's local time decides neither the index nor the order."""
    event = {**prediction(), "timestamp": "2026-11-21T01:00:00+02:00"}
    (first, *_) = documents_of(entry(event), EPOCH, context())
    assert first.physical == "x-ml-api-logs-2026.11.20"
    assert orjson.loads(first.source)["@timestamp"] == "2026-11-20T23:00:00.000000Z"


def test_features_of_an_unknown_model_are_left_out() -> None:
    """What nobody knows is not invented."""
    event = prediction(model={"name": "other"})
    assert "features_present" not in documents(event)["ml-api-message"]


def test_the_entrys_own_producer_and_number_hold() -> None:
    """What an event says of its producer cannot give it another event's id."""
    event = prediction(producer="somebody else", number=99)
    (first, *_) = documents_of(entry(event, 7), EPOCH, context())
    assert first.id == f"{PRODUCER}-7"
    fields = orjson.loads(first.source)
    assert (fields["producer"], fields["number"]) == (PRODUCER, 7)


@pytest.mark.parametrize("path", ["/health", "/docs/oauth2-redirect"])
def test_requests_of_excluded_paths_are_dropped(path: str) -> None:
    """LOG_EXCLUDE_PATHS holds for foreign producers too."""
    with pytest.raises(Dropped):
        documents(prediction(kind="request", path=path))


def test_a_path_that_only_begins_like_an_excluded_one_is_kept() -> None:
    """/healthy is not /health."""
    assert list(documents(prediction(kind="request", path="/healthy"))) == ["ml-api-logs"]


GOOD = prediction()


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"not json", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'"' + b"x" * LARGEST_EVENT_BYTES + b'"', "more than"),
        ({**GOOD, "timestamp": None}, "timestamp is missing"),
        ({**GOOD, "message": 3}, "message is missing"),
        ({**GOOD, "data": []}, "data is missing"),
        (prediction(kind="other"), "data.kind is not one of"),
        (prediction(kind=["log"]), "data.kind is not one of"),
        (prediction(input_data=[1]), "data.input_data is not an object"),
        (prediction(performance_metrics={"top_functions": {"a": 1}}), "top_functions is not a list"),
        (prediction(performance_metrics={"top_functions": [1]}), "top_functions is not a list"),
        ({**GOOD, "timestamp": "yesterday"}, "not an ISO 8601 time"),
        ({**GOOD, "timestamp": "2026-11-20T10:00:00"}, "no UTC offset"),
        ({**GOOD, "timestamp": "0001-01-01T00:00:00Z"}, "outside 1971"),
        (
            orjson.dumps(prediction(path="DEEP")).replace(b'"DEEP"', b"[" * 900 + b"]" * 900),
            "nested deeper than 64 levels",
        ),
    ],
)
def test_what_can_never_be_indexed_is_poison(event: dict[str, Any] | bytes, reason: str) -> None:
    """A broken event is told apart with its reason, so that it can be set aside."""
    with pytest.raises(PoisonError, match=reason):
        documents(event)


def test_an_entry_without_number_is_poison() -> None:
    """An entry written by hand has no place in the ledger."""
    with pytest.raises(PoisonError, match="no producer and number"):
        documents_of(entry(GOOD, 0, ""), EPOCH, context())


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(changes=st.dictionaries(st.sampled_from([*GOOD["data"], "errors"]), _json, max_size=4), top=_json)
def test_no_event_makes_the_filter_fail(changes: dict[str, Any], top: Any) -> None:
    """Whatever a producer sends, the filter answers with documents, a drop or a reason: never otherwise."""
    broken = [
        {**GOOD, "data": {**GOOD["data"], **changes}},
        {**GOOD, "data": top},
        {**GOOD, "timestamp": top},
        top,
    ]
    for event in broken:
        try:
            text = orjson.dumps(event)
        except orjson.JSONEncodeError:
            continue
        try:
            found = documents_of(entry(text), EPOCH, context())
        except (Dropped, PoisonError):
            continue
        assert found[0].index == "ml-api-logs"


def report(**changes: Any) -> dict[str, Any]:
    """A pipeline's report on itself."""
    data = {
        "kind": "service", "service": "pipeline", "backlog": 7, "lag_ms": 12.5, "read": 90, "indexed": 80,
        "retried": 3, "dead": 1, "dropped": 2, "uptime_seconds": 31.5, **changes,
    }  # fmt: skip
    return {
        "timestamp": "2026-11-20T23:30:45.123456Z",
        "level": "INFO",
        "message": "pipeline: backlog 7, dropped 2, up 32 s",
        "data": {name: value for name, value in data.items() if value is not None},
    }


def test_a_report_is_one_document_of_the_performance_index() -> None:
    """It says nothing of a request, so it is not in the log; its figures are at the top."""
    (name,) = found = documents(report())
    assert name == "ml-api-perfs"
    figures = report()["data"]
    del figures["kind"]
    assert {field: found[name][field] for field in figures} == figures
    assert (found[name]["doc_type"], found[name]["hour_of_day"]) == ("service", "23")
    assert set(found[name]) <= set(index_mappings()["ml-api-perfs"])


def test_a_report_that_names_no_service_is_poison() -> None:
    """Nobody could tell whose figures they are."""
    with pytest.raises(PoisonError, match=r"data\.service"):
        documents(report(service=None))


def verdict(**changes: Any) -> dict[str, Any]:
    """What was found of one feature in a window of predictions."""
    figures = {"feature": "AGE", "verdict": "drift", "alarm": True, "psi": 0.7, "p_value": 1e-9, "window": 3}
    data = {
        "kind": "drift",
        "model": {"name": "lung_cancer", "version": "1.0.0"},
        "drift": figures,
        **changes,
    }
    return {
        "timestamp": "2026-11-20T23:30:45.123456Z",
        "level": "WARNING",
        "message": "drift of AGE",
        "data": data,
    }


def test_a_verdict_on_drift_is_a_document_of_the_message_index() -> None:
    """Beside the log, with its figures under `drift`, each of them mapped."""
    found = documents(verdict())
    assert set(found) == {"ml-api-logs", "ml-api-message"}
    document = found["ml-api-message"]
    assert (document["doc_type"], document["drift"]) == ("drift", verdict()["data"]["drift"])
    assert set(document) <= set(index_mappings()["ml-api-message"])
    assert set(document["drift"]) <= set(index_mappings()["ml-api-message"]["drift"]["properties"])


@pytest.mark.parametrize("figures", [None, {}, {"feature": 3}, "AGE"])
def test_a_verdict_that_names_no_feature_is_poison(figures: object) -> None:
    """Nobody could tell whose verdict it is."""
    with pytest.raises(PoisonError, match=r"data\.drift"):
        documents(verdict(drift=figures))

"""Bad input, end to end: refused with field and reason, stored with its status, never a dead letter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.stack import Stack

from vigie.schema import FeatureSchema
from vigie.telemetry.stream.stream import Stream


@dataclass(frozen=True)
class Case:
    """A request that must be refused."""

    name: str
    body: bytes
    status: int
    field: str
    reason: str
    content_type: str = "application/json"


def cases(schema: FeatureSchema) -> list[Case]:
    """Return what the contract lists."""
    example = schema.example()

    def changed(**values: object) -> bytes:
        return json.dumps({**example, **values}).encode()

    missing = {name: value for name, value in example.items() if name != "COUGHING"}
    return [
        Case("wrong type", changed(AGE="old"), 422, "AGE", "whole number"),
        Case("numeric string", changed(AGE="60"), 422, "AGE", "whole number"),
        Case("out of range", changed(AGE=121), 422, "AGE", "120"),
        Case("missing", json.dumps(missing).encode(), 422, "COUGHING", "required"),
        Case("unknown field", changed(COLOUR=1), 422, "COLOUR", "not a feature"),
        Case("NaN", changed(AGE=0).replace(b'"AGE": 0', b'"AGE": NaN'), 422, "AGE", "whole number"),
        Case("boolean for a number", changed(SMOKING=True), 422, "SMOKING", "0 or 1"),
        Case("2 MB body", b'"' + b"x" * 2_000_000 + b'"', 413, "", ""),
        Case("broken JSON", b'{"AGE": 60,', 422, "", "JSON"),
        Case("wrong content type", json.dumps(example).encode(), 415, "", "", "text/plain"),
    ]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, package_path: Path) -> Iterator[Stack]:
    """Redis, store and API, running."""
    one = Stack(tmp_path_factory.mktemp("bad-input") / "home", package_path)
    try:
        one.start("redis", "store", "api")
        yield one
    finally:
        one.stop()


def test_each_fault_is_named_refused_and_stored(stack: Stack, schema: FeatureSchema) -> None:
    """Every kind of bad input gets a problem document with field and reason, and is found by its
    transaction id in ml-api-logs and, with status refused, in ml-api-message."""
    sent: dict[str, Case] = {}
    with httpx.Client(base_url=stack.url("api"), timeout=20) as client:
        for case in cases(schema):
            answer = client.post("/predict", content=case.body, headers={"content-type": case.content_type})
            assert answer.status_code == case.status, (case.name, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert problem["transaction_id"] == answer.headers["X-Transaction-Id"]
            if case.status == 422:
                (error,) = problem["errors"]
                assert case.field in error["field"], (case.name, error)
                assert case.reason.lower() in error["reason"].lower(), (case.name, error)
            assert "Traceback" not in answer.text
            sent[problem["transaction_id"]] = case
    assert stack.finish("pipeline", "once") == 0, stack.output("pipeline", "once")
    for index in ("ml-api-logs", "ml-api-message"):
        stored = {d["transaction_id"]: d for d in stack.documents(index, {"term": {"status": "refused"}})}
        assert stored.keys() == sent.keys()
        for transaction_id, case in sent.items():
            assert stored[transaction_id]["status_code"] == case.status
            assert stored[transaction_id]["level"] == "WARNING"
    logged = {d["transaction_id"]: d for d in stack.documents("ml-api-logs", {"term": {"status": "refused"}})}
    for transaction_id, case in sent.items():
        if case.name == "wrong type":
            assert logged[transaction_id]["rejected_input"]["AGE"] == "old"
        if case.name == "broken JSON":
            assert logged[transaction_id]["rejected_input"] == '{"AGE": 60,'
    measured = stack.documents("ml-api-perfs")  # the API's report on itself may be there already
    assert [document for document in measured if "transaction_id" in document] == []
    assert Stream.open(stack.settings.redis).dead_count() == 0
    assert stack.finish("verify") == 0, stack.output("verify")

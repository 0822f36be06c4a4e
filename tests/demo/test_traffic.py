"""Sample traffic: drawn from the schema, valid and invalid, held-out rows replayed with their labels."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from pydantic import ValidationError
from tests.servers import ROOT, wait_for

from vigie.demo.traffic import Request, Row, Traffic, faulty_body, requests, rows_of
from vigie.schema import FeatureSchema, load_schema

EXAMPLE = ROOT / "examples" / "breast_cancer"


def test_drawn_rows_are_valid_and_follow_the_cohort(schema: FeatureSchema, tmp_path: Path) -> None:
    """A model without held-out real rows gets draws from its cohort, all valid, the same for a seed."""
    rows, held_out = rows_of(schema, tmp_path, seed=3)
    assert held_out is False
    for row in rows:
        schema.request_model.model_validate(row.record)
    assert rows == rows_of(schema, tmp_path, seed=3)[0]
    assert 55 < sum(float(row.record["AGE"]) for row in rows) / len(rows) < 70


def test_held_out_rows_are_replayed_in_order(tmp_path: Path) -> None:
    """A model on a known data set gets the rows of holdout.csv, with number and label."""
    schema = load_schema(EXAMPLE)
    header = ",".join([*schema.names, schema.target.name])
    lines = [",".join(["0.5"] * len(schema.names) + [label]) for label in ("malignant", "benign")]
    (tmp_path / "holdout.csv").write_text("\n".join([header, *lines]) + "\n")
    rows, held_out = rows_of(schema, tmp_path, seed=3)
    assert held_out is True
    assert [(row.number, row.label) for row in rows] == [(0, "malignant"), (1, "benign")]
    assert set(rows[0].record.values()) == {0.5}


def test_the_mix_has_valid_faulty_batch_and_browsing_requests(schema: FeatureSchema) -> None:
    """Most requests are single predictions; every kind of traffic occurs."""
    rows = [Row(schema.example())]
    some = list(itertools.islice(requests(schema, rows, seed=5), 1000))
    kinds = Counter(
        "browse"
        if one.method == "GET"
        else "batch"
        if one.path.endswith("batch")
        else "one"
        if one.rows
        else "faulty"
        for one in some
    )
    assert kinds["one"] > 800
    assert min(kinds["browse"], kinds["batch"], kinds["faulty"]) > 15
    assert some == list(itertools.islice(requests(schema, rows, seed=5), 1000))


@pytest.mark.parametrize("seed", range(30))
def test_a_faulty_body_is_really_refused(schema: FeatureSchema, seed: int) -> None:
    """What is sent as a fault is one: broken JSON, or a record that the request model refuses."""
    with pytest.raises(ValidationError):
        schema.request_model.model_validate_json(faulty_body(schema, random.Random(seed)))


def answer(request: httpx.Request) -> httpx.Response:
    """Answer as the API does, in short."""
    if request.url.path == "/predict/batch":
        results = [{"transaction_id": "b0"}, {"transaction_id": "b1"}]
        return httpx.Response(200, json={"results": results})
    return {
        "/predict": httpx.Response(200, json={"transaction_id": "t0"}),
        "/refused": httpx.Response(422),
        "/broken": httpx.Response(500),
        "/model": httpx.Response(200, json={}),
    }[request.url.path]


def test_answers_are_counted_and_labels_written_once(tmp_path: Path) -> None:
    """Each held-out row's transaction id is written with its label in the first pass only."""
    labels = tmp_path / "labels.jsonl"
    first, second = Row({}, 0, "yes"), Row({}, 1, "no")
    traffic = Traffic("http://api", iter(()), labels)
    with httpx.Client(base_url="http://api", transport=httpx.MockTransport(answer)) as client:
        for request in (
            Request("POST", "/predict", b"{}", (first,)),
            Request("POST", "/predict/batch", b"[]", (first, second)),
            Request("POST", "/refused", b"{}"),
            Request("POST", "/broken", b"{}"),
            Request("GET", "/model"),
        ):
            traffic.send(client, request)
    tally = traffic.tally
    assert (tally.answered, tally.predictions, tally.refused, tally.failed) == (3, 3, 1, 1)
    assert [orjson.loads(line) for line in labels.read_text().splitlines()] == [
        {"transaction_id": "t0", "row": 0, "label": "yes"},
        {"transaction_id": "b1", "row": 1, "label": "no"},
    ]


def test_an_absent_api_is_counted_and_the_traffic_goes_on(tmp_path: Path) -> None:
    """Requests that nobody answers count as failed, and stop ends the thread."""

    def endless() -> Iterator[Request]:
        while True:
            yield Request("GET", "/model")

    traffic = Traffic("http://127.0.0.1:9", endless(), rate=200)
    traffic.start()
    wait_for(lambda: traffic.tally.failed >= 3)
    traffic.stop()
    failed = traffic.tally.failed
    assert traffic.tally.failed == failed

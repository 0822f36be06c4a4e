"""The demonstration as a newcomer runs it: everything up, traced by one id, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest
from tests.servers import ROOT, wait_for
from tests.stack import Stack

from vigie.model.package import read_manifest
from vigie.schema import FeatureSchema, load_schema

INDICES = ("ml-api-logs", "ml-api-message", "ml-api-perfs")
EXAMPLE = ROOT / "examples" / "breast_cancer"


class Demo:
    """A running `vigie demo`; its ports and home are those of `stack`, whose queries serve here too."""

    def __init__(self, stack: Stack, **environment: str) -> None:
        self.stack = stack
        stack.home.mkdir(parents=True, exist_ok=True)
        self.log = stack.home / "demo.log"
        self.log.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vigie.cli", "demo"],
                cwd=ROOT,
                env={**os.environ, **stack.environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self, text: str) -> bool:
        """Whether it printed `text`; fails when it ended without."""
        printed = self.log.read_text(encoding="utf-8")
        if text not in printed and self.process.poll() is not None:
            pytest.fail(f"the demo ended with {self.process.returncode} without {text!r}: {printed}")
        return text in printed

    def await_said(self, text: str, deadline: float = 120) -> None:
        """Wait until it printed `text`."""
        wait_for(lambda: self.said(text), deadline, f"{text!r} from the demo")

    def end(self, number: signal.Signals = signal.SIGTERM) -> list[psutil.Process]:
        """Send a signal, wait for the end, and return the processes that are still alive."""
        family = (
            psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        )
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(60)
        _, alive = psutil.wait_procs(family, timeout=10)
        return alive


@pytest.fixture
def stack(tmp_path: Path, package_path: Path) -> Stack:
    """Free ports and a home of the test's own; the demo starts the services."""
    return Stack(tmp_path / "home", package_path)


@pytest.fixture
def demo(stack: Stack) -> Iterator[Demo]:
    """A demonstration without traffic, all up."""
    one = Demo(stack, DEMO_TRAFFIC="0")
    try:
        one.await_said("everything is up")
        yield one
    finally:
        for left in one.end():
            left.kill()


def found_by_id(stack: Stack, index: str, transaction_id: str) -> list[dict[str, Any]]:
    """Return what a plain search for the transaction id finds."""
    answer = httpx.post(
        f"{stack.url('store')}/{index}/_search",
        json={"query": {"term": {"transaction_id": transaction_id}}, "size": 50},
    )
    answer.raise_for_status()
    return [hit["_source"] for hit in answer.json()["hits"]["hits"]]


@pytest.mark.slow
def test_one_id_leads_from_the_answer_to_all_indices(demo: Demo, schema: FeatureSchema) -> None:
    """A prediction is in /logs and in all three indices under its transaction id; then a killed API
    comes back by itself, and Ctrl-C leaves no process."""
    stack = demo.stack
    answer = httpx.post(f"{stack.url('api')}/predict", json=schema.example(), timeout=20)
    transaction_id = answer.json()["transaction_id"]
    for index in INDICES:
        wait_for(
            lambda index=index: found_by_id(stack, index, transaction_id), 20, f"the prediction in {index}"
        )
    (logged,) = found_by_id(stack, "ml-api-logs", transaction_id)
    (message,) = found_by_id(stack, "ml-api-message", transaction_id)
    perfs = found_by_id(stack, "ml-api-perfs", transaction_id)
    assert logged["doc_type"] == message["doc_type"] == "prediction"
    assert message["input_data"] == schema.example()
    assert message["result"]["probability"] == answer.json()["probability"]
    assert sorted(d["doc_type"] for d in perfs) == ["function"] * (len(perfs) - 1) + ["request"]
    (request,) = [d for d in perfs if d["doc_type"] == "request"]
    assert request["profiled"] is True
    assert request["function_calls"] > 0
    logs = httpx.get(f"{stack.url('api')}/logs", params={"transaction_id": transaction_id}).json()
    assert logs["total"] == 1
    assert logs["logs"][0]["data"]["transaction_id"] == transaction_id
    stats = httpx.get(f"{stack.url('api')}/logs/stats").json()
    assert stats["by_status"]["ok"] >= 1
    assert stats["dead_letters"] == 0
    page = httpx.get(stack.url("ui"), timeout=20)
    assert page.status_code == 200

    (api,) = [p for p in psutil.Process(demo.process.pid).children() if p.cmdline()[-1] == "api"]
    api.send_signal(signal.SIGKILL)
    demo.await_said("api died (SIGKILL); starting it again in 0.5 s")

    def serves_again() -> bool:
        try:
            return httpx.get(f"{stack.url('api')}/readyz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    wait_for(serves_again, 60, "the API to be back")
    assert demo.end(signal.SIGINT) == []
    assert demo.process.returncode == 0


@pytest.mark.slow
def test_two_models_one_after_the_other_on_one_home(stack: Stack, schema: FeatureSchema) -> None:
    """Each demo serves its own model; what the first stored stays, and both models' fields are mapped."""
    first = Demo(stack, DEMO_SECONDS="6")
    assert first.process.wait(180) == 0, first.log.read_text()
    second = Demo(stack, MODEL=str(EXAMPLE))
    try:
        second.await_said("everything is up")
        other = load_schema(stack.home / "models" / "breast_cancer")
        wait_for(
            lambda: stack.documents("ml-api-message", {"term": {"model.name": other.name}}),
            30,
            "the second model's events",
        )
        models = {document["model"]["name"] for document in stack.documents("ml-api-message")}
        assert models == {schema.name, other.name}
        mapping = httpx.get(f"{stack.url('store')}/ml-api-message/_mapping").json()
        for index in mapping.values():
            fields = index["mappings"]["properties"]["input_data"]["properties"]
            assert set(fields) == {*schema.names, *other.names}
    finally:
        assert second.end() == []
    stack.start("redis", "store")
    try:
        assert stack.finish("verify") == 0, stack.output("verify")
    finally:
        stack.stop()


@pytest.mark.slow
def test_accuracy_of_replayed_real_rows_is_the_model_cards(tmp_path: Path) -> None:
    """Held-out real rows sent as traffic, joined with their labels by transaction id, give exactly the
    number of correct answers that the manifest and the model card state."""
    from vigie.demo.traffic import Labels
    from vigie.model.training import train
    from vigie.simulation.requests import batch, prediction
    from vigie.simulation.rows import held_out_rows
    from vigie.simulation.run import Run

    package = tmp_path / "package"
    train(EXAMPLE, package, None)
    schema, manifest = load_schema(package), read_manifest(package)
    stack = Stack(tmp_path / "home", package)
    rows = held_out_rows(schema, package)
    assert len(rows) == manifest.metrics.rows
    labels = tmp_path / "labels.jsonl"
    try:
        stack.start("redis", "store", "api")
        tens = [rows[start : start + 10] for start in range(0, len(rows), 10)]
        requests = [
            *(prediction(row) for ten in tens for row in ten[:5]),
            *(batch(ten[5:]) for ten in tens if ten[5:]),
        ]
        traffic = Run(stack.url("api"), ((0.0, request) for request in requests), heard=Labels(labels))
        traffic.start()
        traffic.join()
        assert stack.finish("pipeline", "once") == 0, stack.output("pipeline", "once")
        truth = {
            line["transaction_id"]: line["label"]
            for line in map(orjson.loads, labels.read_text().splitlines())
        }
        answered = {d["transaction_id"]: d["result"]["label"] for d in stack.documents("ml-api-message")}
    finally:
        stack.stop()
    assert answered.keys() == truth.keys()
    assert len(truth) == manifest.metrics.rows
    correct = sum(answered[one] == label for one, label in truth.items())
    assert correct == manifest.metrics.correct
    assert f"({correct}/{len(truth)})" in (package / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_a_reader_that_goes_away_leaves_no_process(stack: Stack) -> None:
    """`make demo | head -1`: when nobody reads any more, the demo still stops everything at its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vigie.cli", "demo"],
        cwd=ROOT,
        env={**os.environ, **stack.environment, "DEMO_TRAFFIC": "0"},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert b"ready" in process.stdout.readline()
        process.stdout.close()
        family = wait_for(lambda: psutil.Process(process.pid).children(recursive=True), 20, "its services")
        process.send_signal(signal.SIGHUP)
        process.wait(60)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []
    finally:
        process.kill()

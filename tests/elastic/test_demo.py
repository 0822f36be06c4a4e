"""`make demo STORE=elasticsearch`: the same demonstration on a real Elasticsearch."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.real_store import RUN
from tests.servers import wait_for
from tests.stack import Stack
from tests.test_demo import INDICES, Demo

from vigie.schema import FeatureSchema

pytestmark = pytest.mark.elastic


def test_the_demonstration_runs_on_a_real_elasticsearch(
    tmp_path: Path, package_path: Path, schema: FeatureSchema
) -> None:
    """It answers on ES_PORT, a prediction reaches its three indices, and nothing is left running."""
    if RUN.user is not None:
        pytest.skip("starts a node, which needs a JDK and Maven")
    stack = Stack(tmp_path / "home", package_path, {"ES_HOST": "", "ES_INDEX_PREFIX": ""})
    demo = Demo(stack, STORE="elasticsearch", DEMO_TRAFFIC="0")
    try:
        demo.await_said("everything is up", 240)
        assert demo.said("elasticsearch is ready")
        assert httpx.get(stack.url("store")).json()["version"]["build_flavor"] == "default"
        answer = httpx.post(f"{stack.url('api')}/predict", json=schema.example(), timeout=20)
        query = {"term": {"transaction_id": answer.json()["transaction_id"]}}
        for index in INDICES:
            wait_for(lambda index=index: stack.documents(index, query), 30, f"the prediction in {index}")
    finally:
        left = demo.end()
        for process in left:
            process.kill()
    assert left == []
    assert demo.process.returncode == 0
    assert any((stack.home / "elasticsearch" / "data").iterdir())

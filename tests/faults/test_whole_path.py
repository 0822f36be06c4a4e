"""From the answer to the indices through hard kills: nothing missing, nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests.faults.client import Client
from tests.servers import wait_for
from tests.stack import Stack

from vigie.model.cohort import draw
from vigie.schema import FeatureSchema
from vigie.telemetry.stream.stream import Stream

PREDICTIONS = 2000
PIPELINE_KILLS = 5


@pytest.fixture
def stack(tmp_path: Path, package_path: Path) -> Iterator[Stack]:
    """Redis, store and API, running."""
    one = Stack(tmp_path / "home", package_path)
    try:
        one.start("redis", "store", "api")
        yield one
    finally:
        one.stop()


def pending_consumers(client: redis.Redis) -> dict[str, int]:
    """Return the entries in flight by consumer."""
    groups = client.xinfo_groups("api_logs") if client.exists("api_logs") else []
    return {
        consumer["name"].decode() if isinstance(consumer["name"], bytes) else consumer["name"]: consumer[
            "pending"
        ]
        for group in groups
        for consumer in client.xinfo_consumers("api_logs", group["name"])
        if consumer["pending"]
    }


async def kill_pipelines(stack: Stack, client: redis.Redis, stream: Stream) -> int:
    """Kill the pipeline hard while it holds pending entries, each time; return how often that was."""
    kills = 0
    for _ in range(PIPELINE_KILLS):
        before = set(await asyncio.to_thread(pending_consumers, client))
        await asyncio.to_thread(stack.launch, "pipeline")

        def holds_entries(before: set[str] = before) -> bool:
            return bool(set(pending_consumers(client)) - before)

        await asyncio.to_thread(wait_for, holds_entries, 60, "the new pipeline to hold entries")
        await asyncio.to_thread(stack.kill, "pipeline")
        assert set(pending_consumers(client)) - before, "it was killed while it held entries"
        assert stream.backlog() > 0
        kills += 1
    return kills


async def kill_the_api_once(stack: Stack, sender: Client) -> None:
    """Kill the API hard in the middle of the load, and start it again."""
    while len(sender.answered) < PREDICTIONS // 2:
        await asyncio.sleep(0.005)
    await asyncio.to_thread(stack.kill, "api")
    await asyncio.to_thread(stack.start, "api")


@pytest.mark.slow
@pytest.mark.every_store
def test_every_answered_prediction_is_stored_exactly_once(stack: Stack, schema: FeatureSchema) -> None:
    """Five hard kills of the pipeline and one of the API lose nothing and double nothing.

    The judge is the client's own list of answered ids; a stored prediction that is not on it is one
    whose answer the kill of the API cut off.
    """
    records, _ = draw(schema, PREDICTIONS, seed=1)
    sender = Client(stack.url("api"), [dict(record) for record in records])
    stream = Stream.open(stack.settings.redis)
    client = stream.client

    async def campaign() -> int:
        _, _, kills = await asyncio.gather(
            sender.send_all(), kill_the_api_once(stack, sender), kill_pipelines(stack, client, stream)
        )
        return kills

    assert asyncio.run(campaign()) == PIPELINE_KILLS
    assert len(sender.answered) == PREDICTIONS
    stack.start("pipeline")
    wait_for(lambda: stream.backlog() == 0, 90, "the backlog to be empty")
    assert client.xlen("api_dead") == 0
    for index, doc_type in (
        ("ml-api-logs", "prediction"),
        ("ml-api-message", "prediction"),
        ("ml-api-perfs", "request"),
    ):
        stored = stack.documents(index, {"term": {"doc_type": doc_type}})
        by_transaction = Counter(document["transaction_id"] for document in stored)
        assert [one for one, count in by_transaction.items() if count > 1] == []
        assert set(sender.answered.values()) - set(by_transaction) == set()
        cut_off = {d["correlation_id"] for d in stored if d["correlation_id"] not in sender.answered}
        assert cut_off <= sender.unanswered
        assert len(by_transaction) == PREDICTIONS + len(cut_off)
    assert stack.finish("verify") == 0, stack.output("verify")

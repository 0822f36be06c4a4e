"""The pages' way to the store: answers, limits, and what is said when there is none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from tests.servers import free_port

from vigie.settings import Settings, StoreSettings
from vigie.ui.store_reader import StoreAwayError, StoreReader

EVERYTHING = {"query": {"match_all": {}}, "size": 10}


@pytest.fixture
def store_settings(store_url: str, settings_for: Callable[..., Settings]) -> StoreSettings:
    """The run's store itself, under a prefix of the test's own."""
    return settings_for(ES_HOST="127.0.0.1", ES_PORT=store_url.rsplit(":", 1)[1]).store


@pytest.fixture
def reader(store_settings: StoreSettings) -> Iterator[StoreReader]:
    """A reader of the run's store."""
    reader = StoreReader(store_settings)
    yield reader
    reader.close()


async def test_an_index_is_named_without_its_prefix(
    reader: StoreReader, store_settings: StoreSettings
) -> None:
    """A page asks for an index, and finds the documents of its own installation."""
    own = f"{store_settings.es_index_prefix}things"
    with Elasticsearch(store_settings.url) as client:
        client.indices.create(index=own, mappings={"properties": {"n": {"type": "integer"}}})
        client.index(index=own, id="1", document={"n": 7}, refresh=True)
        answer = await reader.search("things", EVERYTHING)
        client.indices.delete(index=own)
    assert [hit["_source"] for hit in answer["hits"]["hits"]] == [{"n": 7}]


async def test_an_index_that_is_not_there_has_no_documents(reader: StoreReader) -> None:
    """Before the first event a page is empty, not broken."""
    answer = await reader.search("ml-api-logs", EVERYTHING)
    assert answer["hits"]["total"]["value"] == 0
    assert answer["_shards"]["total"] == 0


async def test_a_store_that_is_away_is_told(settings_for: Callable[..., Settings]) -> None:
    """Who reads learns what does not answer and what to do."""
    port = free_port()
    reader = StoreReader(settings_for(ES_HOST="127.0.0.1", ES_PORT=port).store)
    with pytest.raises(StoreAwayError, match=f"127.0.0.1:{port} does not answer: start it") as caught:
        await reader.search("ml-api-logs", EVERYTHING)
    assert caught.value.kind == "away"
    reader.close()


async def test_a_question_that_is_refused_is_told(reader: StoreReader) -> None:
    """A refusal is not taken for an empty answer."""
    with pytest.raises(StoreAwayError, match="refused the search with 400") as caught:
        await reader.search("ml-api-logs", {"query": {"no_such_query": {}}})
    assert caught.value.kind == "refused"


async def test_a_part_of_an_answer_is_no_answer(
    store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a shard missing the numbers would be wrong, and are not shown."""
    reader = StoreReader(store_settings)
    partly = {"hits": {"total": {"value": 1}}, "_shards": {"total": 2, "failed": 1}}
    monkeypatch.setattr(reader, "_ask", lambda index, body: partly)
    with pytest.raises(StoreAwayError, match="only in part") as caught:
        await reader.search("ml-api-logs", EVERYTHING)
    assert caught.value.kind == "refused"
    reader.close()


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_a_store_that_hangs_is_waited_for_no_longer_than_the_limit(
    silent: int, settings_for: Callable[..., Settings]
) -> None:
    """Any number of visitors get their sentence in the end, while the event loop stays free."""
    reader = StoreReader(settings_for(ES_HOST="127.0.0.1", ES_PORT=silent).store, timeout=0.2)
    turns: list[int] = []

    async def live() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0.01)

    living = asyncio.create_task(live())
    answers: list[Any] = await asyncio.gather(
        *(reader.search("ml-api-logs", EVERYTHING) for _ in range(20)), return_exceptions=True
    )
    living.cancel()
    assert {answer.kind for answer in answers} == {"slow"}
    assert "within 0.2 seconds" in str(answers[0])
    assert len(turns) > 2
    reader.close()

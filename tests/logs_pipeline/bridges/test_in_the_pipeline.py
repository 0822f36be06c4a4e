"""Foreign events through the whole pipeline: stored once, or a dead letter that says why; the ledger agrees."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import redis
from elasticsearch import Elasticsearch
from tests.logs_pipeline.events import prediction
from tests.servers import ROOT, free_port, wait_for
from tests.store_proxy import StoreProxy

from vigie.indices.store_client import connect_store
from vigie.ledger.proof import verify
from vigie.logs_pipeline.pipeline import run_continuously, run_once
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.admission import Admission, Candidate
from vigie.telemetry.stream.keys import FOREIGN_LIST
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.stream import Stream

GOOD = 1000
DATABASE = 2
"""One in which no other test's server writes."""
Make = Callable[..., Settings]


@pytest.fixture
def make(redis_settings: RedisSettings, store_server: StoreProxy, settings_for: Make) -> Make:
    """Settings of an installation with these sources, an empty Redis and indices of its own."""

    def settings(sources: str, **environment: object) -> Settings:
        own = {
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": redis_settings.redis_port,
            "REDIS_DB": DATABASE,
            "ES_HOST": "127.0.0.1",
            "ES_PORT": store_server.port,
            "MODEL_PATH": ROOT / "model" / "lung_cancer",
            "PIPELINE_SOURCES": sources,
        }
        return settings_for(**own, **environment)

    return settings


@pytest.fixture
def client(make: Make) -> redis.Redis:
    """The program that pushes."""
    return Stream.open(make("redis").redis).client


@pytest.fixture
def store(make: Make) -> Iterator[Elasticsearch]:
    """A client of the store."""
    with connect_store(make("redis").store) as found:
        yield found


def log(number: int, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """A foreign event in its smallest form."""
    parts = {"timestamp": f"2026-11-20T10:30:45.{number:06}Z", "level": "INFO", "message": f"pushed {number}"}
    return {**parts, **({} if data is None else {"data": data})}


def stored(store: Elasticsearch, settings: Settings, index: str) -> list[dict[str, Any]]:
    """The documents of one index."""
    alias = f"{settings.store.es_index_prefix}{index}"
    store.indices.refresh(index=alias)
    answer = store.search(index=alias, size=5000, sort=[{"number": "asc"}, {"producer": "asc"}])
    return [hit["_source"] for hit in answer["hits"]["hits"]]


@pytest.mark.every_store
def test_poison_in_the_list_is_dead_and_harms_no_other(
    make: Make, client: redis.Redis, store: Elasticsearch
) -> None:
    """Amid a thousand good events each unusable one leaves its letter, with its text and the reason."""
    poison = {
        b"not JSON at all": "the event is not JSON",
        b"[1, 2, 3]": "the event is not a JSON object",
        b'{"level": "INFO"}': "timestamp is missing",
        orjson.dumps({**log(1, {"kind": "log"}), "timestamp": "yesterday"}): "is not an ISO 8601 time",
        orjson.dumps({**log(1), "data": [1]}): "data is missing or not an object",
        b'{"message": "' + b"x" * 2**20 + b'"}': "bytes, more than",
        orjson.dumps(log(1))[:-1] + b',"data":' + b'{"a":' * 300 + b"1" + b"}" * 301: "nested deeper than 64",
    }
    texts = [orjson.dumps(log(number)) for number in range(GOOD)]
    for place, text in enumerate(poison):
        texts.insert(place * 150, text)
    client.lpush(FOREIGN_LIST, *texts)
    settings = make("redis,list")
    summary = run_once(settings, min_idle_ms=500)
    assert (summary.counts.indexed, summary.counts.dead, summary.problems) == (GOOD, len(poison), ())
    found = stored(store, settings, "ml-api-logs")
    assert Counter(one["message"] for one in found) == Counter(f"pushed {n}" for n in range(GOOD))
    assert {one["doc_type"] for one in found} == {"log"}
    letters = Stream.open(settings.redis).dead_letters(20)
    assert len(letters) == len(poison)
    for text, reason in poison.items():
        (letter,) = [one for one in letters if one.event == text[: 2**20 + 1]]
        assert reason in letter.reason
        assert letter.number > 0
    report = verify(settings)
    assert report.balanced, report.problems


def test_a_foreign_prediction_is_one_of_ours(make: Make, client: redis.Redis, store: Elasticsearch) -> None:
    """An event in the documented form, without the platform's own kind and status, fills all three indices."""
    event = prediction(7, kind=None, status=None, producer=None)
    del event["data"]["number"]
    client.lpush(FOREIGN_LIST, orjson.dumps(event), orjson.dumps(event))
    settings = make("list")
    assert run_once(settings, min_idle_ms=500).counts.indexed == 1
    for index, doc_type in (("logs", "prediction"), ("message", "prediction"), ("perfs", "request")):
        (found,) = stored(store, settings, f"ml-api-{index}")
        assert (found["doc_type"], found["transaction_id"]) == (doc_type, event["data"]["transaction_id"])


def test_holes_in_foreign_numbers_are_nobodys_loss(make: Make, client: redis.Redis) -> None:
    """A foreign producer is measured by what was admitted; what another way brings later is counted too."""
    settings = make("list")
    for numbers in ((5, 9, 7000), (6, 9)):
        client.lpush(
            FOREIGN_LIST, *(orjson.dumps(log(n, {"producer": "cobol", "number": n})) for n in numbers)
        )
        assert run_once(settings, min_idle_ms=500).problems == ()
        report = verify(settings)
        assert report.balanced, report.problems
    (row,) = [row for row in report.rows if row.producer == "cobol"]
    assert (row.role, row.produced, row.indexed, row.dropped, row.missing) == ("foreign", 4, 4, 0, 0)


def test_a_loss_at_a_front_end_is_in_the_proof(make: Make, client: redis.Redis) -> None:
    """Its numbers are declared drops, the account adds up, and front end, cursor and oldest entry are named."""
    settings, url = make("redis"), "https://me-space.hf.space"
    admission = Admission(client, 1000)

    def collect(number: int, cursor: str, oldest: str) -> None:
        text = orjson.dumps(log(number, {"kind": "log"}))
        candidate = Candidate(f"{number}-0", "cobol", number, str(number), text)
        assert admission.admit_page(url, cursor, oldest, [candidate], complete=True).admitted == 1

    collect(1, "", "")
    collect(8, "1-0", "8-0")
    assert run_once(settings, min_idle_ms=500).counts.indexed == 2
    report = verify(settings)
    assert report.balanced, report.problems
    (row,) = [row for row in report.rows if row.producer == "cobol"]
    assert (row.produced, row.indexed, row.dropped, row.missing) == (8, 2, 6, 0)
    assert any(f"{url} no longer had its entries between 1-0 and 8-0" in note for note in report.notes)


def test_once_says_what_stands_in_the_way_of_a_source(make: Make, client: redis.Redis) -> None:
    """The list is moved and indexed all the same; the summary names the front end that does not answer."""
    client.lpush(FOREIGN_LIST, orjson.dumps(log(1)))
    url = f"http://127.0.0.1:{free_port()}"
    summary = run_once(make("http,list", GRADIO_URL=url), min_idle_ms=500)
    assert (summary.counts.indexed, summary.backlog, summary.complete) == (1, 0, False)
    assert summary.problems[0].startswith(f"source http: {url} does not answer")


def test_a_list_longer_than_the_stream_is_indexed_by_one_run(make: Make, client: redis.Redis) -> None:
    """A run drains the stream as often as it is full, until the list is empty."""
    client.lpush(FOREIGN_LIST, *(orjson.dumps(log(number)) for number in range(2500)))
    summary = run_once(make("list", REDIS_STREAM_MAX_ENTRIES=1000), min_idle_ms=500)
    assert (summary.counts.indexed, summary.backlog, summary.problems) == (2500, 0, ())


def test_a_front_end_that_is_away_leaves_indexing_untouched(make: Make, client: redis.Redis) -> None:
    """The heartbeat says what is wrong with the source; events of the list go on being indexed."""
    settings = make("http,list", GRADIO_URL=f"http://127.0.0.1:{free_port()}")
    stream, stop = Stream.open(settings.redis), threading.Event()
    thread = threading.Thread(target=run_continuously, args=(settings, stop), kwargs={"min_idle_ms": 500})
    thread.start()
    try:
        wait_for(lambda: any("source http: " in one.problem for one in statuses(client)), 60)
        client.lpush(FOREIGN_LIST, orjson.dumps(log(1)))
        wait_for(lambda: stream.ledger.totals().indexed >= 1, 60)
        wait_for(lambda: any("source http: " in one.problem for one in statuses(client)), 60)
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()

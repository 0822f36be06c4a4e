"""GET and DELETE /logs, /logs/stats over a real Redis."""

from __future__ import annotations

import socket
from typing import Any

import orjson
import pytest
from tests.api.conftest import Api, StartApi
from tests.servers import free_port

from vigie.api import logs
from vigie.settings import RedisSettings
from vigie.telemetry.stream.stream import Record, Stream, Verdict


def event(number: int, level: str = "INFO", **data: object) -> dict[str, Any]:
    """Return an event."""
    return {
        "timestamp": f"2026-11-20T10:00:{number:02d}.000000Z",
        "level": level,
        "message": f"event {number}",
        "data": {"transaction_id": f"t{number}", **data},
    }


@pytest.fixture
def stored(redis_settings: RedisSettings) -> Stream:
    """A stream with twelve events of one producer: each third a WARNING, each sixth of status failed."""
    stream = Stream.open(redis_settings)
    stream.register("p", {})
    events = [
        event(n, "WARNING" if n % 3 == 0 else "INFO", status="failed" if n % 6 == 0 else "ok")
        for n in range(1, 13)
    ]
    stream.write("p", [Record(n, orjson.dumps(found)) for n, found in enumerate(events, start=1)])
    return stream


@pytest.fixture
async def quiet(stored: Stream, start_api: StartApi) -> Api:
    """An API whose own requests make no events, beside the stored ones."""
    return await start_api(LOG_EXCLUDE_PATHS="/logs,/nope", LOG_LEVEL="CRITICAL")


async def found(api: Api, query: str) -> tuple[int, list[int]]:
    """Return total and the numbers of the events of a query."""
    answer = await api.client.get(f"/logs{query}")
    assert answer.status_code == 200, answer.text
    content = answer.json()
    return content["total"], [int(log["message"].split()[1]) for log in content["logs"]]


async def test_pages_filters_and_counts(quiet: Api) -> None:
    """Newest first; total counts what matches, whatever the page."""
    assert await found(quiet, "") == (12, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
    assert await found(quiet, "?limit=3&offset=2") == (12, [10, 9, 8])
    assert await found(quiet, "?limit=3&offset=11") == (12, [1])
    assert await found(quiet, "?offset=40") == (12, [])
    assert await found(quiet, "?level=WARNING&limit=2&offset=1") == (4, [9, 6])
    assert await found(quiet, "?level=ERROR") == (0, [])
    assert await found(quiet, "?transaction_id=t1") == (1, [1])
    assert await found(quiet, "?transaction_id=t9&level=INFO") == (0, [])


async def test_after_reads_on_oldest_first(quiet: Api, stored: Stream) -> None:
    """What is newer than an id, in its order; pages follow one another."""
    ids = [entry.id for entry in stored.after("", 100)]
    assert await found(quiet, f"?after={ids[8]}") == (3, [10, 11, 12])
    assert await found(quiet, f"?after={ids[5]}&level=WARNING&limit=1") == (2, [9])
    assert await found(quiet, f"?after={ids[11]}") == (0, [])


async def test_an_entry_is_shown_whole(quiet: Api) -> None:
    """Its id in the stream and the event's own parts."""
    (log,) = (await quiet.client.get("/logs?limit=1")).json()["logs"]
    assert set(log) == {"id", "timestamp", "level", "message", "data"}
    assert {name: log[name] for name in ("timestamp", "level", "message", "data")} == event(
        12, "WARNING", status="failed"
    )


async def test_long_streams_are_paged_through(
    quiet: Api, stored: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several reads of Redis make one answer."""
    monkeypatch.setattr(logs, "PAGE_ENTRIES", 5)
    assert await found(quiet, "?limit=4&offset=7") == (12, [5, 4, 3, 2])
    assert await found(quiet, "?level=INFO&limit=2&offset=5") == (8, [4, 2])


async def test_what_is_no_event_is_shown_as_text(quiet: Api, stored: Stream) -> None:
    """An entry that somebody wrote by hand neither breaks the page nor hides."""
    stored.client.xadd("api_logs", {"event": "by hand"})
    newest = (await quiet.client.get("/logs?limit=1")).json()["logs"][0]
    assert (newest["message"], newest["level"]) == ("by hand", None)
    assert (await quiet.client.get("/logs?level=INFO")).json()["total"] == 8
    assert (await quiet.client.get("/logs/stats")).json()["total"] == 13


async def test_an_event_nested_too_deeply_is_shown_as_text(quiet: Api, stored: Stream) -> None:
    """The page and the statistics are answered, with every other event on them."""
    deep = '{"level":"INFO","message":"deep","data":' + '{"a":' * 300 + "1" + "}" * 301
    stored.client.xadd("api_logs", {"event": deep})
    answer = await quiet.client.get("/logs?limit=1000")
    assert (answer.status_code, answer.json()["total"]) == (200, 13)
    newest = answer.json()["logs"][0]
    assert (newest["message"], newest["level"], newest["data"]) == (deep, None, None)
    assert (await quiet.client.get("/logs/stats")).json()["total"] == 13


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("level=LOUD", "level"),
        ("after=yesterday", "after"),
    ],
)
async def test_a_wrong_parameter_is_named(quiet: Api, query: str, field: str) -> None:
    """422 with the field."""
    answer = await quiet.client.get(f"/logs?{query}")
    assert (answer.status_code, [e["field"] for e in answer.json()["errors"]]) == (422, [field])


async def test_statistics(quiet: Api) -> None:
    """Counts by level and status, the span, and what the ledger says."""
    assert (await quiet.client.get("/logs/stats")).json() == {
        "total": 12,
        "by_level": {"WARNING": 4, "INFO": 8},
        "by_status": {"failed": 2, "ok": 10},
        "oldest": "2026-11-20T10:00:01.000000Z",
        "newest": "2026-11-20T10:00:12.000000Z",
        "backlog": 12,
        "dead_letters": 0,
        "dropped": 0,
    }


async def test_clearing_what_is_not_indexed_is_refused(quiet: Api, stored: Stream) -> None:
    """409 with both counts and nothing done; force=true clears and counts it as cleared."""
    refused = await quiet.client.delete("/logs")
    assert (refused.status_code, refused.json()["stored"], refused.json()["pending"]) == (409, 12, 12)
    assert stored.length() == 12
    forced = await quiet.client.delete("/logs?force=true")
    assert (forced.status_code, forced.json()) == (200, {"cleared": 12, "pending": 0, "stored": 0})
    assert stored.ledger.totals().cleared == 12


async def test_clearing_what_is_indexed_needs_no_force(quiet: Api, stored: Stream) -> None:
    """Once everything is settled the log may go."""
    stored.ensure_group()
    stored.settle([Verdict(entry, "indexed") for entry in stored.read("c", 100, 1)])
    assert (await quiet.client.delete("/logs")).json() == {"cleared": 12, "pending": 0, "stored": 0}


async def test_without_redis_logs_are_503_and_predictions_go_on(start_api: StartApi) -> None:
    """A refused connection is named; nothing else is affected."""
    port = free_port()
    api = await start_api(REDIS_PORT=port)
    for request in (("GET", "/logs"), ("GET", "/logs/stats"), ("DELETE", "/logs")):
        answer = await api.client.request(*request)
        assert answer.status_code == 503
        assert f"Redis at 127.0.0.1:{port} does not answer" in answer.json()["detail"]
        assert answer.headers["retry-after"] == "5"
    assert (await api.client.post("/predict", json=api.example)).status_code == 200


async def test_a_redis_that_never_answers_is_503_too(
    start_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time-limited, and the loop is free meanwhile."""
    monkeypatch.setattr(logs, "SOCKET_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = await start_api(REDIS_PORT=silent.getsockname()[1])
        assert (await api.client.get("/logs")).status_code == 503


async def test_logs_to_stdout_say_which_variable(start_api: StartApi) -> None:
    """LOG_TO_REDIS=false: there is nothing to read, and the problem names the variable."""
    api = await start_api(LOG_TO_REDIS="false")
    answer = await api.client.get("/logs")
    assert (answer.status_code, "LOG_TO_REDIS=false" in answer.json()["detail"]) == (503, True)


def test_a_search_that_takes_too_long_is_given_up(stored: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader stops by its clock instead of holding a thread."""
    monkeypatch.setattr(logs, "PAGE_ENTRIES", 4)
    ticks = iter(range(0, 1000, 3))
    with pytest.raises(logs.TooLongError):
        logs.search(stored, logs.LogQuery(level="INFO"), lambda: float(next(ticks)))


async def test_giving_up_is_a_503_that_says_what_to_do(quiet: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The problem names the way to narrow the search."""
    monkeypatch.setattr(logs, "PAGE_ENTRIES", 4)
    monkeypatch.setattr(logs, "READ_SECONDS", -1.0)
    answer = await quiet.client.get("/logs/stats")
    assert answer.status_code == 503

"""/pipeline: dead letters over a real Redis, replayed by the pipeline and discarded by the API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.api.conftest import Api, StartApi
from tests.servers import free_port

from vigie.api import dead_letters
from vigie.api.gateway import Gateway
from vigie.api.roles import Principal, Role
from vigie.settings import RedisSettings
from vigie.telemetry.stream.dead_letters import Failure
from vigie.telemetry.stream.pipeline_status import Counts, beat
from vigie.telemetry.stream.replay_requests import ReplayRequests
from vigie.telemetry.stream.stream import Record, Stream, Verdict

PRODUCER = "5b1a3c1e-0000-4000-8000-000000000001"
LOGS, PERFS = "ml-api-logs-2026.11.20", "ml-api-perfs-2026.11.20"
FAILURE = Failure(PERFS, f"{PRODUCER}-1", 400, "document_parsing_exception", "not a number")


@pytest.fixture
def buried(redis_settings: RedisSettings) -> Stream:
    """A stream with three dead letters, each with one document stored."""
    stream = Stream.open(redis_settings)
    stream.ensure_group()
    stream.write(PRODUCER, [Record(number, b'{"message": "event %d"}' % number) for number in (1, 2, 3)])
    entries = stream.read("worker", 3, 0)
    stream.settle([Verdict(entry, "dead", {LOGS: 1}, "why", (FAILURE,), 3, "then") for entry in entries])
    return stream


@pytest.fixture
async def quiet(buried: Stream, start_api: StartApi) -> Api:
    """An API beside them whose own requests make no events."""
    return await start_api(LOG_EXCLUDE_PATHS="/pipeline/dead,/pipeline/replays", LOG_LEVEL="CRITICAL")


def ids(stream: Stream) -> list[str]:
    """The letters that wait, newest first."""
    return [letter.id for letter in stream.letters.newest(100)]


async def found(api: Api, path: str, status: int = 200) -> Any:
    """Return what a GET answers."""
    answer = await api.client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_pages_lead_through_all_letters_newest_first(quiet: Api, buried: Stream) -> None:
    """Each page names the next; an event is told by its size, and in full when it is asked for alone."""
    newest = ids(buried)
    first = await found(quiet, "/pipeline/dead?limit=2")
    assert ([one["id"] for one in first["letters"]], first["total"], first["next"]) == (
        newest[:2],
        3,
        newest[1],
    )
    second = await found(quiet, f"/pipeline/dead?limit=2&before={first['next']}")
    assert ([one["id"] for one in second["letters"]], second["next"]) == (newest[2:], None)
    (line,) = second["letters"]
    assert "event" not in line
    assert (line["event_bytes"], line["number"], line["attempts"], line["reason"]) == (22, 1, 3, "why")
    assert line["failures"] == [
        {"index": PERFS, "id": f"{PRODUCER}-1", "status": 400}
        | {"type": "document_parsing_exception", "reason": "not a number"}
    ]
    assert line["stored"] == {LOGS: 1}
    whole = await found(quiet, f"/pipeline/dead/{newest[2]}")
    assert whole == {**line, "event": {"message": "event 1"}}


async def test_a_replay_is_left_to_the_pipeline_and_followed_by_its_id(quiet: Api, buried: Stream) -> None:
    """202 at once; without a worker it says so, and afterwards what became of the letters."""
    one = ids(buried)[0]
    answer = await quiet.client.post("/pipeline/replays", json={"letters": [one]})
    assert answer.status_code == 202, answer.text
    replay = answer.json()
    assert (replay["state"], replay["problem"]) == ("waiting", dead_letters.NO_WORKER)
    beat(buried.client, "worker", Counts(), "")
    assert (await found(quiet, f"/pipeline/replays/{replay['id']}"))["problem"] is None
    requests = ReplayRequests(buried.client)
    asked = requests.next()
    assert asked is not None
    assert (asked.id, asked.letters) == (replay["id"], (one,))
    requests.close(asked.begun(1).counted(one, "failed", "not a number"))
    after = await found(quiet, f"/pipeline/replays/{replay['id']}")
    assert after["counts"] == {"indexed": 0, "filtered": 0, "failed": 1, "left": 0, "gone": 0}
    assert after["still_there"] == [{"id": one, "outcome": "failed", "reason": "not a number"}]
    assert (await quiet.client.post("/pipeline/replays", json={"letters": "all"})).status_code == 202
    everything = requests.next()
    assert everything is not None
    assert everything.letters is None


async def test_discarding_takes_the_named_letters_or_all(quiet: Api, buried: Stream) -> None:
    """What was named is thrown away and its event stays dead in the ledger; `all` takes the rest."""
    newest = ids(buried)
    answer = await quiet.client.post("/pipeline/discards", json={"letters": newest[:1]})
    assert (answer.status_code, answer.json()) == (200, {"discarded": 1, "waiting": 2})
    assert ids(buried) == newest[1:]
    assert buried.ledger.totals().dead == 3
    answer = await quiet.client.post("/pipeline/discards", json={"letters": "all"})
    assert answer.json() == {"discarded": 2, "waiting": 0}


async def test_discarding_many_ends_in_time_and_says_what_is_left(
    quiet: Api, buried: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer never takes longer than its limit; asking again goes on."""
    monkeypatch.setattr("vigie.telemetry.stream.dead_letters.PAGE", 2)
    monkeypatch.setattr(dead_letters, "DISCARD_SECONDS", -1.0)
    monkeypatch.setattr(dead_letters, "SOCKET_SECONDS", 60.0)
    answer = await quiet.client.post("/pipeline/discards", json={"letters": "all"})
    assert answer.json() == {"discarded": 2, "waiting": 1}
    assert len(ids(buried)) == 1


@pytest.mark.parametrize(
    "body", [{}, {"letters": []}, {"letters": "some"}, {"letters": ["x"]}, {"letters": "all", "more": 1}, [1]]
)
async def test_a_choice_that_is_none_changes_nothing(quiet: Api, buried: Stream, body: Any) -> None:
    """Neither nothing nor something malformed is ever taken for all."""
    for path in ("/pipeline/discards", "/pipeline/replays"):
        answer = await quiet.client.post(path, json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "letters"
    assert (len(ids(buried)), ReplayRequests(buried.client).next()) == (3, None)


async def test_a_letter_that_is_not_there_is_404_and_nothing_is_done(quiet: Api, buried: Stream) -> None:
    """Unknown ids are named, and the known ones beside them are left alone."""
    for path in ("/pipeline/discards", "/pipeline/replays"):
        answer = await quiet.client.post(path, json={"letters": [*ids(buried), "1-1"]})
        assert (answer.status_code, "1-1" in answer.json()["detail"]) == (404, True)
    assert (len(ids(buried)), ReplayRequests(buried.client).next()) == (3, None)
    await found(quiet, "/pipeline/dead/1-1", 404)
    await found(quiet, f"/pipeline/replays/{PRODUCER}", 404)


async def test_replays_that_wait_are_bounded(quiet: Api, buried: Stream) -> None:
    """A pipeline that does not run cannot be given work without end."""
    requests = ReplayRequests(buried.client)
    for _ in range(20):
        requests.ask(None)
    answer = await quiet.client.post("/pipeline/replays", json={"letters": "all"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_all_of_it_needs_admin(quiet: Api, buried: Stream) -> None:
    """Events hold what users sent, and discarding cannot be undone."""
    limited = Gateway(
        quiet.app._app,
        quiet.service.recorder,
        quiet.app._lifespan,
        identify=lambda headers: Principal("reader", frozenset({Role.READ_LOGS, Role.PREDICT})),
    )
    one = ids(buried)[0]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(limited), base_url="http://api") as client:
        for method, path in (
            ("GET", "/pipeline/dead"),
            ("GET", f"/pipeline/dead/{one}"),
            ("GET", f"/pipeline/replays/{PRODUCER}"),
            ("POST", "/pipeline/replays"),
            ("POST", "/pipeline/discards"),
        ):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.json()["detail"]) == (403, "This needs the role admin")


async def test_without_redis_it_is_503(start_api: StartApi) -> None:
    """Redis away is named with its remedy; LOG_TO_REDIS=false names the variable."""
    port = free_port()
    api = await start_api(REDIS_PORT=port)
    for method, path in (("GET", "/pipeline/dead"), ("POST", "/pipeline/discards")):
        answer = await api.client.request(method, path, json={"letters": "all"})
        assert answer.status_code == 503
        assert f"Redis at 127.0.0.1:{port} does not answer" in answer.json()["detail"]
    off = await start_api(LOG_TO_REDIS="false")
    assert "LOG_TO_REDIS=false" in (await off.client.get("/pipeline/dead")).json()["detail"]

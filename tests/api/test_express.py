"""The express lane: the same answers as the ASGI way, a turn of the loop at a time."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from tests.api.conftest import Api, StartApi
from tests.api.served import Served, answer_from, reading, request, serving

from vigie.api.busy_poll import BusyPoll
from vigie.api.express import MOST_KNOWN_HEADS, ExpressProtocol, Head, KnownHeads
from vigie.telemetry.event import Event

THE_ASGI_WAY = {"x-profile": "0"}
"""A header that the lane leaves to the ASGI way, and that asks for nothing."""
JSON = {"content-type": "application/json"}


@pytest.fixture
async def served(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A served API with the defaults."""
    async with serving(api, monkeypatch) as one:
        yield one


def stable(value: Any) -> Any:
    """Return a JSON value without what differs from request to request."""
    varying = {"transaction_id", "timestamp"}
    if isinstance(value, dict):
        return {name: stable(inner) for name, inner in value.items() if name not in varying}
    return [stable(inner) for inner in value] if isinstance(value, list) else value


async def test_it_answers_as_the_asgi_way_does(served: Served) -> None:
    """Status, body, header names, order of stages and the keys of the event are the same, good or bad."""
    example = served.api.example
    bodies = [json.dumps(example), json.dumps({**example, "AGE": 121}), "{", "[]", ""]
    async with httpx.AsyncClient(base_url=served.url) as client:
        for path in ("/predict", "/predict_proba"):
            for body in bodies:
                both = [
                    await client.post(path, content=body, headers={**JSON, "x-request-id": "r-1", **more})
                    for more in ({}, THE_ASGI_WAY)
                ]
                assert served.taken[-2:] == [True, False]
                lane, asgi = both
                assert (lane.status_code, stable(lane.json())) == (asgi.status_code, stable(asgi.json()))
                assert sorted(lane.headers) == sorted(asgi.headers)
                timings = [
                    [part.partition(";")[0] for part in one.headers["server-timing"].split(", ")]
                    for one in both
                ]
                assert timings[0] == timings[1]
                first, second = served.api.requests()[-2:]
                assert list(first) == list(second)
                assert [one["transaction_id"] for one in (first, second)] == [
                    one.headers["x-transaction-id"] for one in both
                ]
                assert first["correlation_id"] == "r-1"
                varying = {"latency_ms", "stages", "performance_metrics", "transaction_id", "profile_reason"}
                same = first.keys() - varying - {"producer", "number", "weight", "profiled"}
                assert {name: first[name] for name in same} == {name: second[name] for name in same}


async def test_nobody_gets_another_ones_answer(served: Served) -> None:
    """Of many connections at once each gets the answer to its own record, and each has its own event."""
    example, answers = served.api.example, {}
    ages = range(100)

    async def ask(client: httpx.AsyncClient, age: int, way: dict[str, str]) -> tuple[float, str]:
        answer = (await client.post("/predict", json={**example, "AGE": age}, headers=way)).json()
        return answer["probability"], answer["transaction_id"]

    async with httpx.AsyncClient(base_url=served.url) as client:
        alone = {age: (await ask(client, age, THE_ASGI_WAY))[0] for age in ages}
        served.api.events.clear()
        served.api.captured.appends = 0
        together = await asyncio.gather(*(ask(client, age, {}) for age in ages))
        answers = dict(zip(ages, together, strict=True))
    assert all(answers[age][0] == pytest.approx(alone[age], abs=1e-6) for age in ages)
    assert len(set(alone.values())) > 50
    events = {data["transaction_id"]: data for data in served.api.requests()}
    assert {answers[age][1]: age for age in ages} == {
        transaction: data["input_data"]["AGE"] for transaction, data in events.items()
    }
    assert served.taken.count(True) == len(ages)


async def test_what_is_ready_in_one_turn_is_one_batch_and_one_append(served: Served) -> None:
    """As many appends to the journal as there were batches, and not one more."""
    body = json.dumps(served.api.example).encode()
    await asyncio.gather(*(served.raw(request(body)) for _ in range(24)))
    sizes = [data["batch_size"] for data in served.api.requests()]
    assert len(sizes) == 24
    assert served.api.captured.appends == round(sum(1 / size for size in sizes))
    assert all(data["performance_metrics"]["cpu_time_ms"] > 0 for data in served.api.requests())


async def test_the_event_is_there_before_the_answer_leaves(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each request the journal comes first: an answer that somebody has is always in it."""
    order: list[tuple[str, int]] = []
    emit, write = served.api.captured.emit_many, ExpressProtocol._write

    def emitting(events: Sequence[Event]) -> None:
        emit(events)
        order.append(("journal", len(events)))

    def writing(protocol: ExpressProtocol, *answer: Any, **more: Any) -> None:
        order.append(("answer", 1))
        write(protocol, *answer, **more)

    monkeypatch.setattr(served.api.captured, "emit_many", emitting)
    monkeypatch.setattr(ExpressProtocol, "_write", writing)
    body = json.dumps(served.api.example).encode()
    await asyncio.gather(*(served.raw(request(body)) for _ in range(12)))
    journalled = answered = 0
    for what, count in order:
        journalled += count * (what == "journal")
        answered += count * (what == "answer")
        assert answered <= journalled
    assert (journalled, answered) == (12, 12)


async def test_the_loop_is_told_which_client_was_alone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same connection is the same client, another is another one; several at once are none."""
    told: list[object] = []
    monkeypatch.setattr(BusyPoll, "answered", lambda _, client, arrived_ns: told.append(client))
    body = json.dumps(served.api.example).encode()
    async with httpx.AsyncClient(base_url=served.url) as one, httpx.AsyncClient(base_url=served.url) as two:
        for client in (one, one, one, two, two, one):
            await client.post("/predict", content=body, headers=JSON)
        assert [told[1] == client for client in told[1:]] == [True, True, False, False, True]
        assert None not in told
    told.clear()
    await asyncio.gather(*(served.raw(request(body)) for _ in range(24)))
    sizes = [data["batch_size"] for data in served.api.requests()][-24:]
    assert told.count(None) == round(sum(1 / size for size in sizes if size > 1))


async def test_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    """On one connection, whatever way each of them takes."""
    example = served.api.example
    content = b"".join(
        request(
            json.dumps({**example, "AGE": age}).encode(), more=b"x-profile: 0\r\n" if age % 3 == 0 else b""
        )
        for age in range(30, 42)
    )
    bodies = await served.raw(content, 12)
    assert [json.loads(body)["prediction"] in (0, 1) for body in bodies] == [True] * 12
    order = {data["transaction_id"]: data["input_data"]["AGE"] for data in served.api.requests()}
    assert [order[json.loads(body)["transaction_id"]] for body in bodies] == [*range(30, 42)]


async def test_a_body_that_comes_later_takes_the_asgi_way(served: Served) -> None:
    """In two parts or many, the answer comes, and the connection serves the next request."""
    body = json.dumps(served.api.example).encode()
    whole = request(body)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    for cut in (len(whole) - len(body), len(whole) - 5):
        writer.write(whole[:cut])
        await writer.drain()
        while not reading(served):
            await asyncio.sleep(0.01)
        writer.write(whole[cut:])
        _, answer = await answer_from(reader)
        assert json.loads(answer)["prediction"] in (0, 1)
    assert served.taken == []
    writer.write(whole)
    assert json.loads((await answer_from(reader))[1])["prediction"] in (0, 1)
    assert served.taken == [True]
    writer.close()


def unparsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the status of each answer to a request that no parser has seen."""
    seen: list[int] = []
    arrive = ExpressProtocol._arrive

    def noting(protocol: ExpressProtocol, status: int, lines: bytes, body: bytes) -> None:
        seen.append(status)
        arrive(protocol, status, lines, body)

    monkeypatch.setattr(ExpressProtocol, "_arrive", noting)
    return seen


async def test_a_known_head_is_not_parsed_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its second request on, on any connection, the answer is as it was; refusals too."""
    seen = unparsed(monkeypatch)
    example = served.api.example
    good, bad = (json.dumps({**example, "AGE": age}).encode() for age in (60, 99))
    bad = bad.replace(b"99", b"-1")
    answers = [await served.raw(request(body, more=b"x-request-id: r-7\r\n")) for body in (good, good, bad)]
    assert seen == [200, 422]
    first, second, refused = (json.loads(answer) for (answer,) in answers)
    assert stable(first) == stable(second)
    assert [error["field"] for error in refused["errors"]] == ["AGE"]
    assert [data["correlation_id"] for data in served.api.requests()] == ["r-7"] * 3
    assert [data["input_data"]["AGE"] for data in served.api.requests()[:2]] == [60, 60]
    assert served.api.requests()[0].keys() == served.api.requests()[1].keys()


async def test_requests_in_any_pieces_are_answered_in_order(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the bytes of a connection are cut, parsed or not, each request gets its own answer."""
    seen, randomness, example = unparsed(monkeypatch), random.Random(7), served.api.example
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    ages = [randomness.randrange(10, 100) for _ in range(150)]
    kinds = [randomness.choice(["whole", "whole", "whole", "cut", "joined"]) for _ in ages]
    answers: list[dict[str, Any]] = []
    sent, behind = 0, b""
    for age, kind in zip(ages, kinds, strict=True):
        more = b"" if age % 5 else b"x-profile: 0\r\n"
        content = behind + request(json.dumps({**example, "AGE": age}).encode(), more=more)
        sent += 1
        if kind == "joined":
            behind = content
            continue
        behind = b""
        cut = randomness.randrange(1, len(content)) if kind == "cut" else len(content)
        writer.write(content[:cut])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(content[cut:])
        if randomness.random() < 0.7:
            answers += [json.loads((await answer_from(reader))[1]) for _ in range(sent - len(answers))]
    writer.write(behind)
    answers += [json.loads((await answer_from(reader))[1]) for _ in range(sent - len(answers))]
    writer.close()
    of = {data["transaction_id"]: data["input_data"]["AGE"] for data in served.api.requests()}
    assert [of[answer["transaction_id"]] for answer in answers] == ages
    assert len(seen) > 10


async def test_what_follows_a_known_head_waits_for_its_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends on without waiting gets its answers in the order of its requests."""
    seen = unparsed(monkeypatch)
    example = served.api.example
    bodies = [json.dumps({**example, "AGE": age}).encode() for age in (40, 41, 42)]
    await served.raw(request(bodies[0]))
    reader, writer = await connected(served)
    (server_side,) = served.connections
    server_side.data_received(request(bodies[0]))
    server_side.data_received(request(bodies[1]))
    server_side.data_received(request(bodies[2], more=b"x-profile: 0\r\n"))
    answers = [json.loads((await answer_from(reader))[1])["transaction_id"] for _ in range(3)]
    of = {data["transaction_id"]: data["input_data"]["AGE"] for data in served.api.requests()}
    assert [of[answer] for answer in answers] == [40, 41, 42]
    assert seen == [200]
    writer.close()


async def connected(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection, the only one, and wait until the server has it."""
    while served.connections:
        await asyncio.sleep(0.01)
    found = await asyncio.open_connection("127.0.0.1", served.port)
    while not served.connections:
        await asyncio.sleep(0.01)
    return found


async def test_a_stop_lets_the_unparsed_request_be_answered(served: Served) -> None:
    """The server that stops answers what it has taken, says so, and closes the connection."""
    body = json.dumps(served.api.example).encode()
    await served.raw(request(body))
    reader, writer = await connected(served)
    (server_side,) = served.connections
    server_side.data_received(request(body))
    server_side.shutdown()
    head, answer = await answer_from(reader)
    assert json.loads(answer)["prediction"] in (0, 1)
    assert b"connection: close" in head.lower()
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()


async def test_an_idle_connection_is_closed(served: Served) -> None:
    """The time-out counts from the last answer, whether the request was parsed or not."""
    body = json.dumps(served.api.example).encode()
    await served.raw(request(body))
    reader, writer = await connected(served)
    (server_side,) = served.connections
    server_side.timeout_keep_alive = 0.5
    for _ in range(3):
        writer.write(request(body))
        await answer_from(reader)
    server_side.timeout_keep_alive_handler()  # as an old timer does: not idle for long enough
    assert not server_side.transport.is_closing()
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()


async def test_a_client_that_leaves_while_its_unparsed_request_is_answered(served: Served) -> None:
    """Its event is kept, and nothing is written to it."""
    body = json.dumps(served.api.example).encode()
    await served.raw(request(body))
    _, writer = await connected(served)
    (server_side,) = served.connections
    server_side.data_received(request(body))
    server_side.transport.abort()
    (answer,) = await served.raw(request(body))
    assert json.loads(answer)["prediction"] in (0, 1)
    assert len(served.api.requests()) == 3
    writer.close()


def head_of(number: int) -> tuple[bytes, Head]:
    """A whole request with a head of its own, and that head."""
    data = request(b"{}", more=b"x-request-id: %d\r\n" % number)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    return data, Head({"method": "POST", "path": "/predict", "headers": headers})  # type: ignore[typeddict-item] # all it reads


def test_known_heads_are_bounded_and_exact() -> None:
    """The oldest gives way; any other byte in the head, or another length of the body, is not known."""
    heads = KnownHeads()
    for number in range(MOST_KNOWN_HEADS + 1):
        heads.learn(*head_of(number))
    assert heads.find(head_of(0)[0]) is None
    last, head = head_of(MOST_KNOWN_HEADS)
    heads.learn(last, head)
    assert heads.find(last) == (head, b"{}")
    assert heads.find(last.replace(b"host: api", b"host: apj")) is None
    assert heads.find(last + b" ") is None
    assert heads.find(last[:-1]) is None
    assert heads.find(b"") is None
    long = request(b"{}", more=b"x-filling: %b\r\n" % (b"x" * 2000))
    heads.learn(long, head)
    assert heads.find(long) is None


@pytest.mark.parametrize(
    ("more", "status", "header"),
    [
        (b"origin: https://example.org\r\n", b"200", b"access-control-allow-origin"),
        (b"connection: close\r\n", b"200", b"connection: close"),
        (b"content-encoding: gzip\r\n", b"415", b"content-type"),
        (b"x-profile: 1\r\n", b"200", b"server-timing"),
    ],
)
async def test_what_is_unusual_takes_the_asgi_way(
    served: Served, more: bytes, status: bytes, header: bytes
) -> None:
    """CORS, closing connections, encodings and demanded profiles are not the lane's business."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(request(json.dumps(served.api.example).encode(), more=more))
    head, _ = await answer_from(reader)
    assert head.startswith(b"HTTP/1.1 " + status)
    assert header in head.lower()
    assert True not in served.taken
    writer.close()


async def test_only_the_guilty_one_fails(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that the model cannot bear is answered 500 by a problem document; its neighbours are answered."""
    example, runtime = served.api.example, served.api.service.model.runtime
    predict = runtime.predict_proba

    def fail(matrix: Any) -> Any:
        if (matrix[:, 0] == 77).any():
            raise RuntimeError("inside")
        return predict(matrix)

    monkeypatch.setattr(runtime, "predict_proba", fail)
    ages = [60, 77, 61, 62, 77, 63]
    async with httpx.AsyncClient(base_url=served.url) as client:
        answers = await asyncio.gather(
            *(client.post("/predict", json={**example, "AGE": age}) for age in ages)
        )
    assert [answer.status_code for answer in answers] == [200, 500, 200, 200, 500, 200]
    assert answers[1].headers["content-type"] == "application/problem+json"
    assert "inside" not in answers[1].text
    failed = [data for data in served.api.requests() if data.get("status") == "failed"]
    assert sorted(data["transaction_id"] for data in failed) == sorted(
        answers[at].json()["transaction_id"] for at in (1, 4)
    )


async def test_a_client_that_leaves_hurts_nobody(served: Served) -> None:
    """Its event is kept, and the others are answered."""
    body = json.dumps(served.api.example).encode()
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request(body))
        await writer.drain()
        writer.transport.abort()
    (answer,) = await served.raw(request(body))
    assert json.loads(answer)["prediction"] in (0, 1)


async def test_a_dear_model_has_no_lane(start_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where inference needs its own thread, every request takes the ASGI way, with its time limit."""
    monkeypatch.setattr("vigie.model.predictor.CHEAP_ROW_MS", 0.0)
    api = await start_api()
    async with serving(api, monkeypatch) as served:
        (answer,) = await served.raw(request(json.dumps(api.example).encode()))
        assert json.loads(answer)["prediction"] in (0, 1)
        assert served.taken == []


async def test_a_body_over_the_limit_is_refused(start_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """MAX_BODY_BYTES holds, whatever way."""
    api = await start_api(MAX_BODY_BYTES=1024)
    async with serving(api, monkeypatch) as served:
        body = b'{"AGE": 60' + b" " * 1200 + b"}"
        assert json.loads((await served.raw(request(body)))[0])["status"] == 413


async def test_the_answer_to_head_has_no_body_on_the_wire(served: Served) -> None:
    """Else it would be taken for the beginning of the next answer on the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"HEAD /model HTTP/1.1\r\nhost: api\r\n\r\nGET /livez HTTP/1.1\r\nhost: api\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-type: application/json" in head.lower()
    following, _ = await answer_from(reader)
    assert following.startswith(b"HTTP/1.1 200")
    writer.close()

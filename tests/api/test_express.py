"""The express lane: the same answers as the ASGI way, a turn of the loop at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from tests.api.conftest import Api, StartApi
from tests.servers import free_port

from vigie.api.express import ExpressProtocol
from vigie.api.main import configuration, listen
from vigie.telemetry.event import Event

THE_ASGI_WAY = {"x-profile": "0"}
"""A header that the lane leaves to the ASGI way, and that asks for nothing."""
JSON = {"content-type": "application/json"}


@dataclass
class Served:
    """An API behind a real server, and how many requests the lane answered."""

    api: Api
    port: int
    taken: list[bool]
    connections: set[Any]
    """uvicorn's protocols, one per connection."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def raw(self, content: bytes, answers: int = 1) -> list[bytes]:
        """Send bytes on a connection of their own and return the bodies of the answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(content)
        bodies = [(await answer_from(reader))[1] for _ in range(answers)]
        writer.close()
        return bodies


def reading(served: Served) -> bool:
    """Say whether the server waits for the rest of a request."""
    return any(not protocol.cycle.response_complete for protocol in served.connections if protocol.cycle)


async def answer_from(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one answer: its head and its body."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    (length,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head, await asyncio.wait_for(reader.readexactly(int(length.partition(b":")[2])), 30)


def request(body: bytes, path: str = "/predict", more: bytes = b"") -> bytes:
    """Return a POST as it goes over the wire."""
    return (
        b"POST %b HTTP/1.1\r\nhost: api\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b"
        % (path.encode(), len(body), more, body)
    )


Serve = Callable[[Api], contextlib.AbstractAsyncContextManager[Served]]


@contextlib.asynccontextmanager
async def serving(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """Serve `api` on a loopback port of its own."""
    port = free_port()
    settings = api.service.settings.api.model_copy(update={"api_port": port})
    config = configuration(api.app, settings)
    config.lifespan = "off"  # the fixture has started it
    server = uvicorn.Server(config)
    monkeypatch.setattr(server, "capture_signals", contextlib.nullcontext)
    assert api.app.lane is not None
    taken: list[bool] = []
    take = api.app.lane.take

    def noting(*arguments: Any) -> bool:
        taken.append(take(*arguments))
        return taken[-1]

    monkeypatch.setattr(api.app.lane, "take", noting)
    with listen(settings) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield Served(api, port, taken, server.server_state.connections)
        server.should_exit = True
        await task


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
    emit, finish = served.api.captured.emit_many, ExpressProtocol._finish

    def emitting(events: Sequence[Event]) -> None:
        emit(events)
        order.append(("journal", len(events)))

    def finishing(protocol: ExpressProtocol, *answer: Any) -> None:
        order.append(("answer", 1))
        finish(protocol, *answer)

    monkeypatch.setattr(served.api.captured, "emit_many", emitting)
    monkeypatch.setattr(ExpressProtocol, "_finish", finishing)
    body = json.dumps(served.api.example).encode()
    await asyncio.gather(*(served.raw(request(body)) for _ in range(12)))
    journalled = answered = 0
    for what, count in order:
        journalled += count * (what == "journal")
        answered += count * (what == "answer")
        assert answered <= journalled
    assert (journalled, answered) == (12, 12)


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
        assert served.taken == [False]


async def test_a_body_over_the_limit_is_refused(start_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """MAX_BODY_BYTES holds, whatever way."""
    api = await start_api(MAX_BODY_BYTES=1024)
    async with serving(api, monkeypatch) as served:
        body = b'{"AGE": 60' + b" " * 1200 + b"}"
        assert json.loads((await served.raw(request(body)))[0])["status"] == 413

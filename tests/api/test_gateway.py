"""What every response carries, and exactly one event per request whatever happens to it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.types import Message
from tests.api.conftest import Api, StartApi

from vigie.model.batcher import QueueFullError
from vigie.telemetry.event import Event


async def test_every_response_has_id_timing_and_security_headers(api: Api) -> None:
    """Success, problems, unknown paths and documentation alike."""
    for method, path in [
        ("GET", "/"),
        ("POST", "/predict"),
        ("GET", "/nope"),
        ("PATCH", "/logs"),
        ("GET", "/docs"),
    ]:
        answer = await api.client.request(method, path)
        assert uuid.UUID(answer.headers["x-transaction-id"]).version == 7
        assert answer.headers["server-timing"].startswith("total;dur=")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_the_documentation_may_load_its_viewer_and_data_may_load_nothing(api: Api) -> None:
    """The policy of /docs allows the scripts that the page names; that of data allows none."""
    page = await api.client.get("/docs")
    assert "https://cdn.jsdelivr.net" in page.text
    assert (
        "script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net"
        in page.headers["content-security-policy"]
    )
    answer = await api.client.get("/model")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_server_timing_names_the_stages_of_a_prediction(api: Api) -> None:
    """Where the time went is in the response itself."""
    answer = await api.client.post("/predict", json=api.example)
    names = [part.partition(";")[0] for part in answer.headers["server-timing"].split(", ")]
    assert names == ["total", "validate", "queue", "features", "predict", "serialise"]


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nope", 404, "There is nothing at /nope; GET / lists the endpoints"),
        ("GET", "/predict/", 404, "There is nothing at /predict/; GET / lists the endpoints"),
        ("PUT", "/logs", 405, "/logs answers DELETE, GET, not PUT"),
        ("GET", "/predict", 405, "/predict answers POST, not GET"),
    ],
)
async def test_what_is_not_there_is_a_problem_document(
    api: Api, method: str, path: str, status: int, detail: str
) -> None:
    """RFC 9457, with the transaction id of the header and of the event."""
    answer = await api.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document == {
        "type": "about:blank",
        "title": {404: "Not Found", 405: "Method Not Allowed"}[status],
        "status": status,
        "detail": detail,
        "instance": path,
        "transaction_id": answer.headers["x-transaction-id"],
        "errors": [],
    }
    (data,) = api.requests()
    assert (data["transaction_id"], data["status"], data["kind"]) == (
        document["transaction_id"],
        "refused",
        "request",
    )
    assert api.events[0]["level"] == "WARNING"


async def test_405_names_all_methods_once(api: Api) -> None:
    """The Allow header of a path with two methods has both, and HEAD where there is GET."""
    assert (await api.client.put("/logs")).headers.get_list("allow") == ["DELETE, GET, HEAD"]
    answer = await api.client.head("/predict")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/livez", "/model", "/predict/nonsense", "/nope"])
async def test_head_is_get_without_the_body(api: Api, path: str) -> None:
    """Status and kind of content are those of GET (RFC 9110, 9.3.2): health checks and proxies ask so."""
    head, get = await api.client.head(path), await api.client.get(path)
    assert (head.status_code, head.headers["content-type"]) == (get.status_code, get.headers["content-type"])
    assert head.content == b""
    assert [data["method"] for data in api.requests()] == ([] if path == "/livez" else ["HEAD", "GET"])


async def test_a_correlation_id_is_kept(api: Api) -> None:
    """The client's own id is in the event, and does not replace ours."""
    answer = await api.client.post("/predict", json=api.example, headers={"X-Request-ID": "order-17"})
    (data,) = api.requests()
    assert data["correlation_id"] == "order-17"
    assert data["transaction_id"] == answer.headers["x-transaction-id"]


async def test_excluded_paths_make_no_event(start_api: StartApi) -> None:
    """With what lies below them, but not what merely begins like them."""
    api = await start_api(LOG_EXCLUDE_PATHS="/livez,/docs/")
    for path in ("/livez", "/livez/deeper", "/docs", "/livezz", "/"):
        await api.client.get(path)
    assert [data["path"] for data in api.requests()] == ["/livezz", "/"]


async def test_origins_are_allowed_while_security_is_off(api: Api) -> None:
    """Any origin, without credentials; a problem can be read by the page too; preflight is answered."""
    for answer in (
        await api.client.post("/predict", json=api.example, headers={"Origin": "http://page"}),
        await api.client.post("/predict", json=[], headers={"Origin": "http://page"}),
    ):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert "X-Transaction-Id" in answer.headers["access-control-expose-headers"]
    preflight = await api.client.options(
        "/predict", headers={"Origin": "http://page", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 200


async def test_only_the_listed_origins_are_allowed(start_api: StartApi) -> None:
    """CORS_ORIGINS is a list; others get no permission."""
    api = await start_api(CORS_ORIGINS="http://page")
    allowed = {
        origin: (await api.client.get("/", headers={"Origin": origin})).headers.get(
            "access-control-allow-origin"
        )
        for origin in ("http://page", "http://other")
    }
    assert allowed == {"http://page": "http://page", "http://other": None}


async def test_bodies_beyond_the_limit_are_413(start_api: StartApi) -> None:
    """By declared length and by counting; a batch has its own limit; other paths too."""
    api = await start_api(MAX_BODY_BYTES=1024, BATCH_MAX_BODY_BYTES=4096)
    headers = {"content-type": "application/json"}

    async def chunks(size: int) -> Any:
        for _ in range(size // 512):
            yield b" " * 512

    statuses = [
        (await api.client.post(path, content=content, headers=headers)).status_code
        for path, content in [
            ("/predict", b" " * 1025),
            ("/predict", chunks(2048)),
            ("/predict", b" " * 1024),
            ("/predict/batch", chunks(4096)),
            ("/predict/batch", chunks(8192)),
            ("/nope", b" " * 1025),
        ]
    ]
    assert statuses == [413, 413, 422, 422, 413, 413]


async def test_a_failure_is_500_without_a_word_of_its_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a hot endpoint and behind FastAPI; the stack trace is in the log under the transaction id."""

    def fail(*arguments: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.service.records, "one", fail)
    monkeypatch.setattr(api.service.logs, "search", fail)
    logged: list[Event] = []
    monkeypatch.setattr(type(api.service.emitter), "emit", lambda self, event: logged.append(event))
    for answer in (await api.client.post("/predict", json=api.example), await api.client.get("/logs")):
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "secret" not in answer.text
        traces = [
            event["data"]["exception"]
            for event in logged
            if event["data"].get("transaction_id") == answer.headers["x-transaction-id"]
            and "exception" in event["data"]
        ]
        assert len(traces) == 1
        assert "RuntimeError: secret detail" in traces[0]
    assert [(d["status_code"], d["status"]) for d in api.requests()] == [(500, "failed"), (500, "failed")]
    assert [event["level"] for event in api.events] == ["ERROR", "ERROR"]


async def test_what_takes_too_long_is_504(start_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a hot endpoint and behind FastAPI; one event each, with the input."""
    api = await start_api(REQUEST_TIMEOUT=0.1)

    async def forever(*arguments: object, **named: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(api.service.predictor, "submit", forever)
    monkeypatch.setattr(api.service.logs, "search", forever)
    for answer in (await api.client.post("/predict", json=api.example), await api.client.get("/logs")):
        assert (answer.status_code, answer.json()["detail"]) == (504, "No answer within 0.1 seconds")
    prediction, logs = api.requests()
    assert (prediction["kind"], prediction["status"], prediction["input_data"]) == (
        "prediction",
        "failed",
        api.example,
    )
    assert (logs["kind"], logs["status_code"]) == ("request", 504)
    assert "performance_metrics" not in prediction


async def test_a_full_queue_is_503_and_shed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Retry-After, at once."""

    async def full(*arguments: object, **named: object) -> None:
        raise QueueFullError("1024 calls are waiting for the model")

    monkeypatch.setattr(api.service.predictor, "submit", full)
    answer = await api.client.post("/predict", json=api.example)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"] == "Out of capacity: 1024 calls are waiting for the model"
    assert [(d["status"], d["kind"]) for d in api.requests()] == [("shed", "prediction")]


Asgi = Callable[[], Awaitable[Message]]


async def call(api: Api, receive: Asgi, send: Any, path: str = "/predict") -> None:
    """Call the application as a server does."""
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
    await api.app(scope, receive, send)


async def test_a_client_that_leaves_makes_one_event(api: Api) -> None:
    """A disconnection before the request is complete is status 499, refused, and nothing is sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await call(api, receive, send)
    assert sent == []
    assert [(d["status_code"], d["status"], d["kind"]) for d in api.requests()] == [
        (499, "refused", "prediction")
    ]


async def test_a_cancelled_request_makes_one_event(api: Api) -> None:
    """A server that stops cancels what is in hand: shed, status 503, and the cancellation goes on."""

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    task = asyncio.create_task(call(api, receive, send))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(d["status_code"], d["status"]) for d in api.requests()] == [(503, "shed")]


async def test_the_event_is_there_before_the_body_leaves(api: Api) -> None:
    """When the server gets the last byte of an answer, its event is in the journal."""
    journalled: list[int] = []

    async def receive() -> Message:
        import orjson

        return {"type": "http.request", "body": orjson.dumps(api.example)}

    async def send(message: Message) -> None:
        journalled.append(api.service.emitter.status().high)

    before = api.service.emitter.status().high
    await call(api, receive, send)
    assert journalled == [before + 1, before + 1]


async def test_an_answer_that_cannot_be_sent_makes_one_event(api: Api) -> None:
    """A server that refuses the message does not make a second event, nor an exception above us."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Message) -> None:
        raise OSError("broken pipe")

    await call(api, receive, send)
    assert [d["status_code"] for d in api.requests() if d["kind"] != "log"] == [422]


async def test_only_http_is_spoken(api: Api) -> None:
    """A web socket is refused, not half-served."""
    with pytest.raises(RuntimeError, match="websocket"):
        await api.app({"type": "websocket"}, None, None)  # type: ignore[arg-type]


async def test_httpx_of_the_tests_reaches_the_same_application(api: Api) -> None:
    """Two concurrent requests have two ids."""
    answers: list[httpx.Response] = await asyncio.gather(api.client.get("/"), api.client.get("/"))
    assert len({answer.headers["x-transaction-id"] for answer in answers}) == 2

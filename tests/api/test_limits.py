"""What is read of a body, and what a body may be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from starlette.types import Message, Receive

from vigie.api.limits import ClientGoneError, check_json, check_length, counted, read_body
from vigie.api.problems import Problem


def receiving(*messages: Message) -> Receive:
    """Return a `receive` that gives these messages."""
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    return receive


def body(*chunks: bytes) -> Sequence[Message]:
    """Return the messages of a body in chunks."""
    return [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]


async def whole(*messages: Message) -> bytes:
    """Read a body of at most 4 bytes that comes in these messages."""
    receive = receiving(*messages)
    return await read_body(receive, 4, await receive())


async def test_a_body_in_chunks_is_whole() -> None:
    """Chunks are joined in their order."""
    assert await whole(*body(b"ab", b"", b"cd")) == b"abcd"


async def test_a_stream_is_counted() -> None:
    """A body that declares no length is cut off once it passes the limit."""
    with pytest.raises(Problem) as caught:
        await whole(*body(b"abc", b"de", b"f"))
    assert (caught.value.status, caught.value.headers) == (413, {"connection": "close"})


async def test_a_client_that_leaves_is_told_apart() -> None:
    """A disconnection before the end of the body is no empty body."""
    with pytest.raises(ClientGoneError):
        await whole(body(b"a", b"b")[0], {"type": "http.disconnect"})


async def test_what_others_read_is_counted_too() -> None:
    """The framework's own reading meets the same limit."""
    receive = counted(receiving(*body(b"abc", b"de")), 4)
    assert (await receive())["body"] == b"abc"
    with pytest.raises(Problem) as caught:
        await receive()
    assert caught.value.status == 413


@pytest.mark.parametrize(("declared", "refused"), [(b"4", False), (b"5", True), (b"x", False)])
def test_a_declared_length_is_refused_before_reading(declared: bytes, refused: bool) -> None:
    """Content-Length alone is enough to refuse."""
    if refused:
        with pytest.raises(Problem) as caught:
            check_length({b"content-length": declared}, 4)
        assert caught.value.status == 413
    else:
        check_length({b"content-length": declared}, 4)


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"application/json; charset=utf-8",
        b'Application/JSON;charset="UTF-8"',
        b"application/vnd.api+json",
        b"application/json; profile=x",
    ],
)
def test_json_in_utf8_is_taken(content_type: bytes) -> None:
    """By whichever way its content type says so."""
    check_json({b"content-type": content_type})


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "Send the body as content-type application/json, and none is given"),
        ({b"content-type": b"text/plain"}, "Send the body as content-type application/json, not text/plain"),
        ({b"content-type": b"application/json; charset=latin-1"}, "Send the body in UTF-8"),
        (
            {b"content-type": b"application/json", b"content-encoding": b"gzip"},
            "Send the body without content-encoding",
        ),
    ],
)
def test_anything_else_is_415(headers: dict[bytes, bytes], detail: str) -> None:
    """The problem says what to send."""
    with pytest.raises(Problem) as caught:
        check_json(headers)
    assert (caught.value.status, caught.value.detail) == (415, detail)

"""Limits of what is read from a client: the size of a body and its content type."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Message, Receive

from vigie.api.problems import Problem


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


def check_length(headers: Mapping[bytes, bytes], limit: int) -> None:
    """Raise Problem (413) when the request declares a body of more than `limit` bytes."""
    declared = headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise too_large(limit)


def too_large(limit: int) -> Problem:
    """Return the 413 problem; the connection closes, since the rest of the body is not wanted."""
    return Problem(413, f"The body is larger than {limit} bytes", headers={"connection": "close"})


def counted(receive: Receive, limit: int) -> Receive:
    """Return a `receive` that raises Problem (413) once a body, chunked or not, passes `limit`."""
    taken = 0

    async def receive_counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise too_large(limit)
        return message

    return receive_counted


async def read_body(receive: Receive, limit: int, first: Message) -> bytes:
    """Return the whole body, whose `first` message was received.

    Raises Problem (413) when it passes `limit` bytes, ClientGoneError when the client leaves before its end.
    """
    chunks: list[bytes] = []
    taken = 0
    message = first
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk: bytes = message.get("body", b"")
        taken += len(chunk)
        if taken > limit:
            raise too_large(limit)
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)
        message = await receive()


def check_json(headers: Mapping[bytes, bytes]) -> None:
    """Raise Problem (415) unless the body is, by its headers, JSON in UTF-8 and not compressed."""
    content_type = headers.get(b"content-type", b"")
    if content_type == b"application/json" and b"content-encoding" not in headers:
        return
    media_type, _, parameters = content_type.decode("latin-1").lower().partition(";")
    media_type = media_type.strip()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        given = f"not {media_type}" if media_type else "and none is given"
        raise Problem(415, f"Send the body as content-type application/json, {given}")
    if not _utf8(parameters):
        raise Problem(415, "Send the body in UTF-8")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(415, "Send the body without content-encoding")


def _utf8(parameters: str) -> bool:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "charset":
            return value.strip('"') in {"utf-8", "utf8", "us-ascii"}
    return True

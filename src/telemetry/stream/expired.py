"""The ledger's record of indices dropped by retention: how many documents, of which producers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis

from vigie.telemetry.stream import keys
from vigie.telemetry.stream.scripts import script


@dataclass(frozen=True, slots=True)
class Expired:
    """A producer's documents in one index that was dropped, or is about to be."""

    index: str
    """Physical index."""
    uuid: str
    """The store's own id of it: an index made again under the same name has another."""
    producer: str
    documents: int
    first: int
    """Lowest event number among them."""
    last: int
    """Highest."""
    events: int = 0
    """Events whose one primary document was there, and that were neither dead nor erased."""
    numbers: int = 0
    """Sum of their numbers."""


class ExpiredRecord:
    """Reads and writes the record; every method raises redis.RedisError when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._expire = script(client, "expire")

    def add(self, index: str, uuid: str, held: Iterable[Expired]) -> None:
        """Record in one step what an index holds; doing it again changes nothing."""
        arguments: list[str | int] = [index, uuid]
        for one in held:
            arguments += (one.producer, one.documents, one.first, one.last, one.events, one.numbers)
        self._expire(keys=[keys.EXPIRED, keys.expired_key(index)], args=arguments)

    def read(self) -> list[Expired]:
        """Return everything recorded, by index; what is recorded and not dropped yet is among it."""
        members: Any = self._client.smembers(keys.EXPIRED)
        names = sorted(member.decode() for member in members)
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(keys.expired_key(name))
            answers = pipe.execute()
        return [
            _parsed(name, field.decode(), value)
            for name, answer in zip(names, answers, strict=True)
            for field, value in sorted(answer.items())
        ]


def _parsed(index: str, field: str, value: bytes) -> Expired:
    uuid, _, producer = field.partition(" ")
    documents, first, last, events, numbers = (int(number) for number in value.split())
    return Expired(index, uuid, producer, documents, first, last, events, numbers)

"""What a running worker says of itself, in Redis, for health and statistics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import redis

from vigie.telemetry.stream.keys import PREFIX

PIPELINES: Final = f"{PREFIX}pipeline:"
LIFETIME_SECONDS: Final = 30
"""A worker that has been silent for this long is gone."""


@dataclass(slots=True)
class Counts:
    """What one worker has done since it started, in events unless said otherwise."""

    read: int = 0
    indexed: int = 0
    filtered: int = 0
    dead: int = 0
    retried: int = 0
    """Documents sent again."""
    taken_over: int = 0
    vanished: int = 0
    """Pending entries whose content was gone."""
    documents: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """A worker's last heartbeat."""

    consumer: str
    counts: Counts
    problem: str
    """Why it does not get on, with the remedy; empty when it does."""


_BEAT: Final = Path(__file__).with_name("beat.lua").read_text(encoding="utf-8")


def beat(client: redis.Redis, consumer: str, counts: Counts, problem: str) -> None:
    """Say that `consumer` lives, and what it has done; a Redis without memory takes it too."""
    said = [str(part) for pair in {**asdict(counts), "problem": problem}.items() for part in pair]
    client.eval(_BEAT, 1, f"{PIPELINES}{consumer}", str(LIFETIME_SECONDS), *said)


def silence(client: redis.Redis, consumer: str) -> None:
    """Take the heartbeat away, on a clean stop."""
    client.delete(f"{PIPELINES}{consumer}")


def statuses(client: redis.Redis) -> list[Status]:
    """Return the heartbeats of the workers that live."""
    found = []
    for key in sorted(client.scan_iter(f"{PIPELINES}*")):
        stored: Any = client.hgetall(key)
        fields = {name.decode(): value.decode() for name, value in stored.items()}
        if fields:
            problem = fields.pop("problem", "")
            counts = Counts(**{name: int(fields.get(name, 0)) for name in Counts.__slots__})
            found.append(Status(key.decode().removeprefix(PIPELINES), counts, problem))
    return found

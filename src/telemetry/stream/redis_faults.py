"""What is wrong with Redis, in words for an operator, with the remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import redis


@dataclass(frozen=True, slots=True)
class RedisFault:
    """Why Redis does not do what it is asked."""

    what: str
    """Goes after the word Redis."""
    remedy: str

    def told(self, subject: str = "Redis") -> str:
        """Return both as one line about `subject`."""
        return f"{subject} {self.what}: {self.remedy}"


_KNOWN: Final = tuple(
    (re.compile(pattern), RedisFault(what, remedy))
    for pattern, what, remedy in (
        ("maxmemory", "has no memory left (maxmemory)", "raise its maxmemory, or remove what else it holds"),
        (
            "MISCONF",
            "cannot write to its disk",
            "free space where it keeps its files; its own log says more",
        ),
        (
            "NOAUTH|WRONGPASS|Authentication|unauthenticated|invalid (username|password)",
            "refuses the credentials",
            "set REDIS_PASSWORD, and REDIS_USERNAME if it has users",
        ),
        (
            "NOPERM|NoPermission|no permissions",
            "does not permit it",
            "give the user of REDIS_USERNAME all commands on the keys api_*",
        ),
        ("READONLY|ReadOnly|read only replica", "is a replica", "point REDIS_HOST at the primary"),
        ("BusyLoading|LOADING", "is loading its data", "wait, it comes back by itself"),
        ("WRONGTYPE", "holds something else under our names", "give the platform a REDIS_DB of its own"),
    )
)


def redis_fault(error: redis.RedisError | str) -> RedisFault:
    """Return what `error` (or the text "Type: message" of one) says is wrong, and what to do."""
    detail = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    for pattern, fault in _KNOWN:
        if pattern.search(detail):
            return fault
    return RedisFault(f"does not answer ({detail})", "start it, or check REDIS_HOST and REDIS_PORT")

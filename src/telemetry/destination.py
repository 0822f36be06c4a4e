"""Where the flusher ships events to: the stream in Redis, or standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Protocol

import orjson

from vigie.telemetry.journal.framing import Run
from vigie.telemetry.stream.items import Gap, Written
from vigie.telemetry.stream.stream import Stream


class Destination(Protocol):
    """Takes the events of producers in order; what was taken before may be sent again without harm."""

    def register(self, producer: str, attributes: Mapping[str, str]) -> None:
        """Make a producer known."""

    def write(self, producer: str, items: Sequence[Run | Gap], known: int = 0) -> Written:
        """Take a producer's next items, unless what it had up to number `known` is lost (`Stream.write`)."""

    def high(self, producer: str) -> int | None:
        """Return the highest number it has of a producer; None when it keeps no account."""

    def close_producer(self, producer: str, last: int) -> None:
        """Take note that nothing comes after number `last`."""


class RedisDestination(Stream):
    """The stream `api_logs`."""

    def high(self, producer: str) -> int | None:
        """Return the highest number that Redis has of a producer."""
        return self.write(producer, []).high


class StandardOutput:
    """One JSON line per event on `output` (default: standard output); a gap is a line of its own."""

    def __init__(self, output: BinaryIO | None = None) -> None:
        self._output = sys.stdout.buffer if output is None else output

    def register(self, producer: str, attributes: Mapping[str, str]) -> None:
        """Nothing: each line names its producer."""

    def write(self, producer: str, items: Sequence[Run | Gap], known: int = 0) -> Written:  # noqa: ARG002
        """Write the items as lines and flush. Raises OSError when nobody reads any more."""
        lines: list[bytes] = []
        for item in items:
            if isinstance(item, Gap):
                lines.append(_gap_line(producer, item))
            else:
                lines += [record.event for record in item.records()]
        self._output.write(b"".join(line + b"\n" for line in lines))
        self._output.flush()
        return Written(items[-1].last, len(lines), full=False)

    def high(self, producer: str) -> int | None:  # noqa: ARG002 - the protocol's name
        """Return None: what was written is not remembered."""
        return None

    def close_producer(self, producer: str, last: int) -> None:
        """Nothing."""


def _gap_line(producer: str, gap: Gap) -> bytes:
    return orjson.dumps(
        {"dropped": {"producer": producer, "first": gap.first, "last": gap.last, "reason": gap.reason}}
    )

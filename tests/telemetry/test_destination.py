"""Standard output takes events as JSON lines; the stream in Redis tells what it has."""

from __future__ import annotations

import io
import sys

import orjson
import pytest

from vigie.settings import RedisSettings
from vigie.telemetry.destination import RedisDestination, StandardOutput
from vigie.telemetry.journal.framing import Record, Run
from vigie.telemetry.stream.items import Gap, Written
from vigie.telemetry.stream.stream import connect


def test_events_are_lines_and_gaps_say_so() -> None:
    """Each event is its own JSON text on a line; what was dropped is a line that names the numbers."""
    output = io.BytesIO()
    destination = StandardOutput(output)
    destination.register("p", {"role": "api"})
    written = destination.write("p", [Run.of([Record(1, b'{"a":1}')]), Gap(2, 4, "journal full")])
    destination.close_producer("p", 4)
    assert written == Written(high=4, written=2, full=False)
    assert destination.high("p") is None
    first, second = output.getvalue().splitlines()
    assert first == b'{"a":1}'
    gap = {"producer": "p", "first": 2, "last": 4, "reason": "journal full"}
    assert orjson.loads(second) == {"dropped": gap}
    assert destination.write("p", [Run.of([Record(5, b"{}"), Record(6, b"{}")])]).high == 6


def test_standard_output_is_the_default(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Without another place the lines go to the process's standard output."""
    StandardOutput(sys.__stdout__.buffer if sys.__stdout__ else None).write(
        "p", [Run.of([Record(1, b'{"a":1}')])]
    )
    assert capfdbinary.readouterr().out == b'{"a":1}\n'


def test_redis_tells_its_highest_number(redis_settings: RedisSettings) -> None:
    """What Redis has of a producer is asked of Redis itself; of an unknown one it has nothing."""
    destination = RedisDestination(connect(redis_settings))
    assert destination.high("p") == 0
    destination.write("p", [Record(1, b"{}"), Record(2, b"{}")])
    assert destination.high("p") == 2

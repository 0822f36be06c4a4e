"""The live line: what it says with Redis there and away, on a terminal and in a file."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from tests.servers import RedisServer, free_port

from vigie.demo.live import LiveLine
from vigie.settings import RedisSettings, Settings
from vigie.simulation.tally import Tally
from vigie.telemetry.stream.stream import Record, Stream
from vigie.terminal import ERASE_LINE


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


def test_predictions_indexed_and_backlog(
    redis_settings: RedisSettings, redis_server: RedisServer, settings_for: Callable[..., Settings]
) -> None:
    """The line shows what was answered, and what of it is indexed or on its way."""
    Stream.open(redis_settings).write("p", [Record(1, b"{}"), Record(2, b"{}")])
    settings = settings_for(REDIS_HOST="127.0.0.1", REDIS_PORT=redis_server.port)
    line = LiveLine(settings, Tally(predictions=1234, refused=5, failed=1), io.StringIO())
    assert line.text() == "predictions 1,234  refused 5  failed 1  |  indexed 0 events  backlog 2"


def test_without_redis_it_says_where_events_are(settings_for: Callable[..., Settings]) -> None:
    """Redis away is no failure: events wait in the journals."""
    line = LiveLine(settings_for(REDIS_PORT=free_port()), None, io.StringIO())
    assert line.text() == "Redis is away, events wait in the journals"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (Terminal(), f"{ERASE_LINE}predictions 0  refused 0  failed 0\n"),
        (io.StringIO(), "predictions 0  refused 0  failed 0\n"),
    ],
)
def test_it_is_rewritten_in_place_on_a_terminal_only(
    output: io.StringIO, expected: str, settings_for: Callable[..., Settings]
) -> None:
    """A file gets whole lines at a slower pace, a terminal one line that changes."""
    line = LiveLine(settings_for(LOG_TO_REDIS="false"), Tally(), output, clock=lambda: 100.0)
    line.show()
    line.show()
    line.end()
    assert output.getvalue() == expected

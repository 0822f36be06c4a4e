"""Serves the API without its events: `python benchmarks/no_events.py`, with the settings of `vigie api`.

What is off, and nothing else: no event is made of a request, so none is serialised, numbered, journalled or
shipped; with ENABLE_PERFORMANCE_MONITORING=false, as the benchmarks start it, nothing is profiled either.
Ids, timings, Server-Timing and validation are as always, and the process still reports on itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from vigie.api import service
from vigie.api.events import Recorder
from vigie.api.exchange import Exchange
from vigie.api.main import serve
from vigie.settings import load_settings, make_home


class NoEvents(Recorder):
    """Takes note of nothing."""

    def record(self, exchange: Exchange, status_code: int) -> None:
        """Make no event of this exchange."""

    def record_all(self, answered: Iterable[tuple[Exchange, int]], began: int | None = None) -> None:
        """Make no event of these exchanges."""


def main() -> None:
    """Serve until SIGTERM."""
    service.Recorder = NoEvents  # type: ignore[attr-defined]  # the one place where the API makes its recorder
    settings = load_settings()
    make_home(settings)
    serve(settings)


if __name__ == "__main__":
    main()

"""The reports: soon after the start, every period, once more at the stop, and never in anybody's way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger
from tests.servers import wait_for

from vigie.telemetry.emitter import EmitterStatus
from vigie.telemetry.event import Event, EventData
from vigie.telemetry.metrics.figures import Figures
from vigie.telemetry.service_report import ServiceReports


class Recording:
    """An emitter that keeps what it is given."""

    def __init__(self) -> None:
        self.emitted: list[Event] = []
        self.events = 0
        self.emitting = self.shipping = self.upkeep = 0.0

    def emit(self, event: Event) -> None:
        """Keep it."""
        self.emitted.append(event)

    def status(self) -> EmitterStatus:
        """Return a status with seven events in the journal and three dropped."""
        threads = self.shipping, self.upkeep
        return EmitterStatus(
            "p", 10, 0, 7, 700, 3, 0, True, None, False, self.events, self.emitting, *threads
        )


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged as a warning."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="WARNING")
    yield lines
    logger.remove(sink)


def test_reports_come_at_start_every_period_and_at_the_stop() -> None:
    """Soon after the start, then by the period; a clean stop leaves a last one."""
    emitter = Recording()
    reports = ServiceReports(emitter, "ui", first_seconds=0.01, period_seconds=0.05)
    reports.start()
    wait_for(lambda: len(emitter.emitted) >= 3)
    reports.stop()
    assert not reports.is_alive()
    uptimes = [event["data"]["uptime_seconds"] for event in emitter.emitted]
    assert uptimes == sorted(uptimes)
    assert len(emitter.emitted) >= 4


def test_a_service_that_stops_at_once_still_reports() -> None:
    """The last report does not wait for the first one's time."""
    emitter = Recording()
    reports = ServiceReports(emitter, "api")
    reports.start()
    reports.stop()
    (event,) = emitter.emitted
    assert (event["level"], event["data"]["kind"], event["data"]["service"]) == ("INFO", "service", "api")
    assert event["data"]["backlog"] == 7
    assert event["data"]["dropped"] == 3
    assert event["message"] == "api: backlog 7, dropped 3, up 0 s"


def test_the_observers_cost_is_that_of_the_events_since_the_last_report() -> None:
    """A mean over the process's whole life would hide what changed."""
    emitter, figures = Recording(), Figures()
    reports = ServiceReports(emitter, "api", figures=figures)
    reports.report()
    emitter.events, emitter.emitting, emitter.shipping = 1000, 0.002, 0.003
    reports.report()
    emitter.events, emitter.upkeep = 1500, 100.0
    figures.recorded(1_000_000)
    figures.profiling(0.004)
    reports.report()
    costs = [event["data"].get("observer_us_per_request") for event in emitter.emitted]
    assert costs == [None, pytest.approx(5.0), pytest.approx(10.0)]
    shares = [event["data"]["observer_share"] for event in emitter.emitted]
    assert shares[0] == 0 < shares[1] < shares[2]


def test_a_services_own_figures_take_the_place_of_the_journals() -> None:
    """The pipeline's backlog is the stream's; where it cannot be had, none is told."""
    emitter = Recording()
    figures: list[EventData] = [{"backlog": 12_345, "lag_ms": 5.0, "read": 9}, {"read": 10}]
    reports = ServiceReports(emitter, "pipeline", lambda: figures.pop(0))
    reports.report()
    reports.report()
    first, second = emitter.emitted
    assert (first["data"]["backlog"], first["data"]["lag_ms"], first["data"]["read"]) == (12_345, 5.0, 9)
    assert first["message"] == "pipeline: backlog 12,345, dropped 3, up 0 s"
    assert "backlog" not in second["data"]
    assert "observer_us_per_request" not in second["data"]
    assert second["message"] == "pipeline: dropped 3, up 0 s"


def test_a_figure_that_cannot_be_had_ends_nothing(warnings: list[str]) -> None:
    """A fault in measuring costs one report, and is told."""

    def fail() -> EventData:
        raise RuntimeError("no figure")

    emitter = Recording()
    ServiceReports(emitter, "pipeline", fail).report()
    assert emitter.emitted == []
    assert any("no figure" in line for line in warnings)

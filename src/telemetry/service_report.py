"""The `service` events: every process says now and then how it is, through its own journal.

Without requests there are no other events, so these are what tells a quiet service from a dead one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from loguru import logger

from vigie.telemetry.emitter import EmitterStatus, Role
from vigie.telemetry.event import SERVICE, Event, EventData
from vigie.telemetry.flusher import TELEMETRY_THREAD
from vigie.telemetry.ids import new_instant
from vigie.telemetry.metrics.figures import Figures
from vigie.telemetry.metrics.process import observer_time
from vigie.telemetry.observer import CostMeter

PERIOD_SECONDS: Final = 30.0
FIRST_SECONDS: Final = 2.0
"""When the first report is due: once the process has settled."""

Measure = Callable[[], EventData]
"""Returns the figures that a service knows beside its journal's."""


class Reporter(Protocol):
    """What takes the events and says how it is: the emitter."""

    def emit(self, event: Event) -> None: ...
    def status(self) -> EmitterStatus: ...


class ServiceReports(threading.Thread):
    """Emits a report soon after the start, one every period, and a last one at the stop."""

    def __init__(
        self,
        emitter: Reporter,
        service: Role,
        measure: Measure | None = None,
        *,
        figures: Figures | None = None,
        first_seconds: float = FIRST_SECONDS,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        """Report on `service`.

        What `measure` returns takes the place of the journal's figures; `figures` are those of the requests,
        where the process answers any.
        """
        super().__init__(name=f"{TELEMETRY_THREAD}-reports", daemon=True)
        self._emitter = emitter
        self._service = service
        self._measure = measure
        self._figures = figures
        self._cost = CostMeter()
        self._first_seconds = first_seconds
        self._period_seconds = period_seconds
        self._stopping = threading.Event()
        self._began = time.monotonic()

    def run(self) -> None:
        """Report until stopped."""
        wait = self._first_seconds
        while not self._stopping.wait(wait):
            self.report()
            wait = self._period_seconds
        self.report()

    def stop(self) -> None:
        """Emit the last report and end; the emitter must still take events."""
        self._stopping.set()
        self.join()

    def report(self) -> None:
        """Emit one report now."""
        try:
            self._emitter.emit(self._event())
        except Exception as error:  # noqa: BLE001 - a figure that cannot be had must not end the reports
            logger.warning("no report on {}: {!r}", self._service, error)

    def _event(self) -> Event:
        data = self._data()
        figures = [f"backlog {data['backlog']:,}"] if "backlog" in data else []
        figures += [f"dropped {data['dropped']:,}", f"up {data['uptime_seconds']:.0f} s"]
        return Event(
            timestamp=new_instant().timestamp,
            level="INFO",
            message=f"{self._service}: {', '.join(figures)}",
            data=data,
        )

    def _data(self) -> EventData:
        status = self._emitter.status()
        data: EventData = {
            "kind": SERVICE,
            "service": self._service,
            "dropped": status.dropped,
            "uptime_seconds": time.monotonic() - self._began,
        }
        if self._measure is not None:
            return {**data, **self._measure()}
        data["backlog"] = status.backlog
        cost = self._cost.since_last(status.events, observer_time(status, self._figures))
        data["observer_share"] = cost.share
        if cost.us_per_event is not None:
            data["observer_us_per_request"] = cost.us_per_event
        return data

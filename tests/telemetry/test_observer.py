"""What observing costs: which part counts for what, and over which time."""

from __future__ import annotations

import threading
import time

import pytest

from vigie.telemetry.observer import CostMeter, ObserverTime, ThreadMeter


class Clock:
    """A clock that the test holds."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time it was set to."""
        return self.now


def test_upkeep_is_no_requests_cost_but_takes_cpu() -> None:
    """Polling threads cost no request anything; of the core they take their share like the rest."""
    clock = Clock()
    meter = CostMeter(clock)
    clock.now += 10
    cost = meter.since_last(1000, ObserverTime(recording=0.01, profiling=0.02, shipping=0.005, upkeep=0.465))
    assert cost.us_per_event == pytest.approx(35.0)
    assert cost.share == pytest.approx(0.05)


def test_each_report_is_of_the_time_since_the_last() -> None:
    """A mean over the process's whole life would hide what changed."""
    clock = Clock()
    meter = CostMeter(clock)
    clock.now += 1
    meter.since_last(100, ObserverTime(recording=0.5))
    clock.now += 2
    cost = meter.since_last(300, ObserverTime(recording=0.501, shipping=0.001))
    assert cost.us_per_event == pytest.approx(10.0)
    assert cost.share == pytest.approx(0.001)


def test_without_events_there_is_no_cost_per_event() -> None:
    """An idle process has a share, and nothing to divide by."""
    clock = Clock()
    meter = CostMeter(clock)
    clock.now += 100
    cost = meter.since_last(0, ObserverTime(upkeep=0.5))
    assert (cost.us_per_event, cost.share) == (None, pytest.approx(0.005))


def test_a_thread_tells_its_own_cpu_time() -> None:
    """Work and upkeep of a thread add up to its CPU time; neither waiting nor another thread's work counts."""
    meter, ended = ThreadMeter(), []

    def turns() -> None:
        for number in range(6):
            sum(range(20_000))
            time.sleep(0.001)
            meter.turned(worked=number % 2 == 0)
        ended.append(time.thread_time_ns())

    thread = threading.Thread(target=turns)
    thread.start()
    sum(range(1_000_000))
    thread.join()
    assert min(meter.working_ns, meter.upkeep_ns) > 0
    assert meter.working_ns + meter.upkeep_ns <= ended[0]

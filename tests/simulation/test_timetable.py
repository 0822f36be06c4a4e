"""When requests are due: at the rate asked for, in bursts where asked, the same for a seed."""

from __future__ import annotations

import itertools

import pytest

from vigie.simulation.rows import SimulationError
from vigie.simulation.timetable import Burst, arrivals, mean_rate, read_burst


def until(seconds: float, rate: float, burst: Burst | None = None, seed: int = 1) -> list[float]:
    """Return the times due before that second."""
    return list(itertools.takewhile(lambda due: due < seconds, arrivals(rate, seed, burst)))


def test_the_rate_is_kept_and_the_times_are_the_seeds() -> None:
    """About rate × seconds requests, at times that grow, the same again for the same seed."""
    times = until(1000, 20)
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert times == sorted(times)
    assert times == until(1000, 20)
    assert times != until(1000, 20, seed=2)


def test_a_burst_multiplies_the_rate_for_its_time() -> None:
    """Ten times as many in the last 5 s of every 60 s, as many as ever in between."""
    burst = read_burst("10x5s/60s")
    times = until(6000, 2, burst)
    in_burst = [due for due in times if due % 60 >= 55]
    assert len(in_burst) == pytest.approx(100 * 5 * 20, rel=0.05)
    assert len(times) - len(in_burst) == pytest.approx(100 * 55 * 2, rel=0.05)
    assert mean_rate(2, burst) == pytest.approx(3.5)
    assert mean_rate(2) == 2


def test_a_pause_is_a_burst_of_nothing() -> None:
    """With a factor of 0 nothing is due in its time."""
    times = until(100, 50, read_burst("0x2.5s/10s"))
    assert times
    assert not [due for due in times if due % 10 > 7.5]


@pytest.mark.parametrize("text", ["10", "10x5s", "10x5/60", "x5s/60s", "10x60s/60s", "10x0s/60s"])
def test_a_burst_that_cannot_be_read_is_refused(text: str) -> None:
    """The message names the option and its form."""
    with pytest.raises(SimulationError, match=f"--burst {text}"):
        read_burst(text)

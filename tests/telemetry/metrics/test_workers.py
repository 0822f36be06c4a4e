"""Workers that share their figures: one sum, which never falls while the API lives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from vigie.telemetry.metrics import catalogue
from vigie.telemetry.metrics.samples import Samples
from vigie.telemetry.metrics.workers import WorkerFiles

EVENTS, BACKLOG, STARTED = catalogue.EVENTS.name, catalogue.BACKLOG.name, catalogue.STARTED.name


def figures(events: float, backlog: float, started: float = 100.0) -> Samples:
    """A counter, a gauge that is summed, and one of which the least counts."""
    return {(EVENTS, ()): [events], (BACKLOG, ()): [backlog], (STARTED, ()): [started]}


def tell(samples: Samples) -> tuple[float, float, float]:
    """The three of them."""
    return samples[EVENTS, ()][0], samples[BACKLOG, ()][0], samples[STARTED, ()][0]


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[WorkerFiles]]:
    """Two workers of one API."""
    both = [WorkerFiles(tmp_path, 8000) for _ in range(2)]
    yield both
    for worker in both:
        worker.leave()


def test_everybody_is_in_the_sum(workers: list[WorkerFiles]) -> None:
    """Counters and sizes add up, the oldest start is the start."""
    workers[0].publish(figures(10, 3, started=50))
    assert tell(workers[1].exchange(figures(5, 4, started=60))) == (15, 7, 50)
    assert tell(workers[0].exchange(figures(11, 0, started=50))) == (16, 4, 50)


def test_a_worker_that_died_keeps_its_counts_in_the_sum(workers: list[WorkerFiles]) -> None:
    """What it counted happened; what it held is no more."""
    workers[0].publish(figures(10, 3, started=50))
    workers[0].leave()
    assert tell(workers[1].exchange(figures(5, 4, started=60))) == (15, 4, 60)


def test_its_successor_goes_on_counting(tmp_path: Path, workers: list[WorkerFiles]) -> None:
    """A worker that replaces a dead one takes its place: the sum goes on, and no file is added."""
    workers[0].publish(figures(10, 3))
    for life in range(1, 6):
        workers[0].leave()
        workers[0] = WorkerFiles(tmp_path, 8000)
        assert tell(workers[0].exchange(figures(1, 2))) == (10 + life, 2, 100)
    workers[1].publish(figures(5, 0))
    assert tell(workers[0].exchange(figures(1, 2))) == (20, 2, 100)
    assert len(list(tmp_path.rglob("*.json"))) == 2


def test_an_api_that_starts_anew_begins_at_zero(tmp_path: Path, workers: list[WorkerFiles]) -> None:
    """With nobody alive the counts are those of an API that has ended."""
    for worker in workers:
        worker.publish(figures(10, 3))
        worker.leave()
    workers[0] = WorkerFiles(tmp_path, 8000)
    assert tell(workers[0].exchange(figures(1, 0))) == (1, 0, 100)


def test_another_api_on_the_same_home_is_apart(tmp_path: Path, workers: list[WorkerFiles]) -> None:
    """Two ports, two APIs."""
    workers[0].publish(figures(10, 3))
    other = WorkerFiles(tmp_path, 8001)
    assert tell(other.exchange(figures(1, 0))) == (1, 0, 100)
    other.leave()


def test_who_has_left_writes_no_more(tmp_path: Path, workers: list[WorkerFiles]) -> None:
    """A late publication must not overwrite what the next worker counts in that place."""
    left = workers[0]
    left.publish(figures(10, 3))
    left.leave()
    workers[0] = WorkerFiles(tmp_path, 8000)
    workers[0].publish(figures(7, 0))
    left.publish(figures(99, 9))
    assert tell(workers[1].exchange(figures(0, 0))) == (17, 0, 100)


def test_what_another_version_wrote_is_left_out(tmp_path: Path, workers: list[WorkerFiles]) -> None:
    """A series that this version does not know, or in another shape, spoils nothing; nor does half a file."""
    workers[0].publish(figures(10, 3))
    workers[0].leave()
    (written, *_) = sorted(tmp_path.rglob("*.json"))
    content = orjson.loads(written.read_bytes())
    duration = catalogue.REQUEST_DURATION.name
    written.write_bytes(orjson.dumps([*content, ["vigie_gone", [], [1]], [duration, list("abcd"), [1, 2]]]))
    assert tell(workers[1].exchange(figures(1, 0))) == (11, 0, 100)
    written.write_bytes(b"[[")
    assert tell(workers[1].exchange(figures(1, 0))) == (1, 0, 100)

"""What is counted, under which labels, and that no caller can make new ones."""

from __future__ import annotations

import threading

import pytest

from vigie.telemetry.metrics import catalogue
from vigie.telemetry.metrics.figures import Figures
from vigie.telemetry.metrics.samples import Samples

ENDPOINTS = [("POST", "/predict"), ("GET", "/predict/history"), ("GET", "/predict/{transaction_id}")]


def labels_of(samples: Samples, name: str) -> set[tuple[str, ...]]:
    """The label values of a metric's series."""
    return {labels for found, labels in samples if found == name}


def test_requests_are_counted_by_template() -> None:
    """A path with an id is its template's; a fixed path goes before a template that fits it too."""
    figures = Figures(ENDPOINTS)
    figures.request("POST", "/predict", 200, 1.0)
    figures.request("GET", "/predict/0190", 200, 1.0)
    figures.request("GET", "/predict/0191", 404, 1.0)
    figures.request("GET", "/predict/history", 200, 1.0)
    assert labels_of(figures.samples(), catalogue.REQUEST_DURATION.name) == {
        ("POST", "/predict", "ok", "2xx"),
        ("GET", "/predict/{transaction_id}", "ok", "2xx"),
        ("GET", "/predict/{transaction_id}", "refused", "4xx"),
        ("GET", "/predict/history", "ok", "2xx"),
    }


def test_no_caller_makes_series() -> None:
    """Thousands of invented paths, methods and ids add one series each kind, and nothing is remembered."""
    figures = Figures(ENDPOINTS)
    for number in range(2000):
        figures.request("GET", f"/wp-{number}.php", 404, 1.0)
        figures.request(f"M{number}", "/predict", 405, 1.0)
        figures.request("GET", f"/predict/{number}", 200, 1.0)
    found = labels_of(figures.samples(), catalogue.REQUEST_DURATION.name)
    assert found == {
        ("GET", "(unmatched)", "refused", "4xx"),
        ("OTHER", "/predict", "refused", "4xx"),
        ("GET", "/predict/{transaction_id}", "ok", "2xx"),
    }
    assert figures._requests == {}


@pytest.mark.parametrize(
    ("code", "status", "status_class"),
    [(200, "ok", "2xx"), (404, "refused", "4xx"), (429, "shed", "4xx"), (499, "refused", "4xx"),
     (500, "failed", "5xx"), (503, "shed", "5xx"), (504, "failed", "5xx")],
)  # fmt: skip
def test_status_and_class(code: int, status: str, status_class: str) -> None:
    """The class says what was sent, the status what became of it."""
    figures = Figures(ENDPOINTS)
    figures.request("POST", "/predict", code, 1.0)
    (labels,) = labels_of(figures.samples(), catalogue.REQUEST_DURATION.name)
    assert labels == ("POST", "/predict", status, status_class)


def test_a_duration_falls_into_the_bucket_that_ends_with_it() -> None:
    """Bounds are inclusive, as Prometheus's `le`; what is above the last has a bucket too."""
    figures = Figures(ENDPOINTS)
    for latency in (0.1, 0.5, 0.51, 10_000.0, 10_001.0):
        figures.request("POST", "/predict", 200, latency)
    ((_, cells),) = (
        item for item in figures.samples().items() if item[0][0] == catalogue.REQUEST_DURATION.name
    )
    assert cells[0] == pytest.approx(20_002.11)
    assert cells[1:] == [2, 1, *[0] * 11, 1, 1]


def test_inferences_of_two_threads_lose_nothing() -> None:
    """The event loop's batches and those of the inference thread count into the same series."""
    figures = Figures()

    def infer() -> None:
        for _ in range(5000):
            figures.inference(4, 0.25, False, "batch", [(1.0, 3), (2.0, 1)])
            figures.queue_full()
            figures.profiling(0.001)

    threads = [threading.Thread(target=infer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    samples = figures.samples()
    assert samples[catalogue.INFERENCE_ROWS.name, ()][0] == 80_000
    assert sum(samples[catalogue.INFERENCE_DURATION.name, ()][1:]) == 20_000
    assert samples[catalogue.QUEUE_DURATION.name, ()][0] == 20_000 * 5
    assert sum(samples[catalogue.QUEUE_DURATION.name, ()][1:]) == 80_000
    assert samples[catalogue.PROFILES.name, ("false", "batch")] == [80_000]
    assert samples[catalogue.QUEUE_FULL.name, ()] == [20_000]
    assert figures.profiling_seconds == pytest.approx(20.0)


def test_a_copy_is_not_counted_into() -> None:
    """What was read stays as it was."""
    figures = Figures(ENDPOINTS)
    figures.answered("YES", "1.0.0")
    before = figures.samples()
    figures.answered("YES", "1.0.0")
    figures.answered(None, "1.0.0")
    assert before[catalogue.PREDICTIONS.name, ("YES", "1.0.0")] == [1]
    after = figures.samples()
    assert after[catalogue.PREDICTIONS.name, ("YES", "1.0.0")] == [2]
    assert after[catalogue.PREDICTIONS.name, ("", "1.0.0")] == [1]

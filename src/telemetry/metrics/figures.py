"""What a process counts of its requests and inferences: plain numbers, about a quarter of a microsecond each.

A metric of prometheus-client costs a microsecond per increment and a lock; here a request costs a look-up,
a bisection and two additions, and Prometheus's families are made when somebody asks for them.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from vigie.telemetry.event import status_of
from vigie.telemetry.metrics import catalogue
from vigie.telemetry.metrics.catalogue import Metric
from vigie.telemetry.metrics.samples import Cells, Samples, size_of

UNMATCHED: Final = "(unmatched)"
"""Stands for every path that is no endpoint's, so that a scanner adds no series."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "OTHER"


class Figures:
    """Counts since the process started.

    `request` and `answered` belong to one thread, the event loop's; the others may come from any.
    """

    def __init__(self, endpoints: Iterable[tuple[str, str]] = ()) -> None:
        """Count by `endpoints`: method and path template, such as ("GET", "/predict/{transaction_id}")."""
        paths = {path for _, path in endpoints}
        self._fixed = frozenset(path for path in paths if "{" not in path)
        self._templates = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path) for path in paths - self._fixed
        ]
        self._samples: Samples = {}
        self._requests: dict[tuple[str, str, int], Cells] = {}
        self._answers: dict[tuple[str, str], Cells] = {}
        self._profiles: dict[tuple[bool, str], Cells] = {}
        self._lock = threading.Lock()
        self._inference = self._cells(catalogue.INFERENCE_DURATION)
        self._rows = self._cells(catalogue.INFERENCE_ROWS)
        self._waits = self._cells(catalogue.QUEUE_DURATION)
        self._full = self._cells(catalogue.QUEUE_FULL)
        self._batch_rows = self._cells(catalogue.BATCH_ROWS)
        self._recording_ns = 0
        self._profiling_seconds = 0.0

    def request(self, method: str, path: str, status_code: int, latency_ms: float) -> None:
        """Count one answered request."""
        cells = self._requests.get((method, path, status_code))
        if cells is None:
            cells = self._request_cells(method, path, status_code)
        cells[0] += latency_ms
        cells[bisect_left(_LATENCY_MS, latency_ms) + 1] += 1

    def answered(self, label: str | None, model_version: str, count: int = 1) -> None:
        """Count answered predictions; `label` is None for a regression."""
        cells = self._answers.get((label or "", model_version))
        if cells is None:
            cells = self._cells(catalogue.PREDICTIONS, label or "", model_version)
            self._answers[label or "", model_version] = cells
        cells[0] += count

    def batch_rows(self, rows: int) -> None:
        """Count the rows of a call of POST /predict/batch."""
        with self._lock:
            self._batch_rows[0] += rows

    def feedback(self, status: str, count: int) -> None:
        """Count outcomes by what became of them."""
        with self._lock:
            self._cells(catalogue.FEEDBACK, status)[0] += count

    def inference(
        self, rows: int, duration_ms: float, profiled: bool, reason: str, waits: Iterable[tuple[float, int]]
    ) -> None:
        """Count one inference of `rows` rows.

        `waits` says how many milliseconds its calls had waited, each with the number of calls that did.
        """
        profiles = self._profiles.get((profiled, reason))
        if profiles is None:
            profiles = self._cells(catalogue.PROFILES, str(profiled).lower(), reason)
            self._profiles[profiled, reason] = profiles
        with self._lock:
            self._inference[0] += duration_ms
            self._inference[bisect_left(_INFERENCE_MS, duration_ms) + 1] += 1
            self._rows[0] += rows
            self._rows[bisect_left(_ROWS, rows) + 1] += 1
            profiles[0] += rows
            for wait_ms, calls in waits:
                self._waits[0] += wait_ms * calls
                self._waits[bisect_left(_WAIT_MS, wait_ms) + 1] += calls

    def queue_full(self) -> None:
        """Count a call that found the queue full."""
        with self._lock:
            self._full[0] += 1

    def recorded(self, cpu_ns: int) -> None:
        """Add CPU time that making and journalling events took; from the event loop's thread only."""
        self._recording_ns += cpu_ns

    def profiling(self, added_seconds: float) -> None:
        """Add the time that the profiler added to an inference."""
        with self._lock:
            self._profiling_seconds += added_seconds

    @property
    def recording_seconds(self) -> float:
        """CPU time of making and journalling events so far."""
        return self._recording_ns / 1e9

    @property
    def profiling_seconds(self) -> float:
        """Time that the profiler added so far."""
        return self._profiling_seconds

    def samples(self) -> Samples:
        """Return a copy of all counts."""
        # Copying the table and each list is atomic, so this may run beside whoever counts.
        return {key: cells.copy() for key, cells in self._samples.copy().items()}

    def _cells(self, metric: Metric, *labels: str) -> Cells:
        """Return the numbers of a series: one, or of a histogram its sum and a number per bucket."""
        cells = self._samples.get((metric.name, labels))
        if cells is None:
            cells = self._samples.setdefault((metric.name, labels), [0] * size_of(metric))
        return cells

    def _request_cells(self, method: str, path: str, status_code: int) -> Cells:
        template = self._template(path)
        labels = (
            method if method in METHODS else OTHER_METHOD,
            template,
            status_of(status_code),
            f"{status_code // 100}xx",
        )
        cells = self._cells(catalogue.REQUEST_DURATION, *labels)
        if template == path and labels[0] == method:  # only what is bounded is remembered
            self._requests[method, path, status_code] = cells
        return cells

    def _template(self, path: str) -> str:
        if path in self._fixed:
            return path
        return next((name for pattern, name in self._templates if pattern.fullmatch(path)), UNMATCHED)


_LATENCY_MS: Final = catalogue.REQUEST_DURATION.bounds
_INFERENCE_MS: Final = catalogue.INFERENCE_DURATION.bounds
_ROWS: Final = catalogue.INFERENCE_ROWS.bounds
_WAIT_MS: Final = catalogue.QUEUE_DURATION.bounds

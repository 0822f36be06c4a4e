"""Every metric of GET /metrics: its name, what it says, its labels, and how processes add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram", "info"]
Merge = Literal["sum", "min", "max"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; a counter's name is given without its `_total`, as Prometheus's client wants it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram: upper bounds of its buckets, in the unit that is counted in."""
    scale: float = 1.0
    """What the counted numbers are multiplied by to be in the unit of the name."""
    merge: Merge = "sum"
    """How the gauges of several worker processes become one; counters and histograms are summed."""

    @property
    def is_counted(self) -> bool:
        """Whether it only grows, so that what a dead worker process counted stays part of it."""
        return self.kind in {"counter", "histogram"}


_MILLISECONDS: Final = 1e-3
_REQUEST: Final = ("method", "path", "status", "status_class")

REQUEST_DURATION: Final = Metric(
    "vigie_http_request_duration_seconds",
    "histogram",
    "Seconds from a request's arrival to its answer, by path template; status is what became of it",
    _REQUEST,
    bounds=(0.5, 1, 2, 5, 10, 25, 50, 100, 200, 500, 1000, 2500, 5000, 10_000),
    scale=_MILLISECONDS,
)
REQUESTS: Final = Metric(
    "vigie_http_requests",
    "counter",
    "Requests answered; a batch is one. The count of the durations",
    _REQUEST,
)
PREDICTIONS: Final = Metric(
    "vigie_predictions",
    "counter",
    "Predictions answered, rows of batches included, by the class given and the model's version",
    ("label", "model_version"),
)
FEEDBACK: Final = Metric(
    "vigie_feedback",
    "counter",
    "Outcomes that POST /feedback was sent, by what became of them; conflict, unknown and invalid are not "
    "recorded",
    ("status",),
)
BATCH_ROWS: Final = Metric(
    "vigie_batch_rows", "counter", "Rows of POST /predict/batch that were answered or refused"
)
INFERENCE_DURATION: Final = Metric(
    "vigie_inference_duration_seconds",
    "histogram",
    "Seconds that derived features and model took for one coalesced batch",
    bounds=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 25, 50, 100, 250, 1000),
    scale=_MILLISECONDS,
)
INFERENCE_ROWS: Final = Metric(
    "vigie_inference_batch_size_rows",
    "histogram",
    "Rows that one inference answered together",
    bounds=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
)
QUEUE_DURATION: Final = Metric(
    "vigie_queue_wait_seconds",
    "histogram",
    "Seconds that a call waited for the model",
    bounds=(0.1, 0.2, 0.5, 1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000),
    scale=_MILLISECONDS,
)
QUEUE_FULL: Final = Metric(
    "vigie_queue_full", "counter", "Calls that were refused because the queue for the model was full"
)
PROFILES: Final = Metric(
    "vigie_profiler_predictions",
    "counter",
    "Predictions by whether the profiler ran, and why it did (budget, forced, slow) or not (budget, batch, "
    "disabled)",
    ("profiled", "reason"),
)
PROFILE_BALANCE: Final = Metric(
    "vigie_profiler_budget_balance_seconds",
    "gauge",
    "Seconds that profiling may add at once; below 0 it is in debt, and the next profile waits",
    merge="min",
)
OBSERVER: Final = Metric(
    "vigie_observer_seconds",
    "counter",
    "Seconds that observing took: recording (making and journalling events), profiling (what it added), "
    "shipping (to Redis and to the disk), upkeep (the background threads' other turns)",
    ("part",),
)
EVENTS: Final = Metric(
    "vigie_emitter_events", "counter", "Events journalled or dropped, logs and reports too"
)
EVENTS_DROPPED: Final = Metric(
    "vigie_emitter_events_dropped", "counter", "Events dropped because the journal was full, and declared"
)
EVENTS_REFUSED: Final = Metric(
    "vigie_emitter_events_refused", "counter", "Events that took no number: malformed, or after the end"
)
BACKLOG: Final = Metric(
    "vigie_emitter_backlog_events", "gauge", "Events journalled that Redis does not have yet"
)
JOURNAL_BYTES: Final = Metric("vigie_emitter_journal_bytes", "gauge", "Bytes of those events in the journals")
ACCEPTING: Final = Metric(
    "vigie_emitter_accepting", "gauge", "1 while the journals take events, 0 when one drops them", merge="min"
)
WORKERS: Final = Metric("vigie_api_workers", "gauge", "API processes that these figures add up")
CPU: Final = Metric(
    "process_cpu_seconds", "counter", "Seconds of user and system CPU time that the API's processes took"
)
RESIDENT: Final = Metric(
    "process_resident_memory_bytes", "gauge", "Bytes of resident memory, of all API processes together"
)
OPEN_FILES: Final = Metric("process_open_fds", "gauge", "Open file descriptors of all API processes")
STARTED: Final = Metric(
    "process_start_time_seconds", "gauge", "Start of the oldest API process, seconds since 1970", merge="min"
)
BUILD: Final = Metric(
    "vigie_build",
    "info",
    "Version of Vigie and Python, and the model that is served, by which runtime",
    ("version", "python", "model", "model_version", "runtime"),
    merge="max",
)
REDIS_UP: Final = Metric(
    "vigie_redis_up", "gauge", "1 when Redis answered this scrape; else the series of the pipeline are absent"
)
PIPELINE_BACKLOG: Final = Metric(
    "vigie_pipeline_backlog_events", "gauge", "Events in the stream that are not indexed yet"
)
PIPELINE_LAG: Final = Metric(
    "vigie_pipeline_lag_seconds", "gauge", "Age of the oldest event in the stream that is not indexed yet"
)
PIPELINE_EVENTS: Final = Metric(
    "vigie_pipeline_events",
    "counter",
    "Events by what became of them: written to the stream; then indexed, filtered (no document) or cleared; "
    "declared are those that a full journal dropped",
    ("state",),
)
PIPELINE_LETTERS: Final = Metric(
    "vigie_pipeline_dead_letters", "gauge", "Events refused for good that nobody has replayed or discarded"
)
PIPELINE_WORKERS: Final = Metric("vigie_pipeline_workers", "gauge", "Processes of the pipeline that live")
LEDGER_UNACCOUNTED: Final = Metric(
    "vigie_ledger_unaccounted_events",
    "gauge",
    "Events missing or there twice when the ledger was last measured; 0 when it balances",
)
LEDGER_MEASURED: Final = Metric(
    "vigie_ledger_measured_timestamp_seconds", "gauge", "When that was, seconds since 1970"
)

METRICS: Final = (
    REQUESTS, REQUEST_DURATION, PREDICTIONS, FEEDBACK, BATCH_ROWS, INFERENCE_DURATION, INFERENCE_ROWS,
    QUEUE_DURATION, QUEUE_FULL, PROFILES, PROFILE_BALANCE, OBSERVER, EVENTS, EVENTS_DROPPED, EVENTS_REFUSED,
    BACKLOG, JOURNAL_BYTES, ACCEPTING, WORKERS, CPU, RESIDENT, OPEN_FILES, STARTED, BUILD, REDIS_UP,
    PIPELINE_BACKLOG, PIPELINE_LAG, PIPELINE_EVENTS, PIPELINE_LETTERS, PIPELINE_WORKERS, LEDGER_UNACCOUNTED,
    LEDGER_MEASURED,
)  # fmt: skip
"""All of them, in the order in which they are shown."""

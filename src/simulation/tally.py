"""What became of the requests: counts, latencies, the live line and the summary."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from rich.table import Table

from vigie.simulation.outcome_tally import OutcomeTally
from vigie.simulation.requests import Kind

NO_ANSWER: Final = 0
"""Counted as status where nothing, or nothing of the API's, came back."""
LATE_SECONDS: Final = 0.1
"""A request sent so long after it was due had found no user free, each waiting for an answer."""
RECENT: Final = 1000
"""Latencies that the live line tells of."""
PERCENTILES: Final = (50, 95, 99, 100)


@dataclass
class KindTally:
    """What became of the requests of one kind."""

    answered: int = 0
    refused: int = 0
    failed: int = 0
    latencies_ms: array[float] = field(default_factory=lambda: array("d"))

    @property
    def sent(self) -> int:
        """Requests sent."""
        return self.answered + self.refused + self.failed


@dataclass
class Tally:
    """Counts what became of requests; may be told so from many threads.

    Answered is 2xx and 3xx, refused 4xx, failed 5xx, no answer, or an answer that is not the API's.
    Latencies are counted from the moment a request was due.
    """

    answered: int = 0
    predictions: int = 0
    refused: int = 0
    failed: int = 0
    late: int = 0
    kinds: dict[Kind, KindTally] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    recent_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: Kind, status: int, latency_seconds: float, late: bool = False) -> None:
        """Count one request and its answer's status, or NO_ANSWER."""
        with self._lock:
            one = self.kinds.setdefault(kind, KindTally())
            if _failed(status):
                one.failed += 1
                self.failed += 1
            elif status >= 400:
                one.refused += 1
                self.refused += 1
            else:
                one.answered += 1
                self.answered += 1
            self.statuses[status] += 1
            self.late += late
            one.latencies_ms.append(latency_seconds * 1e3)
            self.recent_ms.append(latency_seconds * 1e3)

    def count_predictions(self, predicted: int) -> None:
        """Count predictions that an answer held."""
        with self._lock:
            self.predictions += predicted

    @property
    def sent(self) -> int:
        """Requests answered, refused and failed."""
        return self.answered + self.refused + self.failed

    def recent(self) -> list[float]:
        """Return the newest latencies in milliseconds."""
        with self._lock:
            return list(self.recent_ms)


class LiveText:
    """The live line: rate since the last look, counts, latencies of the newest answers, outcomes taken of
    those that are or will be sent."""

    def __init__(
        self,
        tally: Tally,
        clock: Callable[[], float] = time.monotonic,
        outcomes: OutcomeTally | None = None,
    ) -> None:
        self._tally = tally
        self._outcomes = outcomes
        self._clock = clock
        self._seen, self._seen_at = tally.sent, clock()

    def __call__(self) -> str:
        """Return the line as it stands."""
        tally, now, sent = self._tally, self._clock(), self._tally.sent
        rate = (sent - self._seen) / (now - self._seen_at) if now > self._seen_at else 0.0
        self._seen, self._seen_at = sent, now
        median, high = percentiles(tally.recent(), (50, 95))
        return (
            f"{rate:,.0f}/s  answered {tally.answered:,}  refused {tally.refused:,}  "
            f"failed {tally.failed:,}  p50 {shown(median)}  p95 {shown(high)} ms{self._outcomes_said()}"
        )

    def _outcomes_said(self) -> str:
        if self._outcomes is None:
            return ""
        return f"  outcomes {self._outcomes.taken:,}/{self._outcomes.sent + self._outcomes.waiting:,}"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to."""

    tally: Tally
    seconds: float
    offered_per_second: float
    source: str
    seed: int
    outcomes: OutcomeTally | None = None

    def as_table(self) -> Table:
        """Return one row per kind of request; latencies in milliseconds from the moment they were due."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("requests", no_wrap=True)
        for name in ("sent", "answered", "refused", "failed", "p50 ms", "p95", "p99", "max"):
            table.add_column(name, justify="right", no_wrap=True)
        for kind, one in sorted(self.tally.kinds.items()):
            counts = (one.sent, one.answered, one.refused, one.failed)
            latencies = percentiles(one.latencies_ms, PERCENTILES)
            table.add_row(kind, *(f"{count:,}" for count in counts), *map(shown, latencies))
        return table

    def lines(self) -> Iterator[str]:
        """Yield what is to be said in words."""
        tally = self.tally
        yield (
            f"{tally.sent:,} requests in {self.seconds:.1f} s: {self._per_second:,.1f}/s of "
            f"{self.offered_per_second:g}/s offered; {tally.predictions:,} predictions"
        )
        yield f"rows of {self.source}, seed {self.seed}"
        if tally.late:
            yield (
                f"{tally.late:,} were sent more than {LATE_SECONDS:g} s late: "
                "every user was waiting for an answer"
            )
        if tally.failed:
            yield f"{tally.failed:,} failed: {self._failures()}"
        if self.outcomes is not None:
            yield from self.outcomes.lines()

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON."""
        tally = self.tally
        return {
            "seconds": round(self.seconds, 3),
            "offered_per_second": self.offered_per_second,
            "per_second": round(self._per_second, 3),
            "source": self.source,
            "seed": self.seed,
            "sent": tally.sent,
            "answered": tally.answered,
            "refused": tally.refused,
            "failed": tally.failed,
            "predictions": tally.predictions,
            "late": tally.late,
            "statuses": {str(status or "none"): tally.statuses[status] for status in sorted(tally.statuses)},
            "kinds": {kind: self._kind(one) for kind, one in sorted(tally.kinds.items())},
            **({} if self.outcomes is None else {"outcomes": self.outcomes.as_dict()}),
        }

    @property
    def _per_second(self) -> float:
        return self.tally.sent / self.seconds if self.seconds else 0.0

    def _failures(self) -> str:
        found = [(status, count) for status, count in sorted(self.tally.statuses.items()) if _failed(status)]
        return ", ".join(
            f"{count:,} {f'with {status}' if status else 'unanswered'}" for status, count in found
        )

    def _kind(self, one: KindTally) -> dict[str, object]:
        latencies = zip(("p50", "p95", "p99", "max"), percentiles(one.latencies_ms, PERCENTILES), strict=True)
        counts = {"sent": one.sent, "answered": one.answered, "refused": one.refused, "failed": one.failed}
        return {**counts, "latency_ms": dict(latencies)}


def _failed(status: int) -> bool:
    return status == NO_ANSWER or status >= 500


def percentiles(values: Sequence[float], wanted: Sequence[int]) -> list[float | None]:
    """Return the percentiles of `values`, each None when there are none."""
    if not values:
        return [None] * len(wanted)
    found: list[float] = np.percentile(np.array(values), wanted).tolist()
    return [*found]


def shown(latency_ms: float | None) -> str:
    """Return a latency for people."""
    return "–" if latency_ms is None else f"{latency_ms:,.1f}" if latency_ms < 100 else f"{latency_ms:,.0f}"

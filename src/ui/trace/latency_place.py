"""Where one request's latency lies among those of its hour: the question to the store, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from vigie.indices.event_order import between
from vigie.telemetry.event import PREDICTION, REQUEST
from vigie.ui.trace.request import number_of

_STEPS: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
"""Ten equal steps of a decade on a logarithmic scale, rounded (ISO 3, R10)."""
EDGES_MS: Final = (
    *(round(step * 10.0**decade, 5) for decade in range(-2, 5) for step in _STEPS),
    100_000.0,
)
"""Bounds of the bars, in milliseconds; what is outside has a bar at either end."""

Among = Literal["predictions", "rows", "requests"]


@dataclass(frozen=True, slots=True)
class Place:
    """A request's latency, and which others it is compared with: like ones that went well, of its hour."""

    latency_ms: float
    since: datetime
    until: datetime
    among: Among
    path: str

    @classmethod
    def of(cls, event: Mapping[str, Any], zone: ZoneInfo) -> Self | None:
        """Return the place to ask for an event; None when it did not go well, or says no time or latency.

        An hour is one of the clock in `zone`. Rows of a batch have a share of its time, and are compared with
        rows; a request that is no prediction, with those to the same path.
        """
        data = event.get("data") or {}
        latency, kind = number_of(data.get("latency_ms")), data.get("kind")
        if latency is None or data.get("status") != "ok" or kind not in {PREDICTION, REQUEST}:
            return None
        try:
            when = datetime.fromisoformat(str(event.get("timestamp"))).astimezone(zone)
        except (ValueError, OverflowError):
            return None
        since = when.replace(minute=0, second=0, microsecond=0)
        single: Among = "rows" if data.get("batch_id") else "predictions"
        among: Among = single if kind == PREDICTION else "requests"
        return cls(latency, since, since + timedelta(hours=1), among, str(data.get("path") or ""))

    def search(self) -> dict[str, Any]:
        """Return the body of the search: how many there are, how many are slower, and how they spread."""
        ranges: list[dict[str, float]] = [{"to": EDGES_MS[0]}]
        ranges += [{"from": low, "to": high} for low, high in pairwise(EDGES_MS)]
        ranges.append({"from": EDGES_MS[-1]})
        slower = {"filter": {"range": {"latency_ms": {"gt": self.latency_ms}}}}
        return {
            "query": self._population(),
            "size": 0,
            "track_total_hits": True,
            "aggs": {"spread": {"range": {"field": "latency_ms", "ranges": ranges}}, "slower": slower},
        }

    def _population(self) -> dict[str, Any]:
        row = {"exists": {"field": "batch_id"}}
        kinds: dict[Among, list[dict[str, Any]]] = {
            "predictions": [{"term": {"doc_type": PREDICTION}}, {"bool": {"must_not": [row]}}],
            "rows": [{"term": {"doc_type": PREDICTION}}, row],
            "requests": [{"term": {"doc_type": REQUEST}}, {"term": {"path": self.path}}],
        }
        alike = [{"term": {"status": "ok"}}, {"exists": {"field": "latency_ms"}}]
        return {"bool": {"filter": [*kinds[self.among], *alike, *between(self.since, self.until)]}}

    def found(self, answer: Mapping[str, Any]) -> Found:
        """Return what the store's answer to `search` says."""
        total = int(answer["hits"]["total"]["value"])
        groups = answer.get("aggregations") or {}
        if not total or not groups:
            return Found(self, 0, 0, ())
        bars = _bars([int(one["doc_count"]) for one in groups["spread"]["buckets"]], self.latency_ms)
        return Found(self, total, int(groups["slower"]["doc_count"]), bars)


@dataclass(frozen=True, slots=True)
class Bar:
    """How many lie between two latencies; None: without a bound on that side."""

    low_ms: float | None
    high_ms: float | None
    count: int
    height: float
    """In percent of the highest."""
    own: bool
    """Whether the request itself lies there."""


@dataclass(frozen=True, slots=True)
class Found:
    """How the latencies of the hour spread, and how many are higher."""

    place: Place
    total: int
    slower: int
    bars: tuple[Bar, ...]

    @property
    def share_slower(self) -> float:
        """The part (0–1) that the request was faster than."""
        return self.slower / self.total if self.total else 0.0


def _bars(counts: list[int], latency_ms: float) -> tuple[Bar, ...]:
    """Return the bars from the first to the last that is not empty, the own one included."""
    bounds = list(pairwise((None, *EDGES_MS, None)))
    own = next(at for at, (_, high) in enumerate(bounds) if high is None or latency_ms < high)
    held = [at for at, count in enumerate(counts) if count] + [own]
    highest = max(counts)
    return tuple(
        Bar(*bounds[at], counts[at], 100 * counts[at] / highest if highest else 0.0, at == own)
        for at in range(min(held), max(held) + 1)
    )

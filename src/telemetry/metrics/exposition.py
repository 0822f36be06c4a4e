"""From samples to Prometheus's families and text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from vigie.telemetry.metrics import catalogue
from vigie.telemetry.metrics.catalogue import METRICS, Metric
from vigie.telemetry.metrics.samples import Cells, Samples

Labelled = Mapping[tuple[str, ...], Cells]


def exposition(samples: Samples, accept: str) -> tuple[bytes, str]:
    """Return the text of `samples` and its content type, as the client's Accept header wants it."""
    registry = CollectorRegistry()
    registry.register(_Samples(samples))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Samples(Collector):
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collect(self) -> Iterable[Family]:
        return families(self._samples)


def families(samples: Samples) -> Iterator[Family]:
    """Yield the family of each metric that has series, in the catalogue's order.

    The number of requests is the count of their durations, so that the two always agree.
    """
    grouped: dict[str, dict[tuple[str, ...], Cells]] = defaultdict(dict)
    for (name, labels), cells in sorted(samples.items()):
        grouped[name][labels] = cells
    durations = grouped.get(catalogue.REQUEST_DURATION.name, {})
    grouped[catalogue.REQUESTS.name] = {labels: [sum(cells[1:])] for labels, cells in durations.items()}
    for metric in METRICS:
        if grouped.get(metric.name):
            yield _family(metric, grouped[metric.name])


def _family(metric: Metric, series: Labelled) -> Family:
    match metric.kind:
        case "histogram":
            return _histogram(metric, series)
        case "info":
            info = InfoMetricFamily(metric.name, metric.help)
            for labels in series:
                info.add_metric((), dict(zip(metric.labels, labels, strict=True)))
            return info
    plain = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = plain(metric.name, metric.help, labels=metric.labels)
    for labels, (value,) in series.items():
        family.add_metric(labels, value * metric.scale)
    return family


def _histogram(metric: Metric, series: Labelled) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*(f"{bound * metric.scale:.10g}" for bound in metric.bounds), "+Inf"]
    for labels, (total, *counts) in series.items():
        buckets = list(zip(bounds, accumulate(counts), strict=True))
        family.add_metric(labels, buckets, sum_value=total * metric.scale)
    return family

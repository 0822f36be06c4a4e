"""Numbers of series, and how those of several processes become one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from vigie.telemetry.metrics.catalogue import METRICS, Merge, Metric

Cells = list[float]
"""One number; of a histogram the sum, then how many are in each bucket, the last of which has no end."""
Series = tuple[str, tuple[str, ...]]
"""Name of the metric, values of its labels."""
Samples = dict[Series, Cells]

BY_NAME: Final[dict[str, Metric]] = {metric.name: metric for metric in METRICS}


def merged(parts: Iterable[Samples]) -> Samples:
    """Return the samples of several processes as one: counts summed, gauges by their own rule."""
    result: Samples = {}
    for part in parts:
        for series, cells in part.items():
            known = result.get(series)
            if known is None:
                result[series] = cells.copy()
                continue
            combine = _COMBINE[BY_NAME[series[0]].merge]
            result[series] = [combine((one, other)) for one, other in zip(known, cells, strict=True)]
    return result


def counted(samples: Samples) -> Samples:
    """Return what only grows of `samples`."""
    return {series: cells for series, cells in samples.items() if BY_NAME[series[0]].is_counted}


def as_json(samples: Samples) -> list[object]:
    """Return the samples in a form that JSON has."""
    return [[name, labels, cells] for (name, labels), cells in samples.items()]


def from_json(stored: Iterable[tuple[str, list[str], list[float]]]) -> Samples:
    """Return the samples of `as_json`; series that this version does not know in that shape are left out."""
    return {
        (name, tuple(labels)): cells
        for name, labels, cells in stored
        if name in BY_NAME
        and len(labels) == len(BY_NAME[name].labels)
        and len(cells) == size_of(BY_NAME[name])
    }


def size_of(metric: Metric) -> int:
    """Return how many numbers a series of `metric` has."""
    return len(metric.bounds) + 2 if metric.kind == "histogram" else 1


_COMBINE: Final[Mapping[Merge, Callable[[tuple[float, float]], float]]] = {"sum": sum, "min": min, "max": max}

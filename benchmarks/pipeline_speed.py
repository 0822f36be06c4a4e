"""Documents per second into the store, beside a bare loader: `python benchmarks/pipeline_speed.py`.

`--store embedded` (the default) or `elasticsearch` (a node of its own, which takes a JDK 17 and Maven);
`--workers 1,2,4`; `--flat` runs ten times the events too, and compares cost per event and memory; with
`--drift` the workers judge drift as well, which is work of another kind.

The bare loader (`bare_loaders.py`) writes the documents that the pipeline's own filter made beforehand of as
many prediction events: into Elasticsearch by the client's `bulk`, as many bodies at once as a worker has in
flight; into tantivy without any server. The pipeline starts with the events in Redis, and ends with each of
them settled. Both end with a refresh, after which the store must count every document. Two loads warm up;
then each run of the pipeline stands between two bare ones, and its ratio is to their mean.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median
from typing import Final

import orjson
from pipeline_place import Place, Run, place

EVENTS_TIMES: Final = 10
"""How much longer the longer run of --flat is."""
MOST_CPU_GROWTH: Final = 1.1
MOST_MEMORY_GROWTH: Final = 1.2


def measured(
    where: Place, events: int, workers: Sequence[int], rounds: int
) -> dict[int, list[tuple[Run, Run]]]:
    """Return, by the number of workers, each run of the pipeline with the mean of the bare runs around it."""
    where.prepare(events)
    where.bare(events)
    where.pipeline(events, 1)
    found: dict[int, list[tuple[Run, Run]]] = {count: [] for count in workers}
    before = where.bare(events)
    for _ in range(rounds):
        for count in workers:
            own = where.pipeline(events, count)
            after = where.bare(events)
            found[count].append((own, _mean(before, after)))
            before = after
    return found


def _mean(*runs: Run) -> Run:
    values = [tuple(asdict(run).values()) for run in runs]
    return Run(*(mean(column) for column in zip(*values, strict=True)))


def table(store: str, found: Mapping[int, list[tuple[Run, Run]]]) -> Iterator[str]:
    """Yield the medians as a table."""
    bare = [each for runs in found.values() for _, each in runs]
    yield "| loader | documents/s | events/s | its CPU per 1M events | the store's | peak | share of bare |"
    yield "|---|---|---|---|---|---|---|"
    yield _line(f"bare ({'tantivy' if store == 'embedded' else store})", bare, "1")
    for workers, runs in found.items():
        name = f"pipeline, {workers} worker{'s' if workers > 1 else ''}"
        yield _line(name, [own for own, _ in runs], f"{ratio(runs):.2f}")


def _line(name: str, runs: Sequence[Run], share: str) -> str:
    def of(value: Callable[[Run], float]) -> float:
        return median(value(run) for run in runs)

    cells = (
        name,
        f"{of(lambda run: run.per_second):,.0f}",
        f"{of(lambda run: run.events / run.seconds):,.0f}",
        f"{of(lambda run: run.cpu_us_per_event):.0f} s",
        f"{of(lambda run: run.store_cpu_seconds * 1e6 / run.events):.0f} s",
        f"{of(lambda run: run.peak_mb):.0f} MB",
        share,
    )
    return f"| {' | '.join(cells)} |"


def ratio(runs: Sequence[tuple[Run, Run]]) -> float:
    """Return the pipeline's documents/s as a share of the bare loader's: the median of the runs."""
    return median(own.per_second / bare.per_second for own, bare in runs)


def flatness(where: Place, events: int) -> dict[str, float]:
    """Return what ten times the events cost more, each: CPU of pipeline and store, and the peak of memory."""
    few, many = where.pipeline(events, 1), where.pipeline(events * EVENTS_TIMES, 1)
    return {
        "events": many.events,
        "cpu_ratio": many.cpu_us_per_event / few.cpu_us_per_event,
        "cpu_ratio_with_store": many.whole_cpu_us_per_event / few.whole_cpu_us_per_event,
        "memory_ratio": many.peak_mb / few.peak_mb,
        "cpu_us_per_event": many.cpu_us_per_event,
        "documents_per_second": many.per_second,
    }


def main() -> int:
    """Run, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", choices=("embedded", "elasticsearch"), default="embedded")
    parser.add_argument("--flat", action="store_true", help="ten times the events as well")
    parser.add_argument("--drift", action="store_true", help="let the workers judge drift beside it")
    parser.add_argument(
        "--columns", action="store_true", help="the bare tantivy loader has read the JSON beforehand"
    )
    asked = parser.parse_args()
    workers = [int(count) for count in asked.workers.split(",")]
    with (
        tempfile.TemporaryDirectory() as folder,
        place(asked.store, Path(folder), drift=asked.drift) as where,
    ):
        found = measured(where, asked.events, workers, asked.rounds)
        flat = flatness(where, asked.events) if asked.flat else {}
    result = {
        "benchmark": "pipeline_speed",
        "store": asked.store,
        "events": asked.events,
        "ratio": {str(count): ratio(runs) for count, runs in found.items()},
        "runs": {
            str(count): [[asdict(run) for run in pair] for pair in runs] for count, runs in found.items()
        },
        "flat": flat,
    }
    lines = list(table(asked.store, found))
    if flat:
        lines += ["", f"| {flat['events']:,.0f} events | CPU per event × | with the store's × | peak × |"]
        lines += ["|---|---|---|---|"]
        shown = (f"{flat[name]:.2f}" for name in ("cpu_ratio", "cpu_ratio_with_store", "memory_ratio"))
        lines += [f"| {flat['cpu_us_per_event']:.0f} µs each | {' | '.join(shown)} |"]
    sys.stdout.write(f"{orjson.dumps(result).decode()}\n" + "\n".join(lines) + "\n")
    steep = flat and (flat["cpu_ratio"] > MOST_CPU_GROWTH or flat["memory_ratio"] > MOST_MEMORY_GROWTH)
    return int(bool(steep))


if __name__ == "__main__":
    sys.exit(main())

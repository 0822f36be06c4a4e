"""`make faults`: runs the campaign and writes its table; exit status 1 when anything was lost or doubled."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults import campaign, report
from tests.faults.place import begin
from tests.servers import ROOT

from vigie.model.cohort import draw
from vigie.model.training import train
from vigie.schema import load_schema

ROUNDS = {"short": 3, "long": 14}
EVENTS = {"short": 1000, "long": 7300}
"""Answered predictions of a round, at least."""
REFERENCE = ROOT / "model" / "lung_cancer"


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--campaign", choices=sorted(ROUNDS), default="short")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=("embedded", "elasticsearch"), default="embedded")
    parser.add_argument("--record", action="store_true", help="put the result into docs/reliability.md")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # whatever ends it, what it started ends too
    with TemporaryDirectory(prefix="vigie-faults-") as folder:
        package = Path(folder) / "package"
        train(REFERENCE, package, None)
        records, _ = draw(load_schema(REFERENCE), 2000, seed=given.seed)
        place = begin(Path(folder) / "home", package, real=given.store == "elasticsearch")
        try:
            if not place.disk:
                print("left out: disk full (this process may not mount a small disk)")  # noqa: T201
            rounds = campaign.plan(given.seed, ROUNDS[given.campaign], with_disk=place.disk)
            rows = campaign.run(
                place, rounds, [dict(record) for record in records], EVENTS[given.campaign], given.seed, print
            )
            balanced = place.finish("verify") == 0
            print(place.output("verify"))  # noqa: T201
            result = report.Result.of(place, given.campaign, given.seed, rows, balanced=balanced)
        finally:
            place.stop()
    print(report.table(result))  # noqa: T201
    if given.record:
        report.record(given.store, result)
    return 0 if result.clean else 1


if __name__ == "__main__":
    sys.exit(main())

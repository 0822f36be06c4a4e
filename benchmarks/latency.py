"""Latency at a share of what a server can do, beside FastAPI's echo: `python benchmarks/latency.py`.

First each server's saturation is measured by a closed loop of 32 clients. Then requests come at 25, 50, 75
and 90 % of it as a Poisson process, whether or not the last is answered, and each latency counts from the
moment the request was due (`open_loop.py`). So a server that answers more is also sent more: compare the
shares, not the rates. A row whose generator was itself late more than once in a hundred sends says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

import orjson
from contestants import LOAD_CORE, Contestant, alternate, start_echo
from installation import installation
from open_loop import OpenLoad, open_load

SHARES = (0.25, 0.5, 0.75, 0.9)
CLIENTS = 32


@dataclass(frozen=True, slots=True)
class Row:
    """One server at one share of its saturation."""

    name: str
    share: float
    loads: Sequence[OpenLoad]

    def median(self, figure: str) -> float:
        """Return the median of one figure of the loads."""
        return float(median(getattr(load, figure) for load in self.loads))

    def line(self) -> str:
        """Return it as a line of the table."""
        first = self.loads[0]
        figures = " | ".join(f"{self.median(name):.2f} ms" for name in ("p50_ms", "p99_ms", "p999_ms"))
        late = self.median("late_share")
        note = "" if all(load.trustworthy for load in self.loads) else " (the generator was late)"
        offered = f"{first.offered_per_second:,.0f}"
        return f"| {self.share:.0%} | {self.name} | {offered} | {figures} | {late:.1%}{note} |"


def measure(contestant: Contestant, per_second: float, seconds: float) -> OpenLoad:
    """Offer the server that many requests per second. Raises RuntimeError when not all were answered."""
    load = open_load(contestant.request, per_second, seconds, LOAD_CORE)
    contestant.after(load.answered)
    if load.failed or load.answered < load.requests:
        raise RuntimeError(
            f"{contestant.name}, {per_second:,.0f}/s: of {load.requests} requests {load.answered} were "
            f"answered, {load.failed} of them not with 200"
        )
    return load


def main() -> int:
    """Find the saturation, run the shares in alternating rounds, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3, help="at each share")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    with installation() as one:
        contestants = [start_echo(one.parts, one.request), one.api()]
        closed = alternate(contestants, CLIENTS, 2, asked.rounds, one.home)
        saturation = {name: median(r.load.per_second for r in rounds) for name, rounds in closed.items()}
        found: dict[tuple[float, str], list[OpenLoad]] = {}
        for _ in range(asked.rounds):
            for share in SHARES:
                for each in contestants:
                    load = measure(each, saturation[each.name] * share, asked.seconds)
                    found.setdefault((share, each.name), []).append(load)
        balance = one.balance(indexed=False)
    rows = [Row(name, share, loads) for (share, name), loads in found.items()]
    echo, own = contestants[0].name, contestants[1].name
    by_key = {(row.name, row.share): row for row in rows}
    result = {
        "saturation": saturation,
        "rows": [asdict(row) for row in rows],
        "ratios": {
            f"p99_to_echo_at_{share:.0%}": by_key[own, share].median("p99_ms")
            / by_key[echo, share].median("p99_ms")
            for share in SHARES
        },
        "balance": asdict(balance),
        "bars": {
            "title": "p99 from the moment a request was due, at a share of saturation",
            "unit": "ms",
            "rows": [
                {"group": f"{row.share:.0%}", "name": row.name, "value": row.median("p99_ms")} for row in rows
            ],
        },
    }
    lines = [
        "| of saturation | server | requests/s | p50 | p99 | p99.9 | sent late |",
        "|---|---|---|---|---|---|---|",
        *(row.line() for row in rows),
    ]
    lines += [
        "",
        "Saturation: " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in saturation.items()) + ".",
    ]
    sys.stdout.write(f"{orjson.dumps(result).decode()}\n" + "\n".join(lines) + "\n")
    return int(not balance.holds)


if __name__ == "__main__":
    sys.exit(main())

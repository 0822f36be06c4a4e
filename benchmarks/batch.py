"""Rows per second of /predict/batch with 1,000 rows a call, beside the requests/s of FastAPI's echo.

`python benchmarks/batch.py` [--seconds 10] [--rounds 3] [--verify]. Each row has an event of its own, and
so has each call: a round is over when the stream has them all. What the stream holds is then cleared
through the ledger (with `--verify` indexed), so that Redis stays small. Servers, cores and rounds are those
of serving.py.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from statistics import median

import orjson
from contestants import Medians, Round, Rounds, example_folder, start_echo
from installation import Balance, Installation, installation

from vigie.model.cohort import draw
from vigie.schema import load_schema

ROWS = 1000
CLIENTS = 2
"""One call is in hand while the next is sent."""
ECHO_CLIENTS = 32
ECHO_SECONDS = 3.0
ECHO, OWN = "FastAPI's echo", "Vigie, batches"


def body() -> bytes:
    """Return a batch of rows of the simulated cohort."""
    rows, _ = draw(load_schema(example_folder()), ROWS, seed=6)
    return orjson.dumps(rows)


def run(one: Installation, seconds: float, rounds: int, *, verify: bool) -> Rounds:
    """Return the rounds of the echo and of the batches, after one each that warms up."""
    echo = start_echo(one.parts, one.request)
    api = one.api(OWN)
    batches = replace(
        api,
        request=replace(api.request, path="/predict/batch", body=body()),
        after=lambda calls: one.wait_for(calls * (ROWS + 1)),
    )
    found: dict[str, list[Round]] = {ECHO: [], OWN: []}
    for number in range(rounds + 1):
        ours = batches.under_load(CLIENTS, seconds if number else 1.0, one.home)
        theirs = echo.under_load(ECHO_CLIENTS, ECHO_SECONDS if number else 1.0, one.home)
        one.index() if verify else one.clear()
        if number:
            found[OWN].append(ours)
            found[ECHO].append(theirs)
    return found


def main() -> int:
    """Run the rounds, check the account, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--verify", action="store_true", help="index everything, then run `vigie verify`")
    asked = parser.parse_args()
    with installation() as one:
        rounds = run(one, asked.seconds, asked.rounds, verify=asked.verify)
        balance = one.balance(indexed=asked.verify)
    report(rounds, balance)
    return int(not balance.holds)


def report(rounds: Rounds, balance: Balance) -> None:
    """Print JSON, then the table."""
    echo, own = Medians.of(rounds[ECHO]), Medians.of(rounds[OWN])
    rows_per_second = own.per_second * ROWS
    delivered = median(
        one.load.requests * ROWS / (one.load.seconds + one.after_seconds) for one in rounds[OWN]
    )
    result = {
        "rounds": {name: [asdict(one) for one in found] for name, found in rounds.items()},
        "ratios": {
            "rows_to_echo": rows_per_second / echo.per_second,
            "delivered_rows_to_echo": delivered / echo.per_second,
        },
        "balance": asdict(balance),
        "bars": {
            "title": "Rows of batches per second beside the echo's requests",
            "unit": "per second",
            "rows": [
                {"group": "", "name": "FastAPI's echo, requests", "value": echo.per_second},
                {"group": "", "name": f"Vigie, rows of {ROWS:,} a call", "value": rows_per_second},
            ],
        },
    }
    lines = [
        "| what | per second | p50 of a call | p99 of a call | CPU |",
        "|---|---|---|---|---|",
        f"| FastAPI's echo, requests | {echo.cells()} each |",
        f"| Vigie, rows | {rows_per_second:,.0f} | {own.p50_ms:.1f} ms | {own.p99_ms:.1f} ms "
        f"| {own.cpu_us / ROWS:.1f} µs each |",
        f"| Vigie, rows whose events are in the stream | {delivered:,.0f} | | | |",
        f"| rows to requests | {rows_per_second / echo.per_second:.1f} | | | |",
        "",
        f"Each row and each call has its event: answered {balance.answered:,}, written {balance.written:,}, "
        f"dropped {balance.dropped}.",
    ]
    sys.stdout.write(f"{orjson.dumps(result).decode()}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())

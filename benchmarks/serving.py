"""Predictions per second with everything written down, beside FastAPI's echo: `python benchmarks/serving.py`.

The yardstick (`benchmarks/echo.py`) takes the same body, a Pydantic model of the 14 inputs, and answers the
same to everything, behind the same uvicorn with its access log off. Beside it: Vigie as it is; Vigie that
makes no events and profiles nothing (`benchmarks/no_events.py`); Vigie with a profile demanded of each
request (`X-Profile: 1`). The rounds alternate; all servers run on one core, load and Redis on another.
Printed are medians. A run counts only if the stream has an event of each answer, and none was dropped; with
`--verify` the pipeline indexes them all, the store must have as many, and `vigie verify` must balance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import orjson
from contestants import Contestant, Medians, Round, alternate, start_echo
from installation import Balance, Installation, installation

ECHO, ON, OFF, FORCED = "FastAPI's echo", "Vigie", "Vigie, no events", "Vigie, profile demanded"
PROFILED_OF = 2000
"""Newest events that are looked at for the share of them that was profiled."""

Levels = Mapping[int, Mapping[str, Sequence[Round]]]
"""The rounds at each number of clients, by contestant."""


def ratios(levels: Levels) -> dict[str, float]:
    """Return what the floors are about, by name; `_at_N` is the number of clients."""
    found: dict[str, float] = {}
    for clients, rounds in levels.items():
        medians = {name: Medians.of(own) for name, own in rounds.items()}
        on = medians[ON]
        if (echo := medians.get(ECHO)) is not None:
            found[f"answers_to_echo_at_{clients}"] = on.per_second / echo.per_second
            found[f"cpu_to_echo_at_{clients}"] = on.cpu_us / echo.cpu_us
            found[f"p50_to_echo_at_{clients}"] = on.p50_ms / echo.p50_ms
            found[f"p99_to_echo_at_{clients}"] = on.p99_ms / echo.p99_ms
        if (off := medians.get(OFF)) is not None:
            found[f"events_to_none_at_{clients}"] = on.per_second / off.per_second
            found[f"cpu_none_to_events_at_{clients}"] = off.cpu_us / on.cpu_us
        if (forced := medians.get(FORCED)) is not None:
            found[f"profiled_to_budgeted_at_{clients}"] = forced.per_second / on.per_second
    return found


def table(levels: Levels, shares: Mapping[str, float]) -> str:
    """Return the medians as a table; `shares` are those profiled, by clients and contestant."""
    lines = [
        "| clients | server | answers/s | p50 | p99 | CPU per answer | to the echo | profiled |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for clients, rounds in levels.items():
        medians = {name: Medians.of(own) for name, own in rounds.items()}
        for name, one in medians.items():
            echo = f"{one.per_second / medians[ECHO].per_second:.2f}" if ECHO in medians else ""
            share = shares.get(f"{clients} {name}")
            profiled = "" if share is None else f"{share:.1%}"
            lines.append(f"| {clients} | {name} | {one.cells()} | {echo} | {profiled} |")
    return "\n".join(lines)


RATIOS = {
    "answers_to_echo": "answers/s to the echo's",
    "p50_to_echo": "p50",
    "p99_to_echo": "p99",
    "cpu_to_echo": "CPU per answer",
    "events_to_none": "answers/s with events to without",
    "profiled_to_budgeted": "with profiles demanded to budgeted",
}


def ratio_table(levels: Levels) -> str:
    """Return the ratios as a table, one row per number of clients."""
    found = ratios(levels)
    lines = [f"| clients | {' | '.join(RATIOS.values())} |", "|---" * (len(RATIOS) + 1) + "|"]
    for clients in levels:
        values = [found.get(f"{name}_at_{clients}") for name in RATIOS]
        lines.append(f"| {clients} | {' | '.join('' if one is None else f'{one:.2f}' for one in values)} |")
    return "\n".join(lines)


def contestants_of(one: Installation, names: Sequence[str]) -> list[Contestant]:
    """Start the servers and return the contestants of these names; the last two share a server."""
    found = {}
    if ECHO in names:
        found[ECHO] = start_echo(one.parts, one.request)
    if OFF in names:
        found[OFF] = one.api_without_events()
    on = found[ON] = one.api(ON)
    profiled = replace(on.request, headers={"X-Profile": "1"})
    found[FORCED] = replace(on, name=FORCED, request=profiled)
    return [found[name] for name in names]


def main() -> int:
    """Run the rounds, check the account, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=_numbers, default="1,8,32,128", help="such as 1,32")
    parser.add_argument("--seconds", type=float, default=2, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="only the echo and Vigie as it is")
    parser.add_argument("--verify", action="store_true", help="index everything, then run `vigie verify`")
    asked = parser.parse_args()
    names = (ECHO, ON) if asked.plain else (ECHO, OFF, ON, FORCED)
    levels: dict[int, Mapping[str, Sequence[Round]]] = {}
    shares: dict[str, float] = {}
    with installation() as one:
        contestants = contestants_of(one, names)
        for clients in asked.clients:
            watched = [_watched(one, each, shares, clients) for each in contestants]
            levels[clients] = alternate(watched, clients, asked.seconds, asked.rounds, one.home)
        balance = one.balance(indexed=asked.verify)
    report(levels, shares, balance)
    return int(not balance.holds)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _watched(one: Installation, each: Contestant, shares: dict[str, float], clients: int) -> Contestant:
    """Return the contestant; after each of its rounds, which share of its events was profiled is noted."""
    if each.name not in (ON, FORCED):
        return each

    def after(requests: int) -> None:
        each.after(requests)
        events = [
            orjson.loads(entry.event)["data"] for entry in one.stream.newest(min(requests, PROFILED_OF))
        ]
        predictions = [data["profiled"] for data in events if "profiled" in data]
        shares[f"{clients} {each.name}"] = sum(predictions) / len(predictions)

    return replace(each, after=after)


def report(levels: Levels, shares: Mapping[str, float], balance: Balance) -> None:
    """Print JSON, then the table."""
    result = {
        "rounds": {
            str(clients): {name: [asdict(one) for one in own] for name, own in rounds.items()}
            for clients, rounds in levels.items()
        },
        "ratios": ratios(levels),
        "profiled": shares,
        "balance": asdict(balance),
        "bars": bars(levels),
    }
    account = f"answered {balance.answered:,}, written {balance.written:,}, dropped {balance.dropped}"
    if balance.stored is not None:
        account += (
            f", stored {balance.stored:,}; `vigie verify` {'balanced' if balance.verified else 'FAILED'}"
        )
    parts = (orjson.dumps(result).decode(), table(levels, shares), "", ratio_table(levels), "", f"{account}.")
    sys.stdout.write("\n".join(parts) + "\n")


def bars(levels: Levels) -> dict[str, object]:
    """Return what the picture shows: answers per second of each server at each number of clients."""
    return {
        "title": "Answers per second, one server core",
        "unit": "answers/s",
        "rows": [
            {
                "group": f"{clients} client{'s' * (clients > 1)}",
                "name": name,
                "value": Medians.of(own).per_second,
            }
            for clients, rounds in levels.items()
            for name, own in rounds.items()
        ],
    }


if __name__ == "__main__":
    sys.exit(main())

"""The seeded campaign: rounds of faults under load, each judged by the client's own list.

A round deals three faults: an accident to a service (or the clock, or the disk), one on the way to Redis,
and one on the way to the store; they overlap at random moments. A round in which a fault was not seen to
act does not count and is run again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from tests.faults.client import Load
from tests.faults.faults import ACCIDENTS, CLOCK, DISK, REDIS_WIRE, STORE_TROUBLE, Fault, Scene
from tests.faults.judge import Judgement, explained, judge, read_ledger
from tests.faults.place import Place

RECOVERY_DEADLINE_SECONDS: Final = 240.0
ATTEMPTS: Final = 4
"""How often a round is run until each of its faults is seen to act."""


@dataclass(frozen=True, slots=True)
class Row:
    """One round."""

    faults: dict[str, int]
    """Fault → times it was seen to act."""
    events: int
    """Answered predictions."""
    unanswered: int
    """Requests without an answer."""
    lost: int
    duplicated: int
    unknown: int
    dropped: int
    unaccounted: int
    recovery_seconds: float
    """From the last fault's end and the last answer until every event had a verdict."""
    attempts: int
    """1, and one for each time a fault was not seen to act."""
    problems: tuple[str, ...] = ()
    missing: int | None = None
    """Answered events that are not stored, declared or not; None in results from before it was recorded."""

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, invented or unaccounted for, nor dropped unless a bound was reached."""
        if self.lost or self.duplicated or self.unknown or self.unaccounted:
            return False
        if not self.faults.get(str(DISK)):
            return self.dropped == 0 and not self.missing
        return self.missing is None or explained(self.missing, self.dropped, self.unanswered)


Plan = Sequence[Sequence[Fault]]


def plan(seed: int, rounds: int, *, with_disk: bool) -> Plan:
    """Deal `rounds` rounds: every fault of a kind comes once before any of them comes again."""
    chance = random.Random(seed)
    accidents = _deal([*ACCIDENTS, *CLOCK, *([DISK] if with_disk else [])], chance)
    on_redis, on_store = _deal(REDIS_WIRE, chance), _deal(STORE_TROUBLE, chance)
    return [_round(next(accidents), on_redis, on_store) for _ in range(rounds)]


def _round(accident: Fault, on_redis: Iterator[Fault], on_store: Iterator[Fault]) -> tuple[Fault, ...]:
    if accident == DISK:  # it keeps Redis away by itself
        return accident, next(on_store)
    return accident, next(on_redis), next(on_store)


def _deal(faults: Sequence[Fault], chance: random.Random) -> Iterator[Fault]:
    while True:
        yield from chance.sample(faults, len(faults))


def run(
    place: Place,
    rounds: Plan,
    records: Sequence[dict[str, Any]],
    events: int,
    seed: int,
    say: Callable[[str], None],
) -> list[Row]:
    """Run the rounds with `events` answered predictions each, at least; `say` hears each row."""
    rows = []
    for number, faults in enumerate(rounds, 1):
        rows.append(_run_round(place, number, faults, records, events, random.Random(f"{seed}/{number}")))
        say(f"{number}/{len(rounds)} {rows[-1]}")
    return rows


def _run_round(
    place: Place,
    number: int,
    faults: Sequence[Fault],
    records: Sequence[dict[str, Any]],
    events: int,
    chance: random.Random,
) -> Row:
    for attempt in islice(range(1, ATTEMPTS + 1), ATTEMPTS):
        load = Load(place.url("api"), records, f"round{number}x{attempt}", events)
        dropped = read_ledger(place).dropped
        acted = _under_load(place, load, faults, chance)
        ended = time.monotonic()
        place.await_settled(RECOVERY_DEADLINE_SECONDS)
        recovery = time.monotonic() - ended
        ledger = read_ledger(place)
        judgement = judge(place, load, ledger.dropped - dropped, may_drop=acted.get(str(DISK), 0) > 0)
        row = _row(acted, load, judgement, ledger.unaccounted, ledger.problems, recovery, attempt)
        if all(acted.values()) or not row.clean:
            return row
    raise AssertionError(f"in {ATTEMPTS} attempts not every fault was seen to act: {acted}")


def _under_load(place: Place, load: Load, faults: Sequence[Fault], chance: random.Random) -> dict[str, int]:
    load.start()
    scenes = [Scene(place, load, random.Random(chance.random())) for _ in faults]
    try:
        with ThreadPoolExecutor(len(faults)) as pool:
            strikes = [pool.submit(scene.strike, fault) for scene, fault in zip(scenes, faults, strict=True)]
        return {str(fault): strike.result() for fault, strike in zip(faults, strikes, strict=True)}
    finally:
        load.stop()


def _row(
    acted: dict[str, int],
    load: Load,
    judgement: Judgement,
    unaccounted: int,
    problems: tuple[str, ...],
    recovery: float,
    attempt: int,
) -> Row:
    return Row(
        faults=acted,
        events=len(load.answered),
        unanswered=len(load.unanswered),
        lost=judgement.lost,
        duplicated=judgement.duplicated,
        unknown=judgement.unknown,
        dropped=judgement.dropped,
        unaccounted=unaccounted,
        recovery_seconds=round(recovery, 1),
        attempts=attempt,
        problems=problems,
        missing=judgement.missing,
    )

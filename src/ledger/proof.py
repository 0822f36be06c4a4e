"""The proof that nothing is lost: each event in exactly one state, each state measured at its own place.

    produced = indexed + filtered + dead + cleared + expired + erased + pending + dropped

Produced is counted by the producers (journals of this host, Redis), pending in the journals and the stream,
filtered, dead and cleared in the ledger's bitmaps, erased and expired in their records, dropped where it was
declared, and indexed in the store itself. The ledger's own bitmap of indexed events is the check.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from typing import Final

import redis

from vigie.errors import VigieError
from vigie.ledger.account import Account, measure
from vigie.ledger.report import Report, Row
from vigie.ledger.stored import Comparison, compare
from vigie.settings import Settings
from vigie.telemetry.journal.survey import survey
from vigie.telemetry.stream.admission import losses
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import Stream

__all__ = ["LedgerError", "Report", "verify"]

MEASUREMENTS: Final = 3
"""A fault is told when as many measurements find one; what is lost stays lost."""


class LedgerError(VigieError):
    """The ledger cannot be read."""


def verify(settings: Settings, *, seconds: float | None = None) -> Report:
    """Measure the ledger and compare it with the store, within about `seconds`.

    Raises LedgerError when Redis is away or not used; a store that is away is a problem in the report.
    """
    if not settings.redis.log_to_redis:
        raise LedgerError("LOG_TO_REDIS=false: events go to standard output, there is no ledger to verify")
    deadline = None if seconds is None else time.monotonic() + seconds
    stream = Stream.open(settings.redis, timeout=10.0 if seconds is None else min(10.0, seconds / 2))
    try:
        for _ in range(MEASUREMENTS):
            report = _verified(settings, stream, deadline)
            late = deadline is not None and time.monotonic() > deadline
            if report.balanced or not report.complete or late:
                break
        return report
    except redis.RedisError as error:
        host, port = settings.redis.address
        raise LedgerError(redis_fault(error).told(f"Redis at {host}:{port}")) from error
    finally:
        stream.client.close()


def _verified(settings: Settings, stream: Stream, deadline: float | None) -> Report:
    journals = {found.producer: found for found in survey(settings.api.vigie_home)}
    erased_before = stream.ledger.totals().erased
    in_store = compare(settings, stream, measure(stream, journals), erased_before, deadline)
    rows, problems = [], list(in_store.problems.get("", ()))
    for account in in_store.accounts:
        said = [*account.problems(), *in_store.problems.get(account.producer, ())]
        row = _row(account, in_store, faulty=bool(said))
        problems += said or _sum_problem(row, complete=in_store.complete)
        rows.append(row)
    notes = (*in_store.notes, *_notes(stream, in_store.accounts, set(journals)))
    return Report(tuple(rows), in_store.documents, tuple(problems), notes, in_store.complete)


def _row(account: Account, in_store: Comparison, *, faulty: bool) -> Row:
    bits, events = account.bits, in_store.events.get(account.producer)
    counts, erased_dead = bits.counts, len(bits.erased_dead.upto(account.cut))
    return Row(
        producer=account.producer,
        role=account.role,
        closed=account.closed,
        produced=len(account.numbers(account.cut)),
        indexed=events.stored if events else None,
        filtered=counts["filtered"],
        dead=counts["dead"] - erased_dead,
        cleared=counts["cleared"],
        expired=events.expired if events else 0,
        erased=len(account.erased),
        removed=events.removed if events else 0,
        pending=len(account.pending),
        dropped=len(account.dropped),
        missing=len(account.missing) + (events.lost if events else 0),
        doubled=events.doubled if events else 0,
        faulty=faulty,
    )


def _sum_problem(row: Row, *, complete: bool) -> list[str]:
    """Return what is wrong with the sum where nothing else is wrong."""
    terms = row.count("indexed") + row.filtered + row.dead + row.cleared + row.expired + row.erased
    terms += row.removed + row.pending + row.dropped + row.missing
    if not complete or terms == row.produced:
        return []
    return [f"producer {row.producer}: {row.produced:,} produced, {terms:,} accounted for"]


def _notes(stream: Stream, accounts: Sequence[Account], here: set[str]) -> Iterator[str]:
    totals = stream.ledger.totals()
    if totals.strays:
        what = "written by hand, or under a number that its producer never wrote"
        yield f"{totals.strays:,} entries are in no producer's ledger: {what}"
    if totals.vanished:
        yield f"{totals.vanished:,} pending entries were deleted from the stream by somebody else"
    yield from map(str, losses(stream.client))
    host = socket.gethostname()
    elsewhere = {
        account.attributes.get("host", host)
        for account in accounts
        if not account.closed and account.producer not in here and account.admitted is None
    } - {host}
    if elsewhere:
        yield f"what the journals on {', '.join(sorted(elsewhere))} hold cannot be seen from here"

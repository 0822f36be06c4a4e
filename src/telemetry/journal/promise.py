"""What a crash of the machine may have cost, as a number that is on the disk before it is needed.

The end of a journal that was never synced is gone after a crash of the machine, and with it the only
witness of how many events it held. So the journal promises ahead, with its syncs: no number beyond this
one is in use. Whoever finds the journal after a restart of the machine declares everything between the
last event found and the promise as lost *at most*. An append never waits for a promise: when the numbers
run faster than the disk syncs, events beyond the promise can be lost undeclared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

LEAST_AHEAD: Final = 256
"""Numbers promised ahead at human rates: what a crash of the machine declares though nothing was lost."""
MOST_GROWTH: Final = 4
"""How many times as far as the last promise the next one reaches, unless the last one was outrun."""
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class Promise:
    """The promise of one journal, renewed when half of it is used up."""

    def __init__(self, interval_seconds: float, now: float = 0.0) -> None:
        self.upto = 0
        """No number beyond this one is in use."""
        self._interval_seconds = interval_seconds
        self._made_at = 0
        self._made_when = now
        self._renew_from = 0

    def is_due(self, high: int) -> bool:
        """Whether it should be renewed, at number `high`."""
        return high >= self._renew_from

    def renew(self, high: int, now: float) -> None:
        """Promise ahead of `high` twice what an interval uses at the rate since the last time, at `now`.

        So a busy process syncs once an interval for it; each sync of a journal that is being written stalls
        the writer. It grows fourfold at most, lest one large batch promise the numbers of a busy hour.
        """
        used, elapsed = high - self._made_at, max(now - self._made_when, 1e-3)
        usual = int(2 * self._interval_seconds * used / elapsed)
        ahead = max(LEAST_AHEAD, 2 * used, min(usual, MOST_GROWTH * (self.upto - self._made_at)))
        self.upto, self._renew_from = high + ahead, high + ahead // 2
        self._made_at, self._made_when = high, now


def boot_id() -> str:
    """Return what tells one start of this machine from the next; empty where the system does not say."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""

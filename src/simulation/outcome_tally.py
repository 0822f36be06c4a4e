"""What became of simulated outcomes: counts, for the live line and the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MOST_WAITING: Final = 100_000
"""Outcomes kept until they are due; further ones are left out, and counted."""
MOST_TRIES: Final = 5
TAKEN: Final = ("recorded", "known", "kept", "corrected")
"""What the API says of an outcome that it took."""


@dataclass
class OutcomeTally:
    """What became of the outcomes. To be told by one thread."""

    statuses: Counter[str] = field(default_factory=Counter)
    """By what the API said of each: recorded, known, kept, corrected, conflict, unknown, invalid, refused."""
    failed: int = 0
    """Given up: the API failed, or did not answer, as often as was tried."""
    waiting: int = 0
    """Not due yet, or to be tried again; at the end: never sent."""
    left_out: int = 0
    """More than may wait."""

    @property
    def sent(self) -> int:
        """Outcomes that were sent, however often."""
        return sum(self.statuses.values()) + self.failed

    @property
    def taken(self) -> int:
        """Outcomes that the API took, or had taken before."""
        return sum(self.statuses[status] for status in TAKEN)

    @property
    def faults(self) -> int:
        """Outcomes that failed, or that the API would not look at: ours are neither invalid nor unwelcome."""
        return self.failed + self.statuses["refused"] + self.statuses["invalid"]

    def lines(self) -> Iterator[str]:
        """Yield what is to be said in words."""
        said = ", ".join(f"{count:,} {status}" for status, count in sorted(self.statuses.items()))
        yield f"{self.sent:,} outcomes sent, {self.taken:,} taken{f' ({said})' if said else ''}"
        if self.failed:
            yield f"{self.failed:,} outcomes failed: no good answer in {MOST_TRIES} tries"
        if self.waiting:
            yield f"{self.waiting:,} outcomes were not sent: they were not due when it ended"
        if self.left_out:
            yield f"{self.left_out:,} outcomes were left out: more than {MOST_WAITING:,} were waiting"

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON."""
        counts = {"sent": self.sent, "taken": self.taken, "failed": self.failed, "not_sent": self.waiting}
        return {**counts, "left_out": self.left_out, "statuses": dict(sorted(self.statuses.items()))}

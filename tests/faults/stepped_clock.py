"""Runs a `vigie` command under a clock that a test may step: `python -m tests.faults.stepped_clock FILE api`.

FILE holds the step in seconds as one double. `time.time` and `time.time_ns`, which ids and timestamps are
made from, are replaced before anything of the platform is imported; its code knows nothing of it.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

_STEP = struct.Struct("<d")


class SteppedClock:
    """The test's hand on the clock of a process it starts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.step(0.0)

    def step(self, seconds: float) -> None:
        """Let the clock be `seconds` ahead of the real one."""
        mode = "r+b" if self.path.exists() else "w+b"
        with self.path.open(mode) as file:
            file.write(_STEP.pack(seconds))

    def to_midnight(self, before_seconds: float) -> None:
        """Set the clock to `before_seconds` before the next midnight UTC."""
        now = datetime.now(UTC)
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        self.step((midnight - now).total_seconds() - before_seconds)


def _replace_clock(path: Path) -> None:
    real_ns = time.time_ns
    with path.open("rb") as file:
        held = mmap.mmap(file.fileno(), _STEP.size, access=mmap.ACCESS_READ)

    def time_ns() -> int:
        return real_ns() + int(_STEP.unpack(held[:])[0] * 1e9)

    def seconds() -> float:
        return time_ns() / 1e9

    time.time_ns, time.time = time_ns, seconds


if __name__ == "__main__":
    _replace_clock(Path(sys.argv[1]))
    sys.argv = ["vigie", *sys.argv[2:]]
    from vigie.cli import main

    main()

"""The resident set of this process."""

from __future__ import annotations

import os
from collections.abc import Callable

import psutil

STATM = "/proc/self/statm"
"""Where Linux tells the process's memory in pages; the second field is the resident set."""


def from_psutil() -> int:
    """Return the resident set in bytes on any system psutil knows (about 20 µs)."""
    return int(psutil.Process().memory_info().rss)


def from_proc() -> int:
    """Return the resident set in bytes from Linux's /proc (about 2 µs); raises OSError elsewhere."""
    descriptor = os.open(STATM, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(descriptor, 128).split()[1]) * _PAGE_BYTES
    finally:
        os.close(descriptor)


def fastest_source() -> Callable[[], int]:
    """Return `from_proc` where it works, else `from_psutil`."""
    try:
        from_proc()
    except OSError:
        return from_psutil
    return from_proc


_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
resident_bytes: Callable[[], int] = fastest_source()
"""Return the resident set of this process, in bytes."""

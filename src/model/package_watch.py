"""Notices that the files of a package have changed, and that whoever changes them has finished."""

from __future__ import annotations

import os
from pathlib import Path

Signature = tuple[tuple[str, int, int, int], ...]
"""Name, time of change in ns, size in bytes and inode of each file of a folder, sorted."""


def signature(folder: Path) -> Signature:
    """Return the signature of `folder` without its hidden files; empty when it cannot be listed."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    status = entry.stat()
                    found.append((entry.name, status.st_mtime_ns, status.st_size, status.st_ino))
    except OSError:  # somebody is replacing it: the next look tells
        return ()
    return tuple(sorted(found))


class PackageWatch:
    """Looks at a package folder now and then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: Signature | None = None
        self._settled: Signature | None = None

    def look(self) -> Signature | None:
        """Return the signature of what has to be judged; None while nothing has.

        That is what is there, where it is not what was judged last and was the same at the look before:
        files that are still being copied wait for their last.
        """
        last, self._last = self._last, signature(self._folder)
        return self._last if self._last == last and self._last != self._settled else None

    def settle(self, judged: Signature) -> None:
        """Leave the folder alone until it is other than `judged`."""
        self._settled = judged

"""Making the files of one journal, and saying why none can be made."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from vigie.telemetry.journal.home import HeldFolder
from vigie.telemetry.journal.segment import HEADER_BYTES, Segment

SEGMENT_BYTES: Final = 4 * 1024 * 1024
"""Usual size of a segment: 0.2 s of events at 15,000 requests/s, time enough to prepare the next."""
NO_ROOM: Final = "no room on the disk"
NOT_WRITABLE: Final = "journal not writable"
_DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def segment_size(max_bytes: int) -> int:
    """Return the size of a segment for a journal of `max_bytes`: 8 to 128 fit (each two open files)."""
    size = max(max_bytes // 128, min(SEGMENT_BYTES, max_bytes // 8))
    return size - size % HEADER_BYTES


class JournalFiles:
    """The files of one journal, in its folder; each is made once. Safe among threads."""

    def __init__(self, folder: HeldFolder, segment_bytes: int, attributes: Mapping[str, str]) -> None:
        self.fault: str | None = None
        """Why `try_to_make` could not; None when it last could."""
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._attributes = attributes
        self._numbers = itertools.count(1)

    def make(self, *, patiently: bool = False) -> Segment:
        """Make the next file, and its folder again where somebody removed it. Raises OSError."""
        if self._folder.gone:
            self._folder.restore()
        size, attributes = self._segment_bytes, self._attributes
        return Segment.create(self._next_path(), size, attributes, patiently=patiently)

    def _reuse(self, used: Segment, *, patiently: bool) -> Segment:
        if used.gone:
            used.close()
            return self.make(patiently=patiently)
        try:
            used.begin_anew(self._next_path())
        except OSError:
            used.close()
            raise
        return used

    def keep_behind(self, last: Segment, made: Segment) -> None:
        """See that `made` has a name behind that of `last`, which an append made meanwhile. Raises OSError.

        Files are used in the order of their names: whoever finds them after a kill knows no other order.
        """
        if made.path.name < last.path.name:
            try:
                made.rename(self._next_path())
            except OSError:
                made.close()
                raise

    def _next_path(self) -> Path:
        return self._folder.path / f"{next(self._numbers):012d}.segment"

    def try_to_make(self, used: Segment | None, *, patiently: bool = False) -> Segment | None:
        """Make the next file, of a `used` one if there is one, or return None with the reason in `fault`.

        `patiently` is for a thread for which nobody waits.
        """
        try:
            make = self.make if used is None else partial(self._reuse, used)
            made = make(patiently=patiently)
        except OSError as error:
            self.fault = NO_ROOM if error.errno in _DISK_FULL else NOT_WRITABLE
            return None
        self.fault = None
        return made

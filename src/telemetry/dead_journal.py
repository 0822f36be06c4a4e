"""The journal of a process that is no more: found, locked, read, shipped and removed by another."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Self

from vigie.telemetry.journal_home import HeldFolder, take_dead_folders
from vigie.telemetry.journal_reader import JournalReader
from vigie.telemetry.journal_segment import Segment
from vigie.telemetry.stream_types import Gap, Record


class DeadJournal:
    """What a dead process left: readable and shippable like a journal, and locked by this process."""

    def __init__(self, folder: HeldFolder) -> None:
        self.producer = folder.producer
        self._folder = folder
        opened = [Segment.open(path) for path in sorted(folder.path.glob("*.segment"))]
        self._segments = deque(segment for segment in opened if segment is not None)
        known = [segment.attributes for segment in self._segments]
        self.attributes = next((attributes for attributes in known if attributes), {})
        shipped = max((segment.shipped for segment in self._segments), default=0)
        self._reader = JournalReader(self._segments, shipped=shipped)

    @classmethod
    def recover(cls, home: Path) -> list[Self]:
        """Return the journals of dead producers under `home`; another process cannot take them meanwhile."""
        found = []
        for folder in take_dead_folders(home):
            try:
                found.append(cls(folder))
            except OSError:
                folder.release()  # unreadable now; the next round tries again
        return found

    @property
    def shipped(self) -> int:
        """Highest number that is shipped; once `read` returns nothing, the producer's last."""
        return self._reader.shipped

    def read(self, limit: int) -> list[Record | Gap]:
        """Return up to `limit` items not shipped yet, in order (`JournalReader.read`)."""
        return self._reader.read(limit) if self._segments else []

    def advance(self, high: int) -> None:
        """Take note that everything up to `high` is shipped."""
        if self._segments:
            self._reader.advance(high)
        else:
            self._reader.shipped = max(self._reader.shipped, high)

    def rewind(self, high: int) -> None:
        """Ship again what follows `high`, as far as it is still here (`JournalReader.rewind`)."""
        if self._segments:
            self._reader.rewind(high)

    def close(self, *, delete: bool) -> None:
        """Remove the folder, or leave it to the next process."""
        for segment in self._segments:
            segment.close()
        if delete:
            self._folder.delete()
        self._folder.release()

"""The journal of a process that is no more: found, locked, read, shipped and removed by another."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from vigie.telemetry.journal.framing import Run
from vigie.telemetry.journal.home import HeldFolder, take_dead_folders
from vigie.telemetry.journal.promise import boot_id
from vigie.telemetry.journal.reader import CRASHED, DAMAGED, JournalReader
from vigie.telemetry.journal.segment import Segment
from vigie.telemetry.stream.items import Gap


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
        self._reader = crash_reader(self._segments, shipped)

    @classmethod
    def recover(cls, home: Path) -> list[Self]:
        """Return the journals of dead producers under `home`; another process cannot take them meanwhile."""
        found = []
        for folder in take_dead_folders(home):
            try:
                found.append(cls(folder))
            except (OSError, ValueError):
                folder.release()  # unreadable now; the next round tries again
        return found

    @property
    def shipped(self) -> int:
        """Highest number that is shipped; once `read` returns nothing, the producer's last."""
        return self._reader.shipped

    def read(self, limit: int) -> list[Run | Gap]:
        """Return up to `limit` events not shipped yet, in order (`JournalReader.read`)."""
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
        for segment in (*self._reader.retired, *self._segments):
            segment.close()
        if delete:
            self._folder.delete()
        self._folder.release()


def is_of_an_earlier_start(segments: Sequence[Segment]) -> bool:
    """Whether the machine was started anew since the journal was written; False where nobody can tell."""
    boots = {boot for segment in segments if (boot := segment.attributes.get("boot"))}
    return bool(boots) and boot_id() not in {*boots, ""}


def crash_reader(segments: deque[Segment], shipped: int) -> JournalReader:
    """Return a reader that also declares what the dead process's numbers reached beyond its records.

    What it wrote is known from the marks in the headers. When the machine was started anew since, the
    newest marks may be lost with the records: then the promise stands.
    """
    ends = [(max((segment.high for segment in segments), default=0), DAMAGED)]
    promises = [promised for segment in segments if (promised := segment.promised) is not None]
    if promises and is_of_an_earlier_start(segments):
        ends.append((promises[-1], CRASHED))
    return JournalReader(segments, shipped=shipped, ends=ends)

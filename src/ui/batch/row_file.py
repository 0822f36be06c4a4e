"""Rows on disk, in a file without a name: nobody else can open it, and it goes with whoever holds it."""

from __future__ import annotations

import os
import tempfile
import threading
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

BLOCK_ROWS: Final = 500
"""Rows held in memory at once while all are gone through."""


class RowFile:
    """Rows of JSON values by their number from 0 on; memory holds 16 bytes a row, the rest is on disk.

    The file has no name from the moment it is made, so it ends with the object, or with the process
    however that ends. Any thread may read and write.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="vigie-batch-")  # noqa: SIM115 - it lives as long as this
        self._starts, self._ends = array("Q"), array("Q")
        self._size = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self._size

    def put(self, first: int, rows: Sequence[object]) -> None:
        """Keep `rows` as numbers `first`, `first` + 1, …; a row kept before is replaced.

        Raises OSError when the disk is full.
        """
        encoded = [orjson.dumps(row) for row in rows]
        with self._lock:
            self._file.seek(self._size)
            self._file.write(b"".join(encoded))
            self._file.flush()
            missing = first + len(rows) - len(self._ends)
            if missing > 0:
                self._starts.extend([0] * missing)
                self._ends.extend([0] * missing)
            for number, line in enumerate(encoded, start=first):
                self._starts[number] = self._size
                self._size += len(line)
                self._ends[number] = self._size

    def get(self, first: int, last: int) -> list[Any]:
        """Return the rows from `first` up to, not including, `last`; None for one that was never kept."""
        with self._lock:
            spans = list(zip(self._starts[first:last], self._ends[first:last], strict=True))
        descriptor = self._file.fileno()
        return [
            orjson.loads(os.pread(descriptor, end - start, start)) if end > start else None
            for start, end in spans
        ]

    def blocks(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield all rows, some at a time, with the number of the first."""
        for first in range(0, len(self), BLOCK_ROWS):
            yield first, self.get(first, min(first + BLOCK_ROWS, len(self)))

"""The write-ahead log of an index: what is acknowledged but not yet committed to tantivy.

A commit of tantivy costs tens of milliseconds however few documents it has, and leaves a segment to be
merged. So a bulk is acknowledged once its operations are in this file, synced; commits come when somebody
reads, or when enough has gathered. After a crash the file is read back.

A record is length and CRC-32 (little endian, 4 bytes each), then a JSON array of [action, id, version,
sequence, bytes of source] per operation, a newline, and the sources one after another.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

import orjson

_HEADER = struct.Struct("<II")


class LoggedOperation(NamedTuple):
    """One accepted write: `action` is index or delete, with the version and sequence number it was given."""

    action: str
    doc_id: str
    version: int
    sequence: int
    source: bytes


class WriteAheadLog:
    """An append-only file of operations. Not for concurrent use: the index's write lock guards it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def append(self, operations: Sequence[LoggedOperation]) -> None:
        """Write the operations as one record and sync it. Raises OSError when the disk refuses."""
        heads = [[o.action, o.doc_id, o.version, o.sequence, len(o.source)] for o in operations]
        payload = b"\n".join((orjson.dumps(heads), b"".join(o.source for o in operations)))
        file = self._opened()
        file.write(_HEADER.pack(len(payload), crc32(payload)))
        file.write(payload)
        file.flush()
        os.fdatasync(file.fileno())

    def replay(self) -> Iterator[LoggedOperation]:
        """Yield what was appended, in order, up to the first record that a crash cut short."""
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        position = 0
        while position + _HEADER.size <= len(content):
            length, checksum = _HEADER.unpack_from(content, position)
            payload = content[position + _HEADER.size : position + _HEADER.size + length]
            if len(payload) < length or crc32(payload) != checksum:
                return
            yield from _operations(payload)
            position += _HEADER.size + length

    def clear(self) -> None:
        """Forget everything, as it is committed; were this lost, the sequence numbers would tell."""
        if self._file is not None:
            self._file.truncate(0)
        elif self._path.exists():
            os.truncate(self._path, 0)

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        if self._file is None:
            is_new = not self._path.exists()
            self._file = self._path.open("ab")
            if is_new:
                _sync_directory(self._path.parent)
        return self._file


def _operations(payload: bytes) -> Iterator[LoggedOperation]:
    head, _, sources = payload.partition(b"\n")
    position = 0
    for action, doc_id, version, sequence, length in orjson.loads(head):
        yield LoggedOperation(action, doc_id, version, sequence, sources[position : position + length])
        position += length


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

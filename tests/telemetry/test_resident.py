"""The resident set is told in bytes by either source."""

from __future__ import annotations

import mmap
import os

import pytest

from vigie.telemetry import resident


def test_both_sources_agree() -> None:
    """/proc and psutil tell the same number, apart from what the process does in between."""
    assert resident.from_proc() == pytest.approx(resident.from_psutil(), rel=0.1)
    assert resident.resident_bytes is resident.from_proc


def test_it_grows_by_what_is_touched() -> None:
    """The unit is bytes: touching 32 MiB adds 32 MiB."""
    before = resident.resident_bytes()
    with mmap.mmap(-1, 32 * 1024 * 1024) as pages:
        pages.write(b"x" * len(pages))
        grown = resident.resident_bytes() - before
    assert grown == pytest.approx(32 * 1024 * 1024, rel=0.2)


def test_psutil_serves_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc the figure comes from psutil."""
    monkeypatch.setattr(resident, "STATM", "/proc/self/no-such-file")
    resident._statm.cache_clear()
    assert resident.fastest_source() is resident.from_psutil


def test_a_forked_child_tells_its_own() -> None:
    """The file that is kept open belongs to the process that opened it."""
    resident.from_proc()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with mmap.mmap(-1, 64 * 1024 * 1024) as pages:
            pages.write(b"x" * len(pages))
            os.write(writer, f"{resident.from_proc()}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reader, 64)) == pytest.approx(resident.from_proc() + 64 * 1024 * 1024, rel=0.25)
    os.close(reader)
    os.close(writer)

"""Records are framed so that what is whole is read and what is not is recognised."""

from __future__ import annotations

import errno
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.events import records

from vigie.telemetry.journal import segment as journal_segment
from vigie.telemetry.journal.framing import MARKER, RECORD, Record, Run, StoredRun, frame
from vigie.telemetry.journal.segment import HEADER_BYTES, Segment
from vigie.telemetry.stream.items import Gap

SIZE = 64 * 1024
ATTRIBUTES = {"role": "api", "host": "here", "pid": "1", "started": "2026-11-20T10:30:45.123456Z"}

payloads = st.lists(
    st.one_of(st.text(min_size=1, max_size=300).map(str.encode), st.just(MARKER), st.just(MARKER * 3)),
    min_size=1,
    max_size=20,
)


@contextmanager
def written(events: list[bytes]) -> Iterator[tuple[Segment, list[int]]]:
    """A segment that holds the events from number 1 on, and the offset behind each."""
    with tempfile.TemporaryDirectory() as folder:
        segment = Segment.create(Path(folder) / "1.segment", SIZE, ATTRIBUTES)
        ends = []
        for number, event in enumerate(events, start=1):
            segment.write(frame(number, event) + event)
            ends.append(segment.used)
        yield segment, ends
        segment.close()


def reopened(segment: Segment) -> Segment:
    """The same file as another process finds it."""
    found = Segment.open(segment.path)
    assert found is not None
    return found


def overwrite(segment: Segment, at: int, data: bytes) -> None:
    """Damage the file."""
    with segment.path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("patiently", [False, True])
def test_whoever_waits_for_nothing_makes_a_file_in_small_steps(
    tmp_path: Path, patiently: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In between others get the core; either way it is whole, and all of it is in memory."""
    size = 64 * SIZE  # so many pages that the interpreter's own faults beside them do not matter
    pauses: list[float] = []
    monkeypatch.setattr(journal_segment.time, "sleep", pauses.append)
    monkeypatch.setattr(journal_segment, "FAULT_BYTES", 3 * HEADER_BYTES)
    segment = Segment.create(tmp_path / "1.segment", size, ATTRIBUTES, patiently=patiently)
    assert len(pauses) == (-(-size // (3 * HEADER_BYTES)) if patiently else 0)
    content = b"x" * segment.room
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    segment.write(content)
    assert resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before < size // HEADER_BYTES // 4
    segment.close()


@settings(deadline=None, max_examples=60)
@given(payloads)
def test_what_is_written_is_read(events: list[bytes]) -> None:
    """Every record comes back whole and in order, from the process and from its file."""
    with written(events) as (segment, ends):
        expected = [(Record(number, event), ends[number - 1]) for number, event in enumerate(events, start=1)]
        assert records(segment) == expected
        dead = reopened(segment)
        assert records(dead) == expected
        dead.close()


@settings(deadline=None, max_examples=60)
@given(payloads, st.integers(1, 7), st.integers(0, 25), st.booleans())
def test_runs_hold_each_record_once(events: list[bytes], most: int, after: int, trusted: bool) -> None:
    """Read in runs of any length from any number on, each record comes once, whole and in order."""
    with written(events) as (segment, _):
        stored = list(segment.runs(HEADER_BYTES, segment.used, after=after, most=most, trusted=trusted))
        runs = [segment.run(each) for each in stored]
        found = [record for run in runs for record in run.records()]
        assert found == [Record(n, event) for n, event in enumerate(events, start=1) if n > after]
        assert [run.size for run in runs[:-1]] == [most] * len(runs[:-1])
        assert [(run.first, run.last) for run in runs] == [(each.first, each.last) for each in stored]


def test_a_hole_ends_a_run() -> None:
    """Numbers that do not follow one another are never in one run."""
    with written([b"1", b"2"]) as (segment, ends):
        segment.write(Run.of([Record(5, b"5"), Record(6, b"6")]).framed)
        assert list(segment.runs(HEADER_BYTES, segment.used)) == [
            StoredRun(1, 2, HEADER_BYTES, ends[1]),
            StoredRun(5, 6, ends[1], segment.used),
        ]


def test_a_run_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few large records there are, a run ends once it has the bytes of one reading."""
    monkeypatch.setattr(journal_segment, "READ_BYTES", 1000)
    with written([b"x" * 600] * 5) as (segment, _):
        assert [(run.first, run.last) for run in segment.runs(HEADER_BYTES, segment.used)] == [
            (1, 2),
            (3, 4),
            (5, 5),
        ]


@settings(deadline=None, max_examples=60)
@given(payloads, st.data())
def test_a_half_written_record_is_not_read(events: list[bytes], data: st.DataObject) -> None:
    """Cut anywhere inside the last record, exactly those before it are read."""
    with written(events) as (segment, ends):
        start = ends[-2] if len(ends) > 1 else HEADER_BYTES
        cut = data.draw(st.integers(start, ends[-1] - 1))
        # A tail of zero bytes is what a cut leaves; a record whose own last bytes are zeros is still whole.
        whole = not any(segment._mapping[cut : ends[-1]])
        overwrite(segment, cut, bytes(ends[-1] - cut))
        dead = reopened(segment)
        found = [record.number for record, _ in records(dead)]
        assert found == list(range(1, len(events) + int(whole)))
        dead.close()


@settings(deadline=None, max_examples=100)
@given(payloads, st.data())
def test_a_damaged_record_takes_no_other_with_it(events: list[bytes], data: st.DataObject) -> None:
    """One byte changed anywhere costs the record it lies in, and the ones behind it are found again."""
    with written(events) as (segment, ends):
        at = data.draw(st.integers(HEADER_BYTES, ends[-1] - 1))
        flipped = segment._mapping[at] ^ data.draw(st.integers(1, 255))
        overwrite(segment, at, bytes([flipped]))
        damaged = next(number for number, end in enumerate(ends, start=1) if at < end)
        dead = reopened(segment)
        found = [record.number for record, _ in records(dead)]
        assert found == [number for number in range(1, len(events) + 1) if number != damaged]
        dead.close()


def test_the_header_tells_who_wrote_it() -> None:
    """Attributes and the highest shipped number are read by whoever opens the file."""
    with written([b"{}"]) as (segment, _):
        segment.shipped = 41
        dead = reopened(segment)
        assert dead.attributes == ATTRIBUTES
        assert dead.shipped == 41
        assert dead.gap is None
        dead.close()


def test_damaged_attributes_are_none() -> None:
    """A header whose checksum fails names nobody, and its records are still read."""
    with written([b"{}"]) as (segment, _):
        overwrite(segment, 270, b"\xff")
        dead = reopened(segment)
        assert dead.attributes == {}
        assert records(dead)[0][0] == Record(1, b"{}")
        dead.close()


def test_a_gap_grows_in_place() -> None:
    """The gap behind the last record is the newest that was declared."""
    with written([b"{}"]) as (segment, _):
        for last in range(2, 50):
            segment.declare(Gap(2, last, "journal full"))
        assert segment.gap == Gap(2, 49, "journal full")
        dead = reopened(segment)
        assert dead.gap == Gap(2, 49, "journal full")
        dead.close()


@pytest.mark.parametrize("slot", [16, 80])
def test_a_half_declared_gap_leaves_the_one_before(slot: int) -> None:
    """A kill in the middle of a declaration costs that declaration only: the other slot still holds."""
    with written([b"{}"]) as (segment, _):
        segment.declare(Gap(2, 2, "journal full"))
        segment.declare(Gap(2, 3, "journal full"))
        overwrite(segment, slot + 20, b"\xff")
        dead = reopened(segment)
        assert dead.gap == Gap(2, 3 if slot == 80 else 2, "journal full")
        dead.close()


def test_no_room_on_the_disk_is_found_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment is made with its room or not at all, and leaves no file behind."""

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(OSError, match="No space left"):
        Segment.create(tmp_path / "1.segment", SIZE, ATTRIBUTES)
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_file_is_no_segment(tmp_path: Path) -> None:
    """A file killed in the making holds no events and is passed over."""
    (tmp_path / "1.segment").touch()
    assert Segment.open(tmp_path / "1.segment") is None


def test_only_what_is_new_is_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second sync without new records costs the disk nothing, nor does one after the end."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with written([b"{}"]) as (segment, _):
        segment.sync()
        segment.sync()
        assert len(synced) == 1
        segment.write(frame(2, b"{}") + b"{}")
        segment.sync()
        assert len(synced) == 2
        segment.close()
        segment.sync()
        assert len(synced) == 2


def test_a_record_s_head_is_twenty_bytes() -> None:
    """The format on disk does not change unnoticed: another version's process reads it."""
    assert RECORD.size == 20
    assert frame(7, b"{}") == MARKER + (0xECE72984).to_bytes(4, "little") + b"\x02\0\0\0" + b"\x07" + bytes(7)

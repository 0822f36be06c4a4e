"""Damaged journals: what is sound is shipped, the rest is declared by number, nothing is made up."""

from __future__ import annotations

import mmap
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.events import (
    die,
    drain,
    event,
    gaps,
    numbers,
    records,
    recovered,
    segments,
    small_journal,
)

from vigie.telemetry.journal import reader as journal_reader
from vigie.telemetry.journal.framing import Record
from vigie.telemetry.journal.journal import Journal
from vigie.telemetry.journal.promise import LEAST_AHEAD, MOST_GROWTH
from vigie.telemetry.journal.reader import CRASHED, DAMAGED
from vigie.telemetry.journal.segment import Segment
from vigie.telemetry.stream.items import Gap

PAGE = mmap.PAGESIZE
EVENTS = 240
"""Fill two segments of 128 KiB and half of a third."""


@dataclass(frozen=True)
class Left:
    """What a killed process left, before anything happened to it."""

    home: Path
    written: dict[int, bytes]
    places: dict[int, tuple[str, int, int]]
    """Number → file, first byte, byte behind the last."""
    promised: int


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """A journal of three segments that a killed process left unshipped."""
    home = tmp_path_factory.mktemp("left")
    journal = small_journal(home)
    for number in range(1, EVENTS + 1):
        journal.append([event(number, filling="x" * (number * 97 % 2500))])
    journal.maintain()
    return left_by(journal, home)


def left_by(journal: Journal, home: Path) -> Left:
    """Kill the journal and tell where each event of it is."""
    die(journal)
    written, places, promised = dict[int, bytes](), dict[int, tuple[str, int, int]](), 0
    for path in segments(home):
        for record, end in records_of(path):
            written[record.number] = record.event
            places[record.number] = (path.name, end - len(record.framed), end)
        segment = Segment.open(path)
        assert segment is not None
        promised = max(promised, segment.promised or 0)
        segment.close()
    return Left(home, written, places, promised)


def records_of(path: Path) -> list[tuple[Record, int]]:
    """The sound records of a file, each with the offset behind it."""
    segment = Segment.open(path)
    assert segment is not None
    found = records(segment)
    segment.close()
    return found


@pytest.fixture
def copy(left: Left, tmp_path: Path) -> Iterator[list[Path]]:
    """The files of a copy of the journal, to be damaged."""
    shutil.copytree(left.home, tmp_path, dirs_exist_ok=True)
    yield segments(tmp_path)


def overwrite(path: Path, at: int, data: bytes) -> None:
    """Damage the file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def shipped_from(home: Path) -> list[Record | Gap]:
    """Everything that the next process ships from the one journal under `home`."""
    dead = recovered(home)
    items = drain(dead, page=50)
    dead.close(delete=False)
    return items


def within(left: Left, name: str, start: int, end: int) -> list[int]:
    """Numbers of the records that have a byte between two offsets of a file."""
    return [
        n
        for n, (file, first, behind) in left.places.items()
        if file == name and first < end and start < behind
    ]


def lose_tail_page(left: Left, files: list[Path]) -> list[int]:
    """Zero the pages from the middle of the newest segment's records on."""
    end = max(behind for file, _, behind in left.places.values() if file == files[-2].name)
    start = (end - 3 * PAGE) // PAGE * PAGE
    overwrite(files[-2], start, bytes(files[-2].stat().st_size - start))
    return within(left, files[-2].name, start, end)


def tear_a_record(left: Left, files: list[Path]) -> list[int]:
    """Zero what lies behind a page boundary within one record."""
    name = files[0].name
    number, start, end = next(
        (n, first, behind)
        for n, (file, first, behind) in left.places.items()
        if file == name and n > 20 and first // PAGE != behind // PAGE
    )
    boundary = (start // PAGE + 1) * PAGE
    overwrite(files[0], boundary, bytes(end - boundary))
    return [number]


def lose_header(left: Left, files: list[Path]) -> list[int]:
    """Zero the first page of a segment."""
    overwrite(files[1], 0, bytes(PAGE))
    return []


def garbage_behind_the_end(left: Left, files: list[Path]) -> list[int]:
    """Fill what follows the last record with noise."""
    end = max(behind for file, _, behind in left.places.values() if file == files[-2].name)
    noise = random.Random(1).randbytes(files[-2].stat().st_size - end)
    overwrite(files[-2], end, noise)
    return []


def lose_a_page(left: Left, files: list[Path]) -> list[int]:
    """Zero one page in the middle."""
    overwrite(files[1], 10 * PAGE, bytes(PAGE))
    return within(left, files[1].name, 10 * PAGE, 11 * PAGE)


def cut_a_file(left: Left, files: list[Path]) -> list[int]:
    """Shorten a segment to an odd length."""
    with files[0].open("r+b") as file:
        file.truncate(70_001)
    return within(left, files[0].name, 70_001, 1 << 40)


def lose_a_file(left: Left, files: list[Path]) -> list[int]:
    """Remove a segment in the middle."""
    files[1].unlink()
    return within(left, files[1].name, 0, 1 << 40)


@pytest.mark.parametrize(
    "damage",
    [
        lose_tail_page,
        tear_a_record,
        lose_header,
        garbage_behind_the_end,
        lose_a_page,
        cut_a_file,
        lose_a_file,
    ],
)
def test_damage_costs_what_it_hit_and_says_which(
    left: Left, copy: list[Path], tmp_path: Path, damage: Callable[[Left, list[Path]], list[int]]
) -> None:
    """Exactly the events whose bytes are damaged are declared lost, by number; all others are shipped."""
    lost = damage(left, copy)
    items = shipped_from(tmp_path)
    assert numbers(items) == list(range(1, EVENTS + 1))
    assert numbers(gaps(items)) == lost
    assert {gap.reason for gap in gaps(items)} <= {DAMAGED}
    assert {i.number: i.event for i in items if isinstance(i, Record)} == {
        number: text for number, text in left.written.items() if number not in lost
    }


def test_a_lost_newest_file_is_known_by_nobody(left: Left, copy: list[Path], tmp_path: Path) -> None:
    """When the newest file is removed on a machine that never stopped, the numbers end before it.

    That is no crash, and the only witness is gone; all before it is shipped.
    """
    name = copy[-2].name
    copy[-2].unlink()
    items = shipped_from(tmp_path)
    assert gaps(items) == []
    assert numbers(items) == [number for number, (file, _, _) in left.places.items() if file < name]


def test_the_end_that_a_crash_of_the_machine_took_is_declared_at_most(
    left: Left, copy: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart of the machine, numbers up to what was promised are declared behind the last found."""
    monkeypatch.setattr("vigie.telemetry.journal.dead.boot_id", lambda: "the next start")
    items = shipped_from(tmp_path)
    assert gaps(items) == [Gap(EVENTS + 1, left.promised, CRASHED)]
    assert EVENTS < left.promised <= EVENTS * 3 + MOST_GROWTH * LEAST_AHEAD


def test_an_older_file_s_promise_stands_when_the_newest_is_lost(
    left: Left, copy: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash of the machine that took the newest file too: the file before it still bounds the loss."""
    monkeypatch.setattr("vigie.telemetry.journal.dead.boot_id", lambda: "the next start")
    name = copy[-2].name
    copy[-2].unlink()
    last = max(number for number, (file, _, _) in left.places.items() if file < name)
    (gap,) = gaps(shipped_from(tmp_path))
    assert (gap.first, gap.reason) == (last + 1, CRASHED)
    assert gap.last >= LEAST_AHEAD


damages = st.lists(
    st.tuples(
        st.sampled_from(["zero", "flip", "noise", "cut", "remove"]),
        st.integers(0, 2),
        st.one_of(st.integers(0, 128 * 1024 - 1), st.integers(0, 400)),
        st.one_of(st.integers(1, 64), st.integers(1, 3 * PAGE)),
    ),
    min_size=1,
    max_size=6,
)


def apply(path: Path, kind: str, at: int, length: int) -> None:
    """Do one damage to a file, as far as it still reaches there."""
    if not path.exists() or at >= path.stat().st_size:
        return
    content = bytearray(path.read_bytes())
    end = min(at + length, len(content))
    if kind == "remove":
        path.unlink()
        return
    if kind == "cut":
        del content[at:]
    else:
        noise = random.Random(at).randbytes(end - at)
        old = content[at:end]
        content[at:end] = {
            "zero": bytes(end - at),
            "flip": bytes(byte ^ 0x41 for byte in old),
            "noise": noise,
        }[kind]
    path.write_bytes(content)


def intact(left: Left, home: Path) -> set[int]:
    """Numbers of the records whose every byte is where it was written."""
    contents = {path.name: path.read_bytes() for path in segments(home)}
    originals = {path.name: path.read_bytes() for path in segments(left.home)}
    return {
        number
        for number, (file, start, end) in left.places.items()
        if contents.get(file, b"")[start:end] == originals[file][start:end]
    }


@settings(deadline=None, max_examples=150)
@given(damages, st.booleans(), st.integers(0, EVENTS))
def test_no_damage_makes_up_or_hides_an_event(
    left: Left, harm: list[tuple[str, int, int, int]], restarted: bool, in_redis: int
) -> None:
    """Whatever bytes are lost: what is shipped was written; each number up to the last comes exactly once,
    as its event or in a declared gap; every event whose bytes are whole is shipped."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        home = Path(folder)
        shutil.copytree(left.home, home, dirs_exist_ok=True)
        files = segments(home)
        for kind, file, at, length in harm:
            apply(files[file], kind, at, length)
        if restarted:
            patch.setattr("vigie.telemetry.journal.dead.boot_id", lambda: "the next start")
        whole = intact(left, home)
        dead = recovered(home)
        dead.rewind(in_redis)
        dead.advance(in_redis)
        items = drain(dead, page=50)
        dead.close(delete=True)
    shipped = {item.number: item.event for item in items if isinstance(item, Record)}
    assert shipped.items() <= left.written.items()
    assert numbers(items) == list(range(in_redis + 1, in_redis + 1 + len(numbers(items))))
    assert set(shipped) == {number for number in whole if number > in_redis}
    assert {gap.reason for gap in gaps(items)} <= {DAMAGED, CRASHED}
    assert max(numbers(items), default=0) <= (left.promised if restarted else EVENTS)


SHIPPED = 300
"""Events that the files of the next journal held before they were used again."""


@pytest.fixture(scope="module")
def used_again(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """A journal in files that held shipped events before, whose ends they still hold."""
    home = tmp_path_factory.mktemp("used")
    journal = small_journal(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_reader, "KEEP_SECONDS", 0.0)
        patch.setattr(journal_reader, "USED_SECONDS", 600.0)
        for number in range(1, SHIPPED + 1):
            journal.append([event(number, filling="x" * (number * 97 % 2500))])
        before = {path.stat().st_ino for path in segments(home)}
        drain(journal)
        for number in range(SHIPPED + 1, SHIPPED + EVENTS + 1):
            journal.append([event(number, filling="x" * (number * 97 % 2500))])
            journal.maintain()
    left = left_by(journal, home)
    assert len([path for path in segments(home) if path.stat().st_ino in before]) >= 3
    assert min(left.written) <= SHIPPED  # else there is nothing to be taken for new
    return left


def test_files_used_again_hold_their_new_events_only(used_again: Left, tmp_path: Path) -> None:
    """What a file held before it was used again is not shipped once more, nor taken for a gap."""
    shutil.copytree(used_again.home, tmp_path, dirs_exist_ok=True)
    items = shipped_from(tmp_path)
    assert numbers(items) == list(range(SHIPPED + 1, SHIPPED + EVENTS + 1))
    assert gaps(items) == []


@settings(deadline=None, max_examples=100)
@given(damages, st.integers(0, EVENTS))
def test_damage_brings_no_shipped_event_back(
    used_again: Left, harm: list[tuple[str, int, int, int]], more_in_redis: int
) -> None:
    """Whatever bytes of files that were used again are lost: each number behind those that Redis has comes
    once, as its own event or in a declared gap, and every event whose bytes are whole is shipped."""
    in_redis = SHIPPED + more_in_redis
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shutil.copytree(used_again.home, home, dirs_exist_ok=True)
        files = segments(home)
        for kind, file, at, length in harm:
            apply(files[file], kind, at, length)
        whole = intact(used_again, home)
        dead = recovered(home)
        dead.rewind(in_redis)
        dead.advance(in_redis)
        items = drain(dead, page=50)
        dead.close(delete=True)
    shipped = {item.number: item.event for item in items if isinstance(item, Record)}
    assert shipped.items() <= used_again.written.items()
    assert numbers(items) == list(range(in_redis + 1, in_redis + 1 + len(numbers(items))))
    assert set(shipped) == {number for number in whole if number > in_redis}
    assert {gap.reason for gap in gaps(items)} <= {DAMAGED}

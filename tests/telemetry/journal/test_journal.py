"""What was appended is read, whatever happens to the process, and what was dropped is declared."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import orjson
import pytest
from tests.telemetry.events import (
    FILLING,
    die,
    drain,
    event,
    gaps,
    killed_after,
    messages,
    numbers,
    read,
    recovered,
    segments,
    small_journal,
)

from vigie.settings import MEBIBYTE, JournalSettings
from vigie.telemetry.event import Event
from vigie.telemetry.journal import reader as journal_reader
from vigie.telemetry.journal.dead import DeadJournal
from vigie.telemetry.journal.files import NO_ROOM, NOT_WRITABLE, segment_size
from vigie.telemetry.journal.framing import Record
from vigie.telemetry.journal.journal import FULL, Journal
from vigie.telemetry.journal.reader import DAMAGED
from vigie.telemetry.journal.segment import HEADER_BYTES, Segment
from vigie.telemetry.stream.items import Gap


def test_events_are_numbered_and_read_in_order(tmp_path: Path) -> None:
    """Each event carries its producer and the next number, in one stretch over all calls."""
    journal = small_journal(tmp_path)
    journal.append([event("a"), event("b")])
    journal.append([])
    journal.append([event("c")])
    items = read(journal, 10)
    assert numbers(items) == [1, 2, 3]
    assert messages(items) == ["a", "b", "c"]
    for item in items:
        assert isinstance(item, Record)
        data = orjson.loads(item.event)["data"]
        assert (data["producer"], data["number"]) == (journal.producer, item.number)
    assert (journal.high, journal.shipped, journal.backlog) == (3, 0, 3)
    journal.close(delete=True)


def test_a_batch_spans_segments(tmp_path: Path) -> None:
    """A batch larger than a segment is stored whole, in order."""
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(30)])
    assert messages(drain(journal)) == [str(n) for n in range(30)]
    journal.close(delete=True)


def test_full_drops_are_declared_exactly(tmp_path: Path) -> None:
    """When nothing more fits, numbers go on, the gap is declared, and each number is an event or in the gap."""
    journal = small_journal(tmp_path)
    for n in range(1, 121):
        journal.append([event(n, filling=FILLING)])
    assert journal.dropped == 120 - 8 * 12
    assert not journal.accepting
    journal.append([event("small")])  # what would still fit must not go behind the gap
    items = read(journal, 500)
    assert gaps(items) == [Gap(97, 121, FULL)]
    assert numbers(items) == list(range(1, 122))
    assert journal.high == 121
    journal.close(delete=True)


def test_after_a_drop_it_takes_events_again(tmp_path: Path) -> None:
    """Once shipped, there is room again: the gap ends and the numbers go on behind it."""
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(100)])
    assert journal.dropped == 4
    first = read(journal, 50)
    journal.advance(numbers(first)[-1])
    assert journal.accepting
    journal.append([event("after")])
    rest = drain(journal)
    assert numbers([*first, *rest]) == list(range(1, 102))
    assert gaps(rest) == [Gap(97, 100, FULL)]
    assert messages(rest)[-1] == "after"
    assert journal.dropped == 4
    journal.close(delete=True)


def test_a_gap_survives_a_kill(tmp_path: Path) -> None:
    """What was dropped before the process died is declared by whoever finds the journal."""
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(100)])
    die(journal)
    dead = recovered(tmp_path)
    items = read(dead, 500)
    assert gaps(items) == [Gap(97, 100, FULL)]
    assert numbers(items) == list(range(1, 101))
    dead.close(delete=True)


def test_no_room_on_the_disk_is_a_declared_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk drops events under its own reason, and the journal goes on when there is room again."""
    journal = small_journal(tmp_path)

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_room)
        journal.append([event(n, filling=FILLING) for n in range(15)])
        journal.maintain()
        assert not journal.accepting
    journal.maintain()
    assert journal.accepting
    journal.append([event("after")])
    items = drain(journal)
    assert gaps(items) == [Gap(13, 15, NO_ROOM)]
    assert numbers(items) == list(range(1, 17))
    journal.close(delete=True)


def test_what_json_cannot_hold_is_stored_as_text(tmp_path: Path) -> None:
    """An event with foreign values takes its number and arrives; no exception reaches the caller."""
    journal = small_journal(tmp_path)
    journal.append([event("odd", rejected_input={1: 2 + 3j, "bad": "\ud800"}, weight=np.int64(3))])
    (record,) = read(journal, 10)
    assert isinstance(record, Record)
    data = orjson.loads(record.event)["data"]
    assert data["rejected_input"] == {"1": "(2+3j)", "bad": "?"}
    assert (data["weight"], data["number"], data["producer"]) == (3, 1, journal.producer)
    journal.close(delete=True)


def test_what_is_no_event_takes_no_number(tmp_path: Path) -> None:
    """Something of another shape is counted as refused, and its neighbours are stored."""
    journal = small_journal(tmp_path)
    shapeless: Event = {"message": "no data"}  # type: ignore[typeddict-item] # that is the point
    journal.append([event("a"), shapeless, event("b")])
    items = read(journal, 10)
    assert (numbers(items), messages(items)) == ([1, 2], ["a", "b"])
    assert (journal.refused, journal.high) == (1, 2)
    journal.close(delete=True)


def test_an_event_too_large_is_abridged(tmp_path: Path) -> None:
    """An event beyond a quarter of a segment keeps its number and its identity."""
    journal = small_journal(tmp_path)
    journal.append([event("m", transaction_id="t", exception="x" * 200_000)])
    (record,) = read(journal, 10)
    assert isinstance(record, Record)
    stored = orjson.loads(record.event)
    assert stored["message"].startswith("m … (abridged from 200")
    assert (stored["data"]["transaction_id"], stored["data"]["number"]) == ("t", 1)
    assert len(stored["data"]["exception"]) == 1000
    journal.close(delete=True)


def test_an_append_within_an_append_follows_it(tmp_path: Path) -> None:
    """A value whose text logs, as a finaliser would, neither blocks nor mixes with the event in hand."""
    journal = small_journal(tmp_path)

    class Logs:
        def __str__(self) -> str:
            journal.append([event("inner")])
            return "text"

    journal.append([event("outer", rejected_input=Logs()), event("next")])
    items = read(journal, 10)
    assert messages(items) == ["outer", "next", "inner"]
    assert numbers(items) == [1, 2, 3]
    journal.close(delete=True)


def test_threads_share_one_numbering(tmp_path: Path) -> None:
    """Appends from many threads, while another reads, give each event one number and lose none."""
    journal = small_journal(tmp_path, 64 * MEBIBYTE)

    def work(name: int) -> None:
        for n in range(500):
            journal.append([event(f"{name}-{n}-{part}") for part in range(3)])

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    found: list[Record | Gap] = []
    while any(thread.is_alive() for thread in threads):
        journal.maintain()
        found += drain(journal)
    for thread in threads:
        thread.join()
    found += drain(journal)
    assert numbers(found) == list(range(1, 6001))
    assert sorted(messages(found)) == sorted(
        f"{name}-{n}-{part}" for name in range(4) for n in range(500) for part in range(3)
    )
    journal.close(delete=True)


def test_the_next_segment_is_prepared(tmp_path: Path) -> None:
    """`maintain` keeps one segment ahead, within the bound, and is asked for when it is taken."""
    journal = small_journal(tmp_path)
    journal.maintain()
    assert len(segments(tmp_path)) == 2
    assert not journal.wanted.is_set()
    journal.append([event(n, filling=FILLING) for n in range(13)])
    assert len(segments(tmp_path)) == 2
    assert journal.wanted.is_set()
    for _ in range(20):
        journal.append([event(n, filling=FILLING) for n in range(12)])
        journal.maintain()
    assert len(segments(tmp_path)) == 8
    journal.close(delete=True)


def test_only_what_is_not_shipped_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Redis has needs no sync; what it has not goes to the disk once."""
    journal = small_journal(tmp_path)
    journal.maintain()  # its promise
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    journal.append([event("a")])
    drain(journal)
    journal.maintain()
    assert synced == []
    journal.append([event("b")])
    journal.maintain()
    journal.maintain()
    assert len(synced) == 1
    journal.close(delete=True)


def test_after_the_end_events_are_refused(tmp_path: Path) -> None:
    """A closed journal takes nothing, says so, and counts."""
    journal = small_journal(tmp_path)
    journal.maintain()
    journal.close(delete=True)
    journal.close(delete=False)
    journal.append([event("late")])
    journal.maintain()
    assert (journal.refused, journal.high, journal.accepting) == (1, 0, False)
    assert segments(tmp_path) == []


def test_a_home_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creation fails where there is no folder or no room, and leaves nothing."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Journal.create(tmp_path / "file", "api", JournalSettings())

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(OSError, match="No space"):
        small_journal(tmp_path / "home")
    assert DeadJournal.recover(tmp_path / "home") == []


@pytest.mark.parametrize("max_bytes", [MEBIBYTE, 64 * MEBIBYTE, 1024 * MEBIBYTE, 64 * 1024 * MEBIBYTE])
def test_segments_fit_the_bound(max_bytes: int) -> None:
    """Whatever the bound, 8 to 128 whole pages-aligned segments fit into it."""
    size = segment_size(max_bytes)
    assert 8 <= max_bytes // size <= 128
    assert size % HEADER_BYTES == 0


def test_a_forked_child_never_writes_into_its_parent_s_journal(tmp_path: Path) -> None:
    """The child's copy takes nothing, and the parent's goes on, its lock held even after the child."""
    journal = small_journal(tmp_path)
    journal.append([event("before")])
    child = os.fork()
    if child == 0:
        journal.append([event("child")])
        refused = journal.abandoned and journal.refused == 1 and not journal.accepting
        os._exit(0 if refused else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert DeadJournal.recover(tmp_path) == []
    journal.append([event("after")])
    assert messages(read(journal, 10)) == ["before", "after"]
    journal.close(delete=True)


def test_a_living_child_does_not_keep_its_dead_parent_s_journal(tmp_path: Path) -> None:
    """When the parent dies its journal is free, though a child that was forked from it lives on."""
    journal = small_journal(tmp_path)
    until, finished = os.pipe()
    lives, living = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(finished)
        os.write(living, b"x")
        os.read(until, 1)
        os._exit(0)
    assert os.read(lives, 1) == b"x"
    die(journal)
    recovered(tmp_path).close(delete=True)
    os.close(finished)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


APPENDS_UNTIL_KILLED = """
import sys, threading
from pathlib import Path
from tests.telemetry.events import event, small_journal
from vigie.settings import MEBIBYTE

journal = small_journal(Path(sys.argv[1]), 64 * MEBIBYTE)

def keep():
    while True:
        journal.maintain()
        journal.wanted.wait(0.05)

threading.Thread(target=keep, daemon=True).start()
n = 0
while True:
    journal.append([event(f"{n}-{part}", filling="x" * (n * 37 % 3000)) for part in range(1 + n % 3)])
    n += 1
    print(journal.high, flush=True)
"""


@pytest.mark.parametrize("line", ["1", "150", "2001"])
def test_everything_appended_survives_sigkill(tmp_path: Path, line: str) -> None:
    """After SIGKILL in the midst of appends, every event whose append returned is there, whole and once."""
    acknowledged = [int(text) for text in killed_after(APPENDS_UNTIL_KILLED, [tmp_path], line) if text]
    dead = recovered(tmp_path)
    items = drain(dead)
    assert gaps(items) == []
    found = numbers(items)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= acknowledged[-1] >= int(line)
    expected = [f"{n}-{part}" for n in range(len(found)) for part in range(1 + n % 3)]
    assert messages(items) == expected[: len(found)]
    dead.close(delete=True)


def test_files_are_used_in_the_order_of_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose making took so long that appends went on to others meanwhile comes behind those."""
    journal = small_journal(tmp_path)
    making, go_on = threading.Event(), threading.Event()
    fault_in = Segment._fault_in

    def slowly(segment: Segment, pause_seconds: float) -> None:
        if pause_seconds:
            making.set()
            assert go_on.wait(20)
        fault_in(segment, pause_seconds)

    monkeypatch.setattr(Segment, "_fault_in", slowly)
    keeper = threading.Thread(target=journal.maintain)
    keeper.start()
    assert making.wait(20)
    journal.append([event(n, filling=FILLING) for n in range(30)])
    go_on.set()
    keeper.join(20)
    journal.append([event(n, filling=FILLING) for n in range(30, 50)])
    assert journal.dropped == 0
    die(journal)
    dead = recovered(tmp_path)
    items = drain(dead)
    assert (gaps(items), messages(items)) == ([], [str(n) for n in range(50)])
    dead.close(delete=True)


def test_the_start_is_a_timestamp(tmp_path: Path) -> None:
    """`started` is the journal's making, in the events' own format."""
    journal = small_journal(tmp_path)
    assert journal.attributes["started"].startswith(time.strftime("%Y-", time.gmtime()))
    assert journal.attributes["started"].endswith("Z")
    journal.close(delete=True)


def test_a_journal_whose_files_were_removed_goes_on_in_new_ones(tmp_path: Path) -> None:
    """What was in the removed files is shipped from memory, and what follows is in files again."""
    journal = small_journal(tmp_path)
    journal.append([event(n) for n in range(10)])
    shutil.rmtree(tmp_path / "producers")
    journal.append([event("in between")])
    journal.maintain()
    journal.append([event("after")])
    assert messages(read(journal, 500)) == [*map(str, range(10)), "in between", "after"]
    die(journal)
    dead = recovered(tmp_path)
    items = drain(dead)
    assert gaps(items) == [Gap(1, 11, DAMAGED)]
    assert messages(items) == ["after"]
    dead.close(delete=True)


def test_a_batch_right_behind_the_removal_finds_room(tmp_path: Path) -> None:
    """The next file is made where the folder is made again, before anybody noticed that it was gone."""
    journal = small_journal(tmp_path)
    journal.append([event("first")])
    shutil.rmtree(tmp_path / "producers")
    journal.append([event(n, filling=FILLING) for n in range(40)])
    assert (journal.dropped, len(segments(tmp_path))) == (0, 3)
    assert numbers(drain(journal)) == list(range(1, 42))
    journal.close(delete=True)
    assert DeadJournal.recover(tmp_path) == []


def test_a_home_that_cannot_be_written_any_more_has_a_reason_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is dropped because no file can be made, though the disk has room, says so."""
    journal = small_journal(tmp_path)

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", read_only)
        journal.append([event(n, filling=FILLING) for n in range(15)])
        assert not journal.accepting
    journal.maintain()
    journal.append([event("after")])
    assert gaps(drain(journal)) == [Gap(13, 15, NOT_WRITABLE)]
    journal.close(delete=True)


def test_a_removed_file_alone_is_noticed_too(tmp_path: Path) -> None:
    """The folder may stay: events go into a file that still has a name."""
    journal = small_journal(tmp_path)
    journal.append([event("first")])
    journal.maintain()
    for path in segments(tmp_path):
        path.unlink()
    journal.maintain()
    journal.append([event("second")])
    (path,) = segments(tmp_path)
    assert b'"message":"second"' in path.read_bytes()
    assert messages(drain(journal)) == ["first", "second"]
    journal.close(delete=True)


def test_a_home_that_cannot_be_made_again_is_told_and_keeps_its_events(tmp_path: Path) -> None:
    """While the folder cannot be made again, what is in memory is kept and the fault raised each time."""
    journal = small_journal(tmp_path / "home")
    journal.append([event("kept")])
    shutil.rmtree(tmp_path / "home")
    (tmp_path / "home").touch()
    for _ in range(2):
        with pytest.raises(OSError, match="home"):
            journal.maintain()
    (tmp_path / "home").unlink()
    journal.maintain()
    journal.append([event("after")])
    assert messages(drain(journal)) == ["kept", "after"]
    journal.close(delete=True)


def test_files_that_cannot_be_removed_cost_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a home that became read-only shipping goes on behind each file whose removal failed."""
    journal = small_journal(tmp_path)
    journal.append([event(n, filling=FILLING) for n in range(60)])
    found: list[Record | Gap] = []

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    failures = 0
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", read_only)
        patch.setattr(journal_reader, "KEEP_SECONDS", 0.0)
        patch.setattr(journal_reader, "USED_SECONDS", 0.0)
        while journal.backlog:
            try:
                items = read(journal, 7)
            except OSError:
                failures += 1
                continue
            found += items
            last = items[-1]
            assert isinstance(last, Record)
            journal.advance(last.number)
    assert failures == 4
    assert numbers(found) == list(range(1, 61))
    assert gaps(found) == []
    journal.close(delete=True)

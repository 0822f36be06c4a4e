"""A folder belongs to the living process that made it; a dead one's is taken by exactly one other."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vigie.telemetry.journal import home as journal_home
from vigie.telemetry.journal.home import make_folder, take_dead_folders

PRODUCER = "6f1c2a5e-0000-4000-8000-000000000001"


def test_a_living_producer_s_folder_is_not_taken(tmp_path: Path) -> None:
    """While its maker holds the lock nobody else gets the folder; afterwards the next one does."""
    held = make_folder(tmp_path, PRODUCER)
    assert take_dead_folders(tmp_path) == []
    held.release()
    (found,) = take_dead_folders(tmp_path)
    assert found.producer == PRODUCER
    assert found.path == tmp_path / "producers" / PRODUCER
    found.release()


def test_a_dead_folder_is_taken_once(tmp_path: Path) -> None:
    """Of two that look, one gets the folder and the other nothing, until it is released."""
    make_folder(tmp_path, PRODUCER).release()
    (first,) = take_dead_folders(tmp_path)
    assert take_dead_folders(tmp_path) == []
    first.release()
    first.release()
    (second,) = take_dead_folders(tmp_path)
    second.delete()
    assert not second.path.exists()
    assert take_dead_folders(tmp_path) == []


def test_an_interrupted_removal_is_finished(tmp_path: Path) -> None:
    """A folder without a lock file holds no events: it is removed; other files are left alone."""
    producers = tmp_path / "producers"
    (producers / PRODUCER).mkdir(parents=True)
    (producers / "notes.txt").touch()
    assert take_dead_folders(tmp_path) == []
    assert not (producers / PRODUCER).exists()
    assert (producers / "notes.txt").exists()


def test_there_may_be_nothing(tmp_path: Path) -> None:
    """Without a folder of producers nothing is dead, and none is made."""
    assert take_dead_folders(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_same_producer_is_not_made_twice(tmp_path: Path) -> None:
    """An id that is taken is refused, its folder untouched."""
    held = make_folder(tmp_path, PRODUCER)
    with pytest.raises(FileExistsError):
        make_folder(tmp_path, PRODUCER)
    held.delete()


def test_a_folder_with_events_is_kept_though_its_lock_file_is_lost(tmp_path: Path) -> None:
    """A crash of the machine may lose a file's name: what still holds events is shipped, not removed."""
    held = make_folder(tmp_path, PRODUCER)
    (held.path / "000000000001.segment").touch()
    (held.path / "lock").unlink()
    held.release()
    (found,) = take_dead_folders(tmp_path)
    assert (found.producer, [path.name for path in sorted(found.path.iterdir())]) == (
        PRODUCER,
        ["000000000001.segment", "lock"],
    )
    found.delete()


def test_a_removed_folder_is_made_again(tmp_path: Path) -> None:
    """Whoever holds it sees that it is gone, makes it again with its lock, and nobody else gets it."""
    held = make_folder(tmp_path, PRODUCER)
    assert not held.gone
    shutil.rmtree(tmp_path / "producers")
    assert held.gone
    held.restore()
    assert (held.gone, take_dead_folders(tmp_path)) == (False, [])
    held.release()
    assert [found.producer for found in take_dead_folders(tmp_path)] == [PRODUCER]


def test_a_folder_that_is_gone_is_removed_without_ado(tmp_path: Path) -> None:
    """Where somebody removed every folder there is nothing left to remove, and no fault."""
    held = make_folder(tmp_path, PRODUCER)
    shutil.rmtree(tmp_path / "producers")
    held.delete()
    assert take_dead_folders(tmp_path) == []


def test_a_process_that_hangs_with_the_lock_of_all_keeps_none_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searching finds nothing for now, making says why it cannot; what is removed is found later."""
    monkeypatch.setattr(journal_home, "LOCK_SECONDS", 0.05)
    folder = make_folder(tmp_path, PRODUCER)
    with (tmp_path / "producers" / ".lock").open() as hanging:
        fcntl.flock(hanging, fcntl.LOCK_EX)
        assert take_dead_folders(tmp_path) == []
        with pytest.raises(OSError, match="and does not go on"):
            make_folder(tmp_path, "another")
        folder.delete()
    assert [found.producer for found in take_dead_folders(tmp_path)] == [PRODUCER]


def while_a_child_lives(check: Callable[[], object]) -> None:
    """Fork, run `check` in this process, and end the child."""
    parent, ours = socket.socketpair()
    child = os.fork()
    if child == 0:
        parent.close()
        ours.send(b"here")
        ours.recv(1)  # until the parent closes its end
        os._exit(0)
    try:
        assert parent.recv(4) == b"here"
        check()
    finally:
        parent.close()
        ours.close()
        os.waitpid(child, 0)


def test_a_fork_inherits_no_lock_of_all_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that forks while one of its threads makes or searches folders stops nobody by its child."""
    monkeypatch.setattr(journal_home, "LOCK_SECONDS", 0.5)
    make_folder(tmp_path, PRODUCER).release()
    holding = threading.Event()

    def hold() -> None:
        with journal_home._everybody(tmp_path / "producers"):
            holding.set()
            time.sleep(0.2)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(10)
    while_a_child_lives(lambda: (thread.join(), make_folder(tmp_path, PRODUCER[:-1] + "2").release()))


def test_a_forked_child_holds_none_of_its_parent_s_folders(tmp_path: Path) -> None:
    """A folder that the parent leaves is free, and its child that lives on does not keep it."""
    held = make_folder(tmp_path, PRODUCER)

    def leave() -> None:
        held.release()
        (found,) = take_dead_folders(tmp_path)
        found.release()

    while_a_child_lives(leave)

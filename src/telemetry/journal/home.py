"""The folders of journals, and who may touch which: VIGIE_HOME/producers/<producer>/.

A living process holds the lock of its folder (`flock`, which the kernel releases however the process
ends); a folder whose lock is free belongs to a dead one. Folders are made, searched and removed under
one lock of them all, so that nobody sees one half made or half removed. A process that hangs while it
holds that one keeps no other waiting for long. The locks work among the processes of one machine.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK: Final = "lock"
LOCK_SECONDS: Final = 10.0
"""How long the lock of all folders is waited for; it is held for milliseconds."""

_forking = threading.Lock()
"""Keeps this process from forking while a thread has the lock of all folders: its child would inherit it,
and keep everybody else waiting for life."""


class HeldFolder:
    """A producer's folder whose lock this process holds."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        _held.add(self)

    @property
    def producer(self) -> str:
        """The producer whose folder it is."""
        return self.path.name

    @property
    def gone(self) -> bool:
        """Whether somebody removed the folder under this process."""
        return os.fstat(self._descriptor).st_nlink == 0

    def restore(self) -> None:
        """Make the folder again and lock it, after somebody removed it. Raises OSError."""
        descriptor = _make(self.path, exist_ok=True)
        self.release()
        self._descriptor = descriptor

    def release(self) -> None:
        """Leave the folder to the next process; a forked child has let go of its parent's already."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def delete(self) -> None:
        """Remove the folder with everything in it."""
        try:
            with _everybody(self.path.parent):
                shutil.rmtree(self.path, ignore_errors=True)
        except (FileNotFoundError, TimeoutError):
            pass  # somebody removed all folders, this one too; or the next search finds it
        finally:
            self.release()


def make_folder(home: Path, producer: str) -> HeldFolder:
    """Make and lock the folder of a new producer. Raises OSError."""
    path = home.absolute() / "producers" / producer
    return HeldFolder(path, _make(path))


def _make(path: Path, *, exist_ok: bool = False) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _everybody(path.parent):
        path.mkdir(exist_ok=exist_ok)
        descriptor = _lock(path / LOCK, os.O_CREAT)
    if descriptor is None:
        raise OSError(f"the new folder {path} is locked by another process")
    return descriptor


def take_dead_folders(home: Path) -> list[HeldFolder]:
    """Lock and return the folders of dead producers; what another process has taken is left out.

    There are none for now when another process hangs while it searches or removes.
    """
    producers = home / "producers"
    if not producers.is_dir():
        return []
    try:
        return _taken(producers)
    except TimeoutError:
        return []


def _taken(producers: Path) -> list[HeldFolder]:
    held = []
    with _everybody(producers):
        for path in sorted(producers.absolute().iterdir()):
            if not path.is_dir():
                continue
            if not (path / LOCK).exists() and not any(path.glob("*.segment")):
                shutil.rmtree(path, ignore_errors=True)  # its making or its removal was interrupted
                continue
            descriptor = _lock(path / LOCK, os.O_CREAT)
            if descriptor is not None:
                held.append(HeldFolder(path, descriptor))
    return held


def _lock(path: Path, flags: int = 0) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def _everybody(producers: Path) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        with _forking:
            descriptor = _lock(producers / ".lock", os.O_CREAT)
            if descriptor is not None:
                try:
                    yield
                    return
                finally:
                    os.close(descriptor)
        if time.monotonic() > deadline:
            raise TimeoutError(f"another process holds {producers / '.lock'} and does not go on")
        time.sleep(0.01)


_held: weakref.WeakSet[HeldFolder] = weakref.WeakSet()


def _leave_in_child() -> None:
    _forking.release()
    for folder in _held:
        folder.release()


os.register_at_fork(before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_leave_in_child)

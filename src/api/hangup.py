"""SIGHUP: a reload when somebody sends it, the end when the terminal has gone."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from uvicorn.supervisors import Multiprocess


def lives_by_terminal() -> bool:
    """Whether the end of a terminal is this process's end: it has one, and was not started by `nohup`."""
    return signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


class Hangup:
    """Tells the two meanings of SIGHUP apart: who lives by a terminal and has none now shall end."""

    def __init__(
        self, reload: Callable[[], None], end: Callable[[], None], *, lives_by_terminal: bool
    ) -> None:
        self._reload = reload
        self._end = end
        self._lives_by_terminal = lives_by_terminal

    def __call__(self) -> None:
        """Do what the signal means."""
        if self._lives_by_terminal and not _has_terminal():
            self._end()
        else:
            self._reload()


class Workers(Multiprocess):
    """uvicorn's parent of several API processes. At SIGHUP each reloads; uvicorn would replace them all.

    A worker starts with SIGHUP held back (`hangups_held`) until it can handle it: one that comes while it
    loads its model neither ends it nor is lost.
    """

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], *, lives_by_terminal: bool
    ) -> None:
        super().__init__(config, sockets)
        self._hangup = Hangup(self._pass_on, self.should_exit.set, lives_by_terminal=lives_by_terminal)

    def init_processes(self) -> None:
        """Start the workers."""
        with hangups_held():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have died."""
        with hangups_held():
            super().keep_subprocess_alive()

    def handle_hup(self) -> None:
        """Handle SIGHUP."""
        self._hangup()

    def _pass_on(self) -> None:
        for process in self.processes:
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGHUP)


@contextmanager
def hangups_held() -> Iterator[None]:
    """Hold SIGHUP back from this thread, and from processes started meanwhile for as long as they wish."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed_hangups() -> None:
    """Let SIGHUP come, and what was held back of it, where this process was started with it held back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

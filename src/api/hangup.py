"""SIGHUP: a reload when somebody sends it, the end when the terminal has gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from uvicorn.supervisors import Multiprocess


def has_terminal() -> bool:
    """Whether this process has a terminal that would stop it."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


class Hangup:
    """Tells the two meanings of SIGHUP apart: who was started in a terminal and has none now shall end."""

    def __init__(self, reload: Callable[[], None], end: Callable[[], None]) -> None:
        self._reload = reload
        self._end = end
        self._had_terminal = has_terminal()

    def __call__(self) -> None:
        """Do what the signal means."""
        if self._had_terminal and not has_terminal():
            self._end()
        else:
            self._reload()


class Workers(Multiprocess):
    """uvicorn's parent of several API processes. At SIGHUP each reloads; uvicorn would replace them all."""

    def run(self) -> None:
        """Keep the workers running until a signal ends it."""
        self._hangup = Hangup(self._pass_on, self.should_exit.set)
        super().run()

    def handle_hup(self) -> None:
        """Handle SIGHUP."""
        self._hangup()

    def _pass_on(self) -> None:
        for process in self.processes:
            if process.pid is not None and process.is_ready():  # one that starts loads what is there
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGHUP)

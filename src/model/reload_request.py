"""How a command asks every API process of an installation to look at its package, and hears what came of it.

Under VIGIE_HOME/reload/ stand the number of the latest request and, for each API process, a file whose lock
it holds while it lives, beside its answer. There are no process ids to send signals to, so it works from
another container that shares the folder.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

FOLDER: Final = "reload"
REQUEST: Final = "request"


class Outcome(BaseModel):
    """What a process did about the package it was pointed at."""

    model_config = ConfigDict(frozen=True)

    result: Literal["reloaded", "unchanged", "refused"]
    before: str
    """Version that was served."""
    after: str
    """Version that is served."""
    reason: str = ""
    """Why the package was refused, else why its runtime answers."""

    def __str__(self) -> str:
        """Say it in one line."""
        match self.result:
            case "reloaded":
                return f"{self.before} → {self.after} ({self.reason})"
            case "unchanged":
                return f"{self.after} is what is served already"
            case _:
                return f"refused, {self.after} goes on answering: {self.reason}"


class Answer(BaseModel):
    """What an API process says of itself."""

    model_config = ConfigDict(frozen=True)

    process: str
    """Its own name, unlike that of any other."""
    number: int
    """Request that it has answered."""
    host: str
    pid: int
    outcome: Outcome | None = None


def latest_request(home: Path) -> int:
    """Return the number of the latest request; 0 when there was none."""
    try:
        return int((home / FOLDER / REQUEST).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def request_reload(home: Path) -> int:
    """Ask for a reload and return the request's number, which is above those before it. Raises OSError."""
    number = max(latest_request(home) + 1, time.time_ns())
    _write(home / FOLDER / REQUEST, str(number))
    return number


def answers(home: Path) -> Iterator[Answer]:
    """Yield what each living API process of the installation says; what dead ones left is removed."""
    for lock in sorted((home / FOLDER).glob("*.lock")):
        said = lock.with_suffix(".json")
        if not _is_held(lock):
            lock.unlink(missing_ok=True)
            said.unlink(missing_ok=True)
            continue
        with suppress(OSError, ValidationError):  # it ends just now
            yield Answer.model_validate_json(said.read_bytes())


class ReloadDesk:
    """An API process's end of it: sees requests, leaves answers."""

    def __init__(self, home: Path) -> None:
        """Take a place under `home`; requests made before are not this process's. Raises OSError."""
        folder = home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._home = home
        self._lock = folder / f"{uuid.uuid4().hex}.lock"
        self._answered = latest_request(home)
        self._say(None)
        # Locked before it has its name: an unlocked one is taken for that of a dead process.
        draft = self._lock.with_suffix(".draft")
        self._descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        draft.rename(self._lock)

    def wanted(self) -> int | None:
        """Return the number of a request that is not answered yet."""
        number = latest_request(self._home)
        return number if number > self._answered else None

    def answer(self, number: int, outcome: Outcome) -> None:
        """Say what came of request `number`. Raises OSError."""
        self._answered = number
        self._say(outcome)

    def close(self) -> None:
        """Leave."""
        self._lock.unlink(missing_ok=True)
        self._lock.with_suffix(".json").unlink(missing_ok=True)
        os.close(self._descriptor)

    def _say(self, outcome: Outcome | None) -> None:
        answer = Answer(
            process=self._lock.stem,
            number=self._answered,
            host=socket.gethostname(),
            pid=os.getpid(),
            outcome=outcome,
        )
        _write(self._lock.with_suffix(".json"), answer.model_dump_json())


def _is_held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _write(file: Path, content: str) -> None:
    """Replace `file` in one step, so that nobody reads half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}-{uuid.uuid4().hex}")
    draft.write_text(content, encoding="utf-8")
    draft.replace(file)

"""How the worker processes of one API show each other their figures, so that any of them answers for all.

Each worker has a place (a file and its lock) in a folder that belongs to host and port, and writes what it
counts there every second. Whoever is asked writes its own and adds up the files. It reads its own figures
from there too, hence a sum never falls from one scrape to the next, whichever worker answers.

A worker that takes the place of a dead one goes on with its counts: Prometheus must not see a sum fall
because a worker was replaced. The first worker of an API finds nobody alive, and begins at 0.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from vigie.telemetry.metrics.samples import Samples, as_json, counted, from_json, merged

_EVERYBODY: Final = ".lock"


class WorkerFiles:
    """This process's place among the workers of one API. Its methods may be called from any thread."""

    def __init__(self, home: Path, port: int) -> None:
        """Take a place under `home` for a worker of the API that listens on `port`. Raises OSError."""
        self._folder = home.absolute() / "metrics" / f"{socket.gethostname()}-{port}"
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._place, self._lock = self._take()
            self._before = counted(_read(self._place))

    def publish(self, samples: Samples) -> None:
        """Show `samples`, all that this process counts and measures now. Raises OSError."""
        with self._alone():
            self._write(merged((self._before, samples)))

    def exchange(self, samples: Samples) -> Samples:
        """Show `samples` and return the sum over all workers; of dead ones only what they counted.

        Raises OSError.
        """
        with self._alone():
            self._write(merged((self._before, samples)))
            return merged(self._everybodys())

    def leave(self) -> None:
        """Give the place to the next worker; its counts stay."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take(self) -> tuple[Path, int]:
        """Lock the first place that is free; where nobody lives, the counts of an API that has ended go."""
        places = sorted(self._folder.glob("*.place"))
        locks = {place: _lock(place) for place in places}
        if all(lock is not None for lock in locks.values()):
            for place in places:
                place.with_suffix(".json").unlink(missing_ok=True)
        free = next((place for place in places if locks[place] is not None), None)
        for place, lock in locks.items():
            if lock is not None and place != free:
                os.close(lock)
        if free is None:
            free = self._folder / f"{len(places):04}.place"
            locks[free] = _lock(free)
        lock = locks[free]
        assert lock is not None  # nobody else takes places meanwhile
        return free.with_suffix(".json"), lock

    def _write(self, samples: Samples) -> None:
        if self._lock < 0:  # it has left, and the place may be another's
            return
        written = self._place.with_suffix(".new")
        written.write_bytes(orjson.dumps(as_json(samples)))
        written.replace(self._place)

    def _everybodys(self) -> Iterator[Samples]:
        for place in sorted(self._folder.glob("*.json")):
            samples = _read(place)
            lock = None if place == self._place else _lock(place.with_suffix(".place"))
            if lock is None:
                yield samples
            else:
                os.close(lock)
                yield counted(samples)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = os.open(self._folder / _EVERYBODY, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _lock(place: Path) -> int | None:
    """Return a descriptor that holds the lock of `place`; None while a living process holds it."""
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _read(place: Path) -> Samples:
    try:
        return from_json(orjson.loads(place.read_bytes()))
    except (FileNotFoundError, orjson.JSONDecodeError):  # not written yet, or cut short by a full disk
        return {}

"""The faults of the campaign: each acts on the running platform and says how often it was seen to act."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from tests.faults import proxy
from tests.faults.client import Load
from tests.faults.place import Place
from tests.faults.store_faults import BULK_FAULTS, BulkFault

from vigie.telemetry.journal.survey import survey

Part = Literal["redis", "store", "api", "pipeline", "disk", "clock"]
DEADLINE_SECONDS: Final = 60.0
"""How long a fault waits for something to act on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What breaks, and how."""

    part: Part
    kind: str

    def __str__(self) -> str:
        return f"{self.part} {self.kind}"


REDIS_WIRE: Final = tuple(Fault("redis", kind) for kind in proxy.FAULTS)
STORE_TROUBLE: Final = tuple(Fault("store", kind) for kind in (*proxy.FAULTS, *BULK_FAULTS))
SERVICES: Final[tuple[Part, ...]] = ("api", "pipeline", "redis", "store")
CRASH: Final = Fault("redis", "loses its last second")
"""What a crash of its machine costs a Redis with `appendfsync everysec`."""
ACCIDENTS: Final = (
    *(Fault(part, name) for part in SERVICES for name in ("SIGKILL", "SIGSTOP")),
    CRASH,
)
CLOCK: Final = (Fault("clock", "back one hour"), Fault("clock", "over midnight"))
DISK: Final = Fault("disk", "full")


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault acts: the platform, the load on it, and chance."""

    place: Place
    load: Load
    chance: random.Random

    def strike(self, fault: Fault) -> int:
        """Let `fault` act at a random moment for a random time; return how often it was seen to act."""
        time.sleep(self.chance.uniform(0.0, 0.3))
        if fault.kind in proxy.FAULTS:
            wire = self.place.redis_wire if fault.part == "redis" else self.place.store_wire
            return self._on_the_wire(wire, fault.kind)
        if fault.kind in BULK_FAULTS:
            return self._in_answers(fault.kind)
        if fault.kind == "SIGKILL":
            return self._kill(fault.part)
        if fault.kind == "SIGSTOP":
            return self._suspend(fault.part)
        return {
            CRASH.kind: self._crash_redis,
            DISK.kind: self._fill_disk,
            "back one hour": self._step_back,
            "over midnight": self._midnight,
        }[fault.kind]()

    def _hold(self) -> None:
        time.sleep(self.chance.uniform(0.2, 1.5))

    # Between the parts

    def _on_the_wire(self, wire: proxy.TcpProxy, kind: proxy.Fault) -> int:
        before, wanted = wire.acted[kind], self.chance.randint(1, 3)
        wire.break_down(kind)
        try:
            seen(lambda: wire.acted[kind] >= before + (1 if kind in {"refuse", "hang"} else wanted))
            self._hold()
        finally:
            wire.heal()
        return wire.acted[kind] - before

    def _in_answers(self, kind: BulkFault) -> int:
        store, wanted = self.place.store_faults, self.chance.randint(1, 4)
        before = store.acted[kind]
        store.fault = kind
        try:
            seen(lambda: store.acted[kind] >= before + wanted)
            self._hold()
        finally:
            store.fault = None
        return store.acted[kind] - before

    # Of the parts

    def _kill(self, name: Part) -> int:
        acted = self._in_the_middle(name, lambda: self.place.kill(name), kill=True)
        if name not in self.place.processes:
            self._hold()
            self.place.start(name)
        return acted

    def _crash_redis(self) -> int:
        """Kill Redis, and take from its file what was written within a second before."""
        sizes: list[tuple[float, int]] = []
        killed = threading.Event()

        def watch() -> None:
            while not killed.wait(0.05):
                sizes.append((time.monotonic(), self.place.append_only_file.stat().st_size))

        watcher = threading.Thread(target=watch)
        watcher.start()
        seen(lambda: bool(sizes) and time.monotonic() - sizes[0][0] > 1.5)
        acted = self._in_the_middle("redis", lambda: self.place.kill("redis"), kill=True)
        at = time.monotonic() - 1.0
        killed.set()
        watcher.join()
        if not acted:
            return 0
        file = self.place.append_only_file
        kept = max(size for when, size in sizes if when <= at)
        lost = file.stat().st_size - kept  # below zero: Redis wrote its file anew meanwhile
        if lost > 0:
            os.truncate(file, kept)
        self.place.start("redis")
        return int(lost > 0)

    def _suspend(self, name: Part) -> int:
        try:
            acted = self._in_the_middle(name, lambda: self.place.signal(name, signal.SIGSTOP), kill=False)
            self._hold()
        finally:
            self.place.signal(name, signal.SIGCONT)
        return acted

    def _in_the_middle(self, name: Part, action: Callable[[], None], *, kill: bool) -> int:
        """Do `action` while the service has work in its hands; return 1 when that was so."""
        store, wire, load = self.place.store_faults, self.place.redis_wire, self.load
        if name == "redis":  # a write or a settlement is with it
            return _once(wire.at_next_request, action)
        if name == "store":  # a bulk is with it
            broken = store.broken
            if not _once(lambda act: store.at_next_bulk(act, fatal=kill), action):
                return 0
            return int(not kill or seen(lambda: store.broken > broken))
        if name == "api":  # requests wait for their answer
            if not seen(lambda: load.in_flight > 0):
                return 0
            failed = len(load.unanswered)
            action()
            return int(not kill or seen(lambda: len(load.unanswered) > failed))
        if not seen(lambda: self.place.in_flight() > 0):
            return 0
        action()
        return int(self.place.in_flight() > 0)

    # Around them

    def _fill_disk(self) -> int:
        """Fill the disk under the journals while Redis takes nothing, until events are dropped and declared."""
        place, ballast = self.place, self.place.home / "producers" / "ballast"
        if not place.disk:
            return 0
        place.redis_wire.break_down("refuse")
        try:
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(65536)):
                    pass
            dropping = seen(lambda: declared(place) > 0, pause_seconds=0.2)
            answered = len(self.load.answered)
            answering = seen(lambda: len(self.load.answered) > answered)
            return declared(place) if dropping and answering else 0
        finally:
            ballast.unlink(missing_ok=True)
            place.redis_wire.heal()

    def _step_back(self) -> int:
        return self._while_clock(lambda: self.place.clock.step(-3600.0), lambda old, new: new < old)

    def _midnight(self) -> int:
        return self._while_clock(
            lambda: self.place.clock.to_midnight(1.0), lambda old, new: new[:10] > old[:10]
        )

    def _while_clock(self, step: Callable[[], None], shows: Callable[[str, str], bool]) -> int:
        """Step the clock of API and pipeline until an answer's timestamp `shows` it (of the old and the new one)."""
        seen(lambda: bool(self.load.newest))
        old = self.load.newest
        step()
        try:
            acted = seen(lambda: shows(old, self.load.newest))
            self._hold()
        finally:
            self.place.clock.step(0.0)
        return int(acted)


def declared(place: Place) -> int:
    """Return the dropped events that journals declare and have not shipped yet."""
    return sum(gap.last - gap.first + 1 for journal in survey(place.home) for gap in journal.gaps)


def seen(
    condition: Callable[[], bool], deadline_seconds: float = DEADLINE_SECONDS, pause_seconds: float = 0.002
) -> bool:
    """Whether `condition` came true in time."""
    end = time.monotonic() + deadline_seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause_seconds)
    return True


def _once(arm: Callable[[Callable[[], None]], None], action: Callable[[], None]) -> int:
    done = threading.Event()

    def act() -> None:
        action()
        done.set()

    arm(act)
    if done.wait(DEADLINE_SECONDS):
        return 1
    arm(lambda: None)  # too late now
    return int(done.is_set())

"""One supervisor for the processes of one machine: start, watch, restart with back-off, stop."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from vigie.demo.services import Service
from vigie.errors import VigieError

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 15.0
STEADY_SECONDS = 30.0
"""A process that lived this long starts over with the shortest back-off."""
GRACE_SECONDS = 8.0
"""What a service gets to stop by itself before it is killed."""
USER_ERROR = 2
"""Exit status of our commands for something the user must put right: a restart would not help."""

Say = Callable[[str], None]


class ServiceFailedError(VigieError):
    """A service cannot run; the message is its own last line."""


@cache
def dies_with_us() -> tuple[str, ...]:
    """Return what to put before a command so that the kernel ends it with this process, even by SIGKILL.

    Linux with util-linux's setpriv; elsewhere nothing, and a killed supervisor leaves its services running.
    """
    guard = ("setpriv", "--pdeathsig", "TERM")
    try:
        tried = subprocess.run([*guard, "true"], capture_output=True, check=False)
    except OSError:
        return ()
    return guard if tried.returncode == 0 else ()


@dataclass
class Supervised:
    """A service and its process of the moment."""

    service: Service
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    backoff_seconds: float = FIRST_BACKOFF_SECONDS

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def last_line(self) -> str:
        """Return the last line the process printed."""
        with suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if lines:
                return lines[-1]
        return "it printed nothing"


@dataclass
class Supervisor:
    """Starts services in order, keeps them running, stops them in reverse order.

    Each service is a process in a session of its own, so that a Ctrl-C in the terminal reaches the
    supervisor alone and the services stop in order; its output goes to `logs`/<name>.log.
    """

    logs: Path
    say: Say
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    clock: Callable[[], float] = time.monotonic
    supervised: list[Supervised] = field(default_factory=list)

    def start(self, services: Sequence[Service]) -> None:
        """Start `services` side by side.

        Raises PortInUseError before anything of them is started.
        """
        for service in services:
            service.demand_free_port()
        self.logs.mkdir(parents=True, exist_ok=True)
        for service in services:
            one = Supervised(service, self.logs / f"{service.name}.log")
            one.log.unlink(missing_ok=True)
            self.supervised.append(one)
            self._launch(one)

    def await_ready(self, names: Sequence[str], deadline_seconds: float, idle: Callable[[], None]) -> None:
        """Wait until the services called `names` are ready; `idle` is called between two looks.

        Raises ServiceFailedError when one gives up or is not ready in time.
        """
        waiting = [one for one in self.supervised if one.service.name in names]
        end = self.clock() + deadline_seconds
        while waiting:
            self.tend()
            ready = [one for one in waiting if one.running and one.service.ready()]
            for one in ready:
                self.say(f"{one.service.name} is ready after {self.clock() - one.started_at:.1f} s")
            waiting = [one for one in waiting if one not in ready]
            if waiting and self.clock() > end:
                slow = waiting[0]
                raise ServiceFailedError(
                    f"{slow.service.name} is not ready after {deadline_seconds:.0f} s, see {slow.log}: "
                    f"{slow.last_line()}"
                )
            idle()

    def tend(self) -> None:
        """Notice what died, and start again what is due.

        Raises ServiceFailedError when a service ended with a message for the user.
        """
        now = self.clock()
        for one in self.supervised:
            if one.process is not None and one.process.poll() is not None:
                self._mourn(one, one.process.returncode, now)
            if one.process is None and now >= one.restart_at:
                self._launch(one)

    def restart(self, wanted: Callable[[Service], bool]) -> None:
        """Stop the services that `wanted` picks, and start them again."""
        for one in self.supervised:
            if wanted(one.service) and one.running:
                self._stop(one)
                self._launch(one)

    def stop(self) -> None:
        """Stop everything, in reverse order of start; what outlives its grace time is killed."""
        for one in reversed(self.supervised):
            self._stop(one)
        self.supervised.clear()

    def _launch(self, one: Supervised) -> None:
        one.started_at = self.clock()
        with one.log.open("ab") as output:
            one.process = subprocess.Popen(
                (*dies_with_us(), *one.service.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                start_new_session=True,
            )

    def _mourn(self, one: Supervised, status: int, now: float) -> None:
        one.process = None
        if status == USER_ERROR:
            raise ServiceFailedError(f"{one.service.name}: {one.last_line()}")
        if now - one.started_at >= STEADY_SECONDS:
            one.backoff_seconds = FIRST_BACKOFF_SECONDS
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        self.say(f"{one.service.name} died ({how}); starting it again in {one.backoff_seconds:g} s")
        one.restart_at = now + one.backoff_seconds
        one.backoff_seconds = min(2 * one.backoff_seconds, LONGEST_BACKOFF_SECONDS)

    def _stop(self, one: Supervised) -> None:
        process, one.process = one.process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.say(f"{one.service.name} did not stop within {GRACE_SECONDS:g} s and was killed")
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

"""The supervisor: start, watch, restart with back-off, stop, leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.servers import free_port, wait_for

from vigie.demo import supervisor as module
from vigie.demo.services import PortInUseError, Service
from vigie.demo.supervisor import ServiceFailedError, Supervisor, dies_with_us

SLEEPER = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


def service(name: str, code: str, ready: Callable[[], bool] = lambda: True, reloads: bool = True) -> Service:
    """Return a service that runs a line of Python."""
    return Service(name, (sys.executable, "-c", code), ready, reloads=reloads)


@pytest.fixture
def said() -> list[str]:
    """What the supervisor said."""
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    """A supervisor that is stopped at the end."""
    one = Supervisor(tmp_path / "logs", said.append)
    yield one
    one.stop()


def pid_of(supervisor: Supervisor, name: str) -> int | None:
    """Return the process id of a running service."""
    one = next(one for one in supervisor.supervised if one.service.name == name)
    return one.process.pid if one.running and one.process else None


def gone(pid: int) -> bool:
    """Whether the process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_service_that_died_is_started_again_and_it_says_so(supervisor: Supervisor, said: list[str]) -> None:
    """A killed service comes back with another process id, and the message names signal and delay."""
    supervisor.start([service("one", SLEEPER)])
    first = pid_of(supervisor, "one")
    assert first is not None
    os.kill(first, signal.SIGKILL)

    def came_back() -> int | None:
        supervisor.tend()
        pid = pid_of(supervisor, "one")
        return pid if pid != first else None

    assert wait_for(came_back) != first
    assert said == ["one died (SIGKILL); starting it again in 0.5 s"]


def test_backoff_grows_and_forgives(tmp_path: Path) -> None:
    """The delay doubles with each death up to a bound, and a steady life resets it."""
    said: list[str] = []
    now = [0.0]
    one = Supervisor(tmp_path, said.append, clock=lambda: now[0])
    one.start([service("one", "raise SystemExit(3)")])
    for _ in range(7):
        process = one.supervised[0].process
        assert process is not None
        process.wait()
        one.tend()
        now[0] = one.supervised[0].restart_at
        one.tend()
    delays = [line.split(" in ")[1] for line in said]
    assert delays == ["0.5 s", "1 s", "2 s", "4 s", "8 s", "15 s", "15 s"]
    assert "died (status 3)" in said[0]
    now[0] += module.STEADY_SECONDS
    process = one.supervised[0].process
    assert process is not None
    process.wait()
    one.tend()
    assert said[-1].endswith("in 0.5 s")
    one.stop()


def test_an_error_for_the_user_ends_it_with_that_line(supervisor: Supervisor) -> None:
    """Exit status 2 with a message is not restarted: the message is the error."""
    supervisor.start(
        [service("one", "import sys; print('vigie: MODEL_PATH is wrong'); sys.exit(2)", ready=lambda: False)]
    )
    with pytest.raises(ServiceFailedError, match="one: vigie: MODEL_PATH is wrong"):
        supervisor.await_ready(["one"], 10, lambda: time.sleep(0.02))


def test_waiting_for_ready_has_a_deadline(supervisor: Supervisor) -> None:
    """A service that never gets ready is named, with the place of its log."""
    supervisor.start([service("slow", SLEEPER, ready=lambda: False)])
    with pytest.raises(ServiceFailedError, match=r"slow is not ready after 0 s, see .*slow\.log"):
        supervisor.await_ready(["slow"], 0.2, lambda: time.sleep(0.02))


def test_ready_services_are_announced(supervisor: Supervisor, said: list[str]) -> None:
    """Progress is visible: each service that gets ready is named with its time."""
    supervisor.start([service("a", SLEEPER), service("b", SLEEPER)])
    supervisor.await_ready(["a", "b"], 10, lambda: None)
    assert [line.split(" after ")[0] for line in said] == ["a is ready", "b is ready"]


def test_stop_leaves_no_process_not_even_a_stubborn_one_or_a_grandchild(
    supervisor: Supervisor, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ignores SIGTERM, or was started by a service, is gone after stop."""
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.3)
    child = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]); print(p.pid, flush=True); p.wait()"
    supervisor.start([service("stubborn", STUBBORN), service("parent", child)])
    logs = supervisor.logs
    wait_for(lambda: "up" in (logs / "stubborn.log").read_text())
    grandchild = int(wait_for(lambda: (logs / "parent.log").read_text().strip()))
    pids = [pid_of(supervisor, "stubborn"), pid_of(supervisor, "parent"), grandchild]
    supervisor.stop()
    for pid in pids:
        assert pid is not None
        wait_for(lambda pid=pid: gone(pid), what=f"the end of {pid}")
    assert "stubborn did not stop within 0.3 s and was killed" in said


def test_restart_picks_services(supervisor: Supervisor) -> None:
    """In development only what has Python sources is restarted."""
    supervisor.start([service("kept", SLEEPER, reloads=False), service("renewed", SLEEPER)])
    kept, renewed = pid_of(supervisor, "kept"), pid_of(supervisor, "renewed")
    supervisor.restart(lambda one: one.reloads)
    assert pid_of(supervisor, "kept") == kept
    assert pid_of(supervisor, "renewed") not in {None, renewed}


def test_a_port_in_use_is_named_before_anything_starts(supervisor: Supervisor) -> None:
    """The message names the port and the variable that changes it, and nothing was started."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        taken = Service("api", (sys.executable,), lambda: True, port=("API_PORT", "127.0.0.1", port))
        with pytest.raises(PortInUseError, match=f"port {port}.* in use.*API_PORT={port + 1}"):
            supervisor.start([service("other", SLEEPER), taken])
    assert supervisor.supervised == []
    Service("api", (), lambda: True, port=("API_PORT", "127.0.0.1", free_port())).demand_free_port()


SUPERVISES = """
import sys, time
from pathlib import Path
from vigie.demo.services import Service
from vigie.demo.supervisor import Supervisor

supervisor = Supervisor(Path(sys.argv[1]), print)
supervisor.start([Service("one", (sys.executable, "-c", sys.argv[2]), lambda: True)])
print(supervisor.supervised[0].process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(
    not dies_with_us(), reason="there is no setpriv here that can tie a process to its parent"
)
def test_a_killed_supervisor_leaves_no_service(tmp_path: Path) -> None:
    """SIGKILL of the supervisor itself: its services are told to stop by the kernel."""
    command = [sys.executable, "-c", SUPERVISES, str(tmp_path), SLEEPER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervising:
        assert supervising.stdout is not None
        service_pid = int(supervising.stdout.readline())
        started = psutil.Process(service_pid)
        wait_for(lambda: started.cmdline()[:1] == [sys.executable], 60, "the service itself to run")
        supervising.kill()

    def ended() -> bool:
        try:
            return psutil.Process(service_pid).status() == psutil.STATUS_ZOMBIE  # nobody may reap it
        except psutil.NoSuchProcess:
            return True

    wait_for(ended, 60, "the service to end")


def test_without_the_means_services_are_started_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where setpriv is missing, or is another one, nothing is put before a command."""
    for command in ("none", "false"):
        monkeypatch.setattr(
            subprocess,
            "run",
            lambda _, command=command, run=subprocess.run, **options: run([command], **options),
        )
        dies_with_us.cache_clear()
        assert dies_with_us() == ()
    monkeypatch.undo()
    dies_with_us.cache_clear()

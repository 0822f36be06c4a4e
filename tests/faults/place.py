"""The whole platform with faults between its parts: proxies before Redis and the store, a clock to step."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import redis
from tests.faults.proxy import TcpProxy
from tests.faults.stepped_clock import SteppedClock
from tests.faults.store_faults import StoreFaults
from tests.real_store import NodeServer
from tests.servers import ROOT, RedisServer, StoreServer, free_port, wait_for
from tests.stack import Stack
from tests.store_proxy import Recording, StoreProxy

from vigie.telemetry.journal.survey import survey
from vigie.telemetry.stream.stream import Stream

SCRIPTS = ("write", "settle")
"""The requests to Redis that events hang on."""
STEPPED = (("api",), ("pipeline", "run"))
"""The commands that run under the clock a test may step."""
DISK_BYTES = 160 * 1024 * 1024
"""Size of the small disk under the journals: above what one may hold, with room for dead ones beside it."""


def script_marker(name: str) -> bytes:
    """Return what the call of one of our scripts carries."""
    text = (ROOT / "src" / "telemetry" / "stream" / f"{name}.lua").read_bytes()
    return hashlib.sha1(text).hexdigest().encode()


@dataclass
class Place(Stack):
    """A Stack whose services reach Redis and the store through proxies; API and pipeline have a clock to step.

    platform → `redis_wire` → Redis; platform → `store_wire` → `store_faults` → store.
    """

    real: bool = False
    """Whether the store is an Elasticsearch node of its own."""
    node: NodeServer | None = None
    redis_wire: TcpProxy = field(init=False)
    store_wire: TcpProxy = field(init=False)
    store_faults: StoreFaults = field(init=False)
    clock: SteppedClock = field(init=False)
    disk: bool = False
    """Whether the journals lie on a small disk of their own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.clock = SteppedClock(self.home / "clock")
        self.redis_wire = TcpProxy(0, [script_marker(name) for name in SCRIPTS], self.ports["REDIS_PORT"])
        self.store_faults = StoreFaults("http://127.0.0.1:0")
        self.store_wire = TcpProxy(self.store_faults.port, [b"/_bulk"], self.ports["ES_PORT"])

    def mount_disk(self) -> bool:
        """Put the journals on a small disk of their own; False where this process may not mount one."""
        folder = self.home / "producers"
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "vigie-test", str(folder)]
        with suppress(OSError):
            self.disk = subprocess.run(command, capture_output=True, check=False).returncode == 0
        return self.disk

    def launch(self, name: str) -> None:
        """Start one service without waiting for it; Redis and the store may listen elsewhere each time."""
        if name == "redis":
            server = RedisServer.start(self.home / "redis", free_port())
            self.processes[name], self.redis_wire.upstream_port = server.process, server.port
        elif name == "store":
            self._launch_store()
        else:
            super().launch(name)

    def _launch_store(self) -> None:
        if not self.real:
            server = StoreServer.start(self.home / "store")
            self.processes["store"] = server.process
            self._store_is_at(server.url)
        elif self.node is None:
            self.node = NodeServer.start(self.home / "node")
            self.processes["store"] = self.node.process
            self._store_is_at(self.node.node.url)
        else:
            self.node.start_again()
            self.processes["store"] = self.node.process
            self.node.await_ready()

    def _store_is_at(self, url: str) -> None:
        self.store_faults.move(url)
        if self.side_door is not None:
            self.side_door.stop()
        self.side_door = StoreProxy(url, Recording())

    def run(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a `vigie` command; API and pipeline under the stepped clock."""
        if arguments not in STEPPED:
            return super().run(*arguments)
        with (self.home / f"{'-'.join(arguments)}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.faults.stepped_clock", str(self.clock.path), *arguments],
                env={**os.environ, **self.environment},
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a service."""
        self.processes[name].send_signal(number)

    def stop(self) -> None:
        """Stop everything, the proxies last."""
        super().stop()
        for proxy in (self.redis_wire, self.store_wire, self.store_faults):
            proxy.stop()
        if self.disk:
            subprocess.run(["umount", "-l", str(self.home / "producers")], check=False)

    # What a judge and a fault need to know, past the proxies

    @property
    def redis(self) -> redis.Redis:
        """A connection to Redis itself."""
        return redis.Redis(port=self.redis_wire.upstream_port, socket_timeout=5)

    @property
    def append_only_file(self) -> Path:
        """The file in which Redis keeps what it accepts; from Redis 7 on the newest of several."""
        files = (self.home / "redis").glob("**/appendonly.aof*")
        return max(files, key=lambda path: (".incr." in path.name, path.name))

    @cached_property
    def stream(self) -> Stream:
        """The stream as the platform sees it, through the proxy."""
        return Stream.open(self.settings.redis, timeout=5.0)

    def in_flight(self) -> int:
        """Entries that a pipeline holds."""
        with self.redis as client:
            if not client.exists("api_logs"):
                return 0
            return sum(group["pending"] for group in client.xinfo_groups("api_logs"))

    def settled(self) -> bool:
        """Whether every event is out of the journals and has a verdict."""
        with suppress(redis.RedisError):
            return self.stream.backlog() == 0 and not any(
                journal.unshipped or journal.gaps for journal in survey(self.home)
            )
        return False

    def await_settled(self, deadline_seconds: float) -> None:
        """Wait until every event has a verdict."""
        wait_for(self.settled, deadline_seconds, "every event to have a verdict")


def begin(home: Path, package: Path, *, real: bool, with_disk: bool = True) -> Place:
    """Return a running platform under `home`; on a disk of its own where that may be mounted."""
    place = Place(home, package, real=real)
    try:
        if with_disk:
            place.mount_disk()
        place.start("redis", "store", "api", "pipeline")
    except BaseException:
        place.stop()
        raise
    return place

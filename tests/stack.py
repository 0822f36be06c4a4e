"""The whole platform as processes of a test: each started by its command, stopped by its id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.real_store import RUN, index_prefix, open_door
from tests.servers import ROOT, RedisServer, StoreServer, free_port, stop, wait_for
from tests.store_proxy import PLATFORM, Recording, StoreProxy

from vigie.settings import Settings, load_settings


def _asked(client: httpx.Client, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the store's answer; an index that is not there has nothing, one that just begins is waited for."""

    def answer() -> httpx.Response | None:
        lenient = {"ignore_unavailable": "true", "allow_no_indices": "true"}
        found = client.post(path, params=lenient, json=body)
        return None if found.status_code == httpx.codes.SERVICE_UNAVAILABLE else found.raise_for_status()

    found: httpx.Response = wait_for(answer, 60, "the shards of a new index")
    content: dict[str, Any] = found.json()
    return content


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        return [line[:300] for line in file.read().decode(errors="replace").splitlines()[-30:]]


@dataclass
class Stack:
    """Redis, store, API, pipeline and front end on free ports, everything kept under `home`.

    The store is reached through a recording door; in a run on a real Elasticsearch it is that one,
    under an index prefix of the stack's own.
    """

    home: Path
    package: Path
    environment: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    door: StoreProxy | None = None
    side_door: StoreProxy | None = None
    """For what a test asks by itself: the record is of what the platform asks."""

    def __post_init__(self) -> None:
        self.ports = {name: free_port() for name in ("REDIS_PORT", "ES_PORT", "API_PORT", "GRADIO_PORT")}
        own = {"VIGIE_HOME": self.home, "MODEL_PATH": self.package, "JOURNAL_MAX_BYTES": 64 * 1024**2}
        real = {"ES_HOST": "127.0.0.1", "ES_INDEX_PREFIX": f"{index_prefix()}{uuid.uuid4().hex[:8]}-"}
        given = {**own, **self.ports, **(real if RUN.store else {}), **self.environment}
        self.environment = {name: str(value) for name, value in given.items()}

    @property
    def settings(self) -> Settings:
        """The settings of its services."""
        return load_settings(self.environment, None)

    def start(self, *names: str) -> None:
        """Start services by their names and wait until they are ready."""
        for name in names:
            self.launch(name)
        for name in names:
            wait_for(lambda name=name: self._ready(name), 120, f"{name} to be ready")

    def launch(self, name: str) -> None:
        """Start one service without waiting for it."""
        if name == "redis":
            self.processes[name] = RedisServer.start(self.home / "redis", self.ports["REDIS_PORT"]).process
        elif name == "store":
            self._open_store()
        else:
            arguments = ["pipeline", "run"] if name == "pipeline" else [name]
            self.processes[name] = self.run(*arguments)

    def _open_store(self) -> None:
        if self.door is not None:  # after a kill: behind the same doors
            self.processes["store"] = StoreServer.start(self.home / "store", self.door.upstream.port).process
            return
        url = ""
        if RUN.store is None:
            server = StoreServer.start(self.home / "store")
            self.processes["store"] = server.process
            url = server.url
        self.door = open_door(url, PLATFORM, self.ports["ES_PORT"])
        self.side_door = open_door(url, Recording())

    def run(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a `vigie` command; its output goes to a file under `home`."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / f"{'-'.join(arguments)}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "vigie.cli", *arguments],
                env={**os.environ, **self.environment},
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def finish(self, *arguments: str, timeout: float = 90) -> int:
        """Run a `vigie` command to its end and return its exit status."""
        return self.run(*arguments).wait(timeout)

    def output(self, *arguments: str) -> str:
        """Return what a `vigie` command (or service) printed so far."""
        return (self.home / f"{'-'.join(arguments)}.log").read_text(encoding="utf-8", errors="replace")

    def kill(self, name: str) -> None:
        """End a service by SIGKILL, as an accident would."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Stop what still runs, in reverse order of start, and print the end of what each had to say."""
        for name in reversed(list(self.processes)):
            stop(self.processes.pop(name))
        for log in sorted(self.home.glob("*.log")):  # pytest shows it when the test has failed
            sys.stdout.write("\n  ".join([log.name, *_last_lines(log)]) + "\n")
        for door in (self.door, self.side_door):
            if door is not None:
                door.stop()
        self.door = self.side_door = None

    def url(self, name: str) -> str:
        """Return the base URL of `api`, `ui` or `store`."""
        return f"http://127.0.0.1:{self.ports[{'api': 'API_PORT', 'ui': 'GRADIO_PORT', 'store': 'ES_PORT'}[name]]}"

    @property
    def store_url(self) -> str:
        """The store for a test's own questions."""
        return self.url("store") if self.side_door is None else self.side_door.url

    def documents(self, index: str, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the source of every document of `index` that matches `query`, by plain search requests."""
        index = f"{self.settings.store.es_index_prefix}{index}"
        found: list[dict[str, Any]] = []
        with httpx.Client(base_url=self.store_url, timeout=30) as client:
            _asked(client, f"/{index}/_refresh")
            body: dict[str, Any] = {
                "size": 1000,
                "query": query or {"match_all": {}},
                "sort": [{"@timestamp": "asc"}, {"producer": "asc"}, {"number": "asc"}],
            }
            while True:
                hits = _asked(client, f"/{index}/_search", body)["hits"]["hits"]
                found += [hit["_source"] for hit in hits]
                if len(hits) < body["size"]:
                    return found
                body["search_after"] = hits[-1]["sort"]

    def _ready(self, name: str) -> bool:
        process = self.processes.get(name)
        if process is None:
            return name == "store" and self.door is not None
        if process.poll() is not None:
            arguments = ["pipeline", "run"] if name == "pipeline" else [name]
            raise AssertionError(f"{name} ended with {process.returncode}: {self.output(*arguments)[-2000:]}")
        path = {"api": "/readyz", "ui": "/health"}.get(name)
        if path is None:
            return True
        with suppress(httpx.HTTPError):
            return httpx.get(self.url(name) + path, timeout=2).is_success
        return False

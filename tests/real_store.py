"""A real Elasticsearch under the tests: a node of the run's own, or the server that ES_HOST names."""

from __future__ import annotations

import base64
import ssl
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from tests.servers import free_port, stop, wait_for
from tests.store_proxy import Recording, StoreProxy

from vigie.demo.elasticsearch_node import ElasticsearchNode
from vigie.settings import StoreSettings

START_SECONDS = 180.0
"""A JVM beside other work on two cores."""


@dataclass
class NodeServer:
    """A running node of the tests' own."""

    node: ElasticsearchNode
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, directory: Path, settings: Mapping[str, str] | None = None) -> NodeServer:
        """Start a node with Elasticsearch's own `settings` on a free port, and wait until it serves."""
        directory.mkdir(parents=True, exist_ok=True)
        node = replace(ElasticsearchNode.prepare(directory, free_port(), print), settings=settings or {})
        server = cls(node, _launch(node))
        server.await_ready()
        return server

    def await_ready(self) -> None:
        """Wait until it serves; fail with its output when it ends instead."""
        wait_for(self._ready_or_ended, START_SECONDS, "Elasticsearch to serve")
        assert self.process.poll() is None, (self.node.directory / "out.log").read_text(errors="replace")[
            -3000:
        ]

    def _ready_or_ended(self) -> bool:
        return self.process.poll() is not None or self.node.ready()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        """Start it on the same data and port, without waiting."""
        self.process = _launch(self.node)

    def stop(self) -> None:
        """Stop it; its data stay."""
        stop(self.process, grace=30)


def _launch(node: ElasticsearchNode) -> subprocess.Popen[bytes]:
    with (node.directory / "out.log").open("ab") as output:
        return subprocess.Popen(node.command(), stdout=output, stderr=subprocess.STDOUT)


@dataclass
class RealStore:
    """The Elasticsearch of this run."""

    url: str
    prefix: str
    """What the name of everything that the tests make begins with."""
    headers: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    node: NodeServer | None = None
    """None: it is the user's own server."""
    version: str = ""

    @classmethod
    def of_the_user(cls, settings: StoreSettings) -> RealStore:
        """Return the server that ES_HOST names."""
        headers = {}
        if settings.es_api_key is not None:
            headers["Authorization"] = f"ApiKey {settings.es_api_key.get_secret_value()}"
        elif settings.es_username is not None and settings.es_password is not None:
            user = f"{settings.es_username}:{settings.es_password.get_secret_value()}"
            headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        tls = None
        if settings.es_scheme == "https":
            authorities = None if settings.es_ca_certs is None else str(settings.es_ca_certs)
            tls = ssl.create_default_context(cafile=authorities)
        # never the bare prefix: what begins with the run's is removed, and a platform's own data may begin so
        return cls(settings.url, f"{settings.es_index_prefix}{_new_prefix()}", headers, tls)

    @classmethod
    def of_the_run(cls, directory: Path) -> RealStore:
        """Start a node for this run, which holds the indices of all of its tests: more than it would by itself."""
        server = NodeServer.start(directory, {"cluster.max_shards_per_node": "10000"})
        return cls(server.node.url, _new_prefix(), node=server)

    def proxy(self, recording: Recording, port: int = 0) -> StoreProxy:
        """Return a door to it on loopback, through which credentials are added and requests recorded."""
        return StoreProxy(self.url, recording, port, self.headers, self.tls)

    def close(self) -> None:
        """Stop the run's own node; take away from the user's server what begins with the prefix."""
        if self.node is not None:
            self.node.stop()
            return
        proxy = self.proxy(Recording())
        try:
            with httpx.Client(base_url=proxy.url, timeout=60, trust_env=False) as client:
                self._remove_everything(client)
        finally:
            proxy.stop()

    def _remove_everything(self, client: httpx.Client) -> None:
        rows = client.get(f"/_cat/indices/{self.prefix}*", params={"format": "json"}).json()
        for row in rows:
            client.delete(f"/{row['index']}").raise_for_status()
        for kind, key in (
            ("_index_template", "index_templates"),
            ("_component_template", "component_templates"),
        ):
            for held in client.get(f"/{kind}/{self.prefix}*").json().get(key, ()):
                client.delete(f"/{kind}/{held['name']}").raise_for_status()


def _new_prefix() -> str:
    return f"vigie-test-{uuid.uuid4().hex[:8]}-"


@dataclass
class Run:
    """This run of pytest."""

    real: bool = False
    """Whether it is one on a real Elasticsearch."""
    user: StoreSettings | None = None
    """The user's own server, when ES_HOST names one."""
    missing: str = ""
    """What this machine lacks to start a node."""
    store: RealStore | None = None
    passed: set[str] = field(default_factory=set)
    """Tests that passed on it."""


RUN = Run()


def index_prefix() -> str:
    """Return what the names of indices and templates begin with in this run."""
    return "" if RUN.store is None else RUN.store.prefix


def open_door(url: str, recording: Recording, port: int = 0) -> StoreProxy:
    """Return a recording proxy before the run's store, which listens on `url`."""
    if RUN.store is not None:
        return RUN.store.proxy(recording, port)
    return StoreProxy(url, recording, port)

"""The services of one machine: their commands, ports and how to tell that they are up."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import redis

from vigie.demo.elasticsearch_node import ElasticsearchNode
from vigie.demo.redis_server import redis_command
from vigie.errors import VigieError
from vigie.settings import Settings
from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.stream import connect

PROBE_SECONDS = 1.0


class PortInUseError(VigieError):
    """A port that a service needs is taken; the message names the port and its variable."""


@dataclass(frozen=True)
class Service:
    """One process of the installation."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    """Whether it does its work; asked again and again, answers within about a second."""
    address: str | None = None
    """Where people find it."""
    port: tuple[str, str, int] | None = None
    """The variable that names its port, the host and the port it listens on."""
    reloads: bool = True
    """Whether a changed source file calls for a restart in development."""

    def demand_free_port(self) -> None:
        """Raise PortInUseError when something listens on the service's port already."""
        if self.port is None:
            return
        variable, host, number = self.port
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, number))
            except OSError as error:
                raise PortInUseError(
                    f"port {number}, which the {self.name} needs, is in use ({error.strerror}): stop what "
                    f"listens there, or choose another by {variable}={number + 1}"
                ) from error


def vigie(*arguments: str) -> tuple[str, ...]:
    """Return the command line that runs the `vigie` command in this interpreter."""
    return (sys.executable, "-m", "vigie.cli", *arguments)


def foundations(settings: Settings, node: ElasticsearchNode | None = None) -> Iterator[Service]:
    """Yield what the others stand on: the embedded Redis and store, unless the user named a server.

    With `node`, that Elasticsearch takes the place of the embedded store.
    """
    if settings.redis.redis_host is None and settings.redis.log_to_redis:
        yield embedded_redis(settings)
    if settings.store.es_host is None:
        yield embedded_store(settings) if node is None else elasticsearch(node)


def applications(settings: Settings) -> Iterator[Service]:
    """Yield the API, the pipeline and the front end."""
    yield Service(
        name="api",
        command=vigie("api"),
        ready=lambda: _answers(f"{settings.api.url}/readyz"),
        address=settings.api.url,
        port=("API_PORT", settings.api.api_host, settings.api.api_port),
    )
    if settings.redis.log_to_redis:
        yield Service(
            name="pipeline", command=vigie("pipeline", "run"), ready=lambda: _pipeline_works(settings)
        )
    yield Service(
        name="ui",
        command=vigie("ui"),
        ready=lambda: _answers(f"{settings.ui.url}/health"),
        address=settings.ui.url,
        port=("GRADIO_PORT", settings.ui.gradio_host, settings.ui.gradio_port),
    )


def embedded_redis(settings: Settings) -> Service:
    """Return the embedded Redis of `settings`."""
    port = settings.redis.redis_port
    return Service(
        name="redis",
        command=tuple(redis_command(port, settings.api.vigie_home / "redis")),
        ready=lambda: _redis_answers(port),
        port=("REDIS_PORT", "127.0.0.1", port),
        reloads=False,
    )


def embedded_store(settings: Settings) -> Service:
    """Return the embedded store of `settings`."""
    return Service(
        name="store",
        command=vigie("store"),
        ready=lambda: _answers(settings.store.url),
        address=settings.store.url,
        port=("ES_PORT", "127.0.0.1", settings.store.es_port),
    )


def elasticsearch(node: ElasticsearchNode) -> Service:
    """Return `node` as a service."""
    return Service(
        name="elasticsearch",
        command=node.command(),
        ready=node.ready,
        address=node.url,
        port=("ES_PORT", "127.0.0.1", node.port),
        reloads=False,
    )


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=PROBE_SECONDS, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _pipeline_works(settings: Settings) -> bool:
    try:
        with connect(settings.redis, timeout=PROBE_SECONDS) as client:
            return bool(statuses(client))
    except redis.RedisError:
        return False


def _redis_answers(port: int) -> bool:
    try:
        with redis.Redis(port=port, socket_timeout=PROBE_SECONDS) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False

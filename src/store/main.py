"""The store as a process: address, server, shutdown."""

from __future__ import annotations

import contextlib
import errno
import gc
import ipaddress
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from vigie.store.app import StoreApp
from vigie.store.engine import Engine
from vigie.store.errors import NotLoopbackError, PortInUseError

# A request that has not been answered by then is cut off; what was acknowledged is already on disk.
_SHUTDOWN_SECONDS = 1
# A bulk makes tens of thousands of objects, none of them in a cycle: at Python's threshold of 700 the search
# for cycles took a fifth of the time.
_GARBAGE_THRESHOLD = 50_000


def serve(data_dir: Path, host: str, port: int) -> None:
    """Serve the store on a loopback address until SIGTERM or SIGINT.

    Raises StoreLockedError, PortInUseError or NotLoopbackError, each with one line for the person who
    started it.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
    with listening(host, port) as listener:
        engine = Engine(data_dir)
        app = StoreApp(engine)
        try:
            with _signals_swallowed():
                uvicorn_server(app).run(sockets=[listener])
        finally:
            app.close()
            engine.close()


def uvicorn_server(app: StoreApp) -> uvicorn.Server:
    """Return the HTTP server around the application."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        server_header=False,
    )
    return uvicorn.Server(config)


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Give a socket bound to that loopback address; port 0 takes a free one."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise NotLoopbackError(
            f"the embedded store has no authentication and listens on loopback only, not on {host}: use "
            "127.0.0.1, or a real Elasticsearch for other machines"
        )
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortInUseError(
                f"port {port} on {host} is in use: stop what listens there, or set ES_PORT"
            ) from error
        yield listener


@contextlib.contextmanager
def _signals_swallowed() -> Iterator[None]:
    """Keep uvicorn from raising the signal again once it stopped, so that the store can close its files."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)

"""The API as an ASGI application, and the server that runs it."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Mapping
from functools import partial
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from vigie.api.busy_poll import BusyPoll
from vigie.api.dispatch import Dispatcher
from vigie.api.documentation import fastapi_application
from vigie.api.express import ExpressLane, ExpressProtocol
from vigie.api.gateway import Gateway
from vigie.api.hangup import Hangup, Workers, heed_hangups, lives_by_terminal
from vigie.api.hot import HotEndpoint, SinglePrediction, hot_endpoints
from vigie.api.orphan import end_with_parent
from vigie.api.roles import everybody
from vigie.api.service import Service
from vigie.errors import VigieError
from vigie.settings import ApiSettings, SecuritySettings, Settings, load_settings

LISTEN_BACKLOG = 2048
GC_NEW_CONTAINERS = 10_000
KEEP_ALIVE_SECONDS = 75
"""Longer than a proxy's own, so that it is never ours that closes a connection in use."""
HEALTHCHECK_SECONDS = 15
"""How long one of several processes may stand still before it is killed and replaced."""


def create_app(settings: Settings | None = None) -> Gateway:
    """Load the model and build the application for `settings` (default: from the environment).

    The service behind it starts and stops with the ASGI lifespan. Raises VigieError, in one line, when
    the model or a setting does not let it start.
    """
    settings = settings or load_settings()
    return build(Service(settings))


def build(service: Service, *, lives_by_terminal: bool | None = None) -> Gateway:
    """Put the application together around `service`.

    It reloads its model at SIGHUP, unless `lives_by_terminal` is None; where that is true it ends when its
    terminal is gone.
    """
    settings = service.settings
    hot = hot_endpoints(service)
    dispatcher = Dispatcher(
        fastapi_application(service, hot),
        hot,
        max_body_bytes=settings.api.max_body_bytes,
        timeout_seconds=settings.api.request_timeout,
    )
    gateway = Gateway(
        dispatcher,
        service.recorder,
        lifespan(service, lives_by_terminal=lives_by_terminal),
        cors_origins=cors_origins(settings.security),
        lane=express_lane(service, hot),
    )

    def serve_the_new_model() -> None:
        hot.update(hot_endpoints(service))
        gateway.lane = express_lane(service, hot)

    service.follow(serve_the_new_model)
    return gateway


def express_lane(service: Service, hot: Mapping[tuple[str, str], HotEndpoint]) -> ExpressLane:
    """Return the lane of those of `hot` that predict one record, all of the model that is served now."""
    return ExpressLane(
        {key: one.handle for key, one in hot.items() if isinstance(one.handle, SinglePrediction)},
        service.identity,
        service.predictor,
        service.recorder,
        everybody,
        service.settings.api.max_body_bytes,
        BusyPoll(service.settings.api.api_busy_poll_us),
    )


def cors_origins(security: SecuritySettings) -> tuple[str, ...]:
    """Return the origins allowed: the list given, else all while security is off and none when it is on."""
    if security.cors_origins is not None:
        return security.cors_origins
    return () if security.auth_enabled else ("*",)


def lifespan(service: Service, *, lives_by_terminal: bool | None = None) -> ASGIApp:
    """Return the ASGI lifespan protocol around `service`."""

    async def serve_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await receive()
        try:
            service.start()
        except VigieError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        if lives_by_terminal is not None:
            end = partial(signal.raise_signal, signal.SIGTERM)
            meaning = Hangup(service.ask_reload, end, lives_by_terminal=lives_by_terminal)
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, meaning)
            heed_hangups()
            end_with_parent(end)
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        finally:
            await service.stop()
        await send({"type": "lifespan.shutdown.complete"})

    return serve_lifespan


def serving_app(settings: Settings, lives_by_terminal: bool = False) -> Gateway:
    """Build the application of a process that does nothing but serve it.

    The garbage collector passes over what is there then, and comes every few hundred requests: by default
    it comes every 700 new containers, which is every twentieth request, and takes a tenth of their time.
    """
    application = build(Service(settings), lives_by_terminal=lives_by_terminal)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_NEW_CONTAINERS, 20, 100)
    return application


def serve(settings: Settings) -> None:
    """Run the API until SIGTERM or SIGINT, which let the requests in hand end and ship their events.

    Raises VigieError, in one line, when the port is in use or the model or a setting is at fault.
    """
    bound = lives_by_terminal()
    application = serving_app(settings, bound)
    with listen(settings.api) as listener:
        signal.signal(signal.SIGTERM, _leave)
        if settings.api.api_workers == 1:
            uvicorn.Server(configuration(application, settings.api)).run(sockets=[listener])
            return
        # Each worker process builds an application of its own; the one made here has shown that it can be.
        config = configuration(partial(serving_app, settings, bound), settings.api, factory=True)
        Workers(config, [listener], lives_by_terminal=bound).run()


def configuration(application: object, api: ApiSettings, *, factory: bool = False) -> uvicorn.Config:
    """Return uvicorn's configuration: the fast protocol parts, and logs that are ours."""
    return uvicorn.Config(
        application,  # type: ignore[arg-type]  # a factory too, which uvicorn's annotation leaves out
        factory=factory,
        loop="uvloop",
        http=ExpressProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=LISTEN_BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(api.request_timeout) + 1,
        timeout_worker_healthcheck=HEALTHCHECK_SECONDS,
        workers=api.api_workers,
    )


def listen(api: ApiSettings) -> socket.socket:
    """Return a socket that listens on API_HOST and API_PORT.

    Raises VigieError when the port is in use or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in api.api_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((api.api_host, api.api_port))
        listener.listen(LISTEN_BACKLOG)  # only this tells of another that has bound the port just now
    except OSError as error:
        listener.close()
        raise VigieError(
            f"the API cannot listen on {api.api_host}:{api.api_port} ({error.strerror or error}); "
            "stop what uses the port, or set API_HOST and API_PORT"
        ) from error
    listener.set_inheritable(True)
    return listener


def _leave(number: int, frame: FrameType | None) -> None:
    """End with status 0: uvicorn raises the signal again once it has shut down in an orderly way."""
    del number, frame
    sys.exit(0)


def __getattr__(name: str) -> Gateway:
    """Make `app` on demand, for servers that are given `vigie.api.main:app`."""
    if name == "app":
        return create_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

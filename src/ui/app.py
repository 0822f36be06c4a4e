"""The front end: a FastAPI application with the Gradio page at `/` and the REST routes beside it."""

from __future__ import annotations

import errno
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

import anyio
import uvicorn
from fastapi import FastAPI
from loguru import logger

from vigie.errors import VigieError
from vigie.schema import load_schema
from vigie.settings import Settings
from vigie.telemetry import application_log
from vigie.telemetry.emitter import Emitter
from vigie.telemetry.service_report import ServiceReports
from vigie.ui.drift.report_routes import report_router
from vigie.ui.routes import build_router, install_problems

SHUTDOWN_SECONDS: Final = 1
"""How long open connections may go on after SIGTERM; every open page holds one."""
FLUSH_SECONDS: Final = 0.5
"""How long the last log events may take to reach Redis; what is left stays in the journal."""


def create_app(settings: Settings) -> FastAPI:
    """Return the front end for the model at MODEL_PATH.

    Raises SchemaError when the model's schema cannot be read.
    """
    schema = load_schema(settings.model.model_path)
    # Gradio takes seconds to import: a port in use or a bad schema is told before.
    from vigie.ui.batch.routes import batch_router
    from vigie.ui.mounting import mount_pages
    from vigie.ui.site import Site

    site = Site.open(settings, schema)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        emitter = Emitter.start(settings, "ui")
        application_log.install(emitter, "ui", settings.api.log_level)
        reports = ServiceReports(emitter, "ui")
        reports.start()
        logger.info("front end for {} {} started", schema.name, schema.version)
        site.drift.warm_up()
        yield
        logger.info("front end stops")
        await site.close()
        await anyio.to_thread.run_sync(reports.stop)
        await anyio.to_thread.run_sync(emitter.stop, FLUSH_SECONDS)

    # FastAPI's own documentation pages load their scripts from another host; /openapi.json stays.
    app = FastAPI(
        title="Vigie front end", version=version("vigie"), docs_url=None, redoc_url=None, lifespan=lifespan
    )
    install_problems(app)
    app.include_router(build_router(site.reader, site.api))
    app.include_router(batch_router(schema))
    app.include_router(report_router(site.drift))
    mount_pages(app, site)
    return app


def serve(settings: Settings) -> None:
    """Serve the front end until SIGTERM or SIGINT.

    Raises VigieError when it cannot listen on GRADIO_HOST and GRADIO_PORT or cannot start, SchemaError
    without a schema.
    """
    with listen(settings.ui.gradio_host, settings.ui.gradio_port) as listener:
        signal.signal(signal.SIGTERM, _leave)
        # The objects made at the start stay: collecting among them costs a sixth of the start-up time.
        gc.disable()
        app = create_app(settings)
        gc.freeze()
        gc.enable()
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        server = uvicorn.Server(config)
        server.run(sockets=[listener])
        if not server.started:
            raise VigieError("the front end could not start; the lines above say why")


def _leave(*_: object) -> None:
    """End with status 0; uvicorn handles SIGTERM while it serves and passes it on to here afterwards."""
    sys.exit(0)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to `host`:`port`; raises VigieError when it cannot be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise VigieError(
                f"{host}:{port} is in use: stop what listens there, or set GRADIO_PORT to a free port"
            ) from error
        raise VigieError(
            f"cannot listen on {host}:{port} ({error.strerror}): correct GRADIO_HOST or GRADIO_PORT"
        ) from error
    return listener

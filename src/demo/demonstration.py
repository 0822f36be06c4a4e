"""The whole platform on one machine, in one command: train if needed, start, show, stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from watchfiles import PythonFilter, watch

from vigie.demo.elasticsearch_node import ElasticsearchNode
from vigie.demo.live import LiveLine
from vigie.demo.services import applications, foundations
from vigie.demo.supervisor import Supervisor
from vigie.demo.traffic import sample_traffic
from vigie.model.package import PackageError, package_folder, read_manifest
from vigie.schema import load_schema
from vigie.settings import Settings
from vigie.simulation.run import Run
from vigie.stop_signal import stop_event

FOUNDATION_DEADLINE_SECONDS = 30.0
ELASTICSEARCH_DEADLINE_SECONDS = 120.0
"""A JVM on a busy machine takes its time; on a quiet one it is up in five seconds."""
APPLICATION_DEADLINE_SECONDS = 90.0
TICK_SECONDS = 0.2


StoreKind = Literal["embedded", "elasticsearch"]
"""What answers on ES_PORT, unless ES_HOST names a server."""


class Interrupted(Exception):  # noqa: N818  # not an error
    """A signal came: time to stop."""


class Pause:
    """Waits between two looks at the services; SIGINT, SIGTERM and SIGHUP take effect only there.

    A signal that struck while a process is being started would leave that process behind.
    """

    def __init__(self) -> None:
        self._asked = stop_event(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __call__(self) -> None:
        """Wait a moment; raise Interrupted when a signal came."""
        if self._asked.wait(TICK_SECONDS):
            raise Interrupted


@dataclass(frozen=True)
class Choices:
    """What the user chose on the command line of `vigie demo`."""

    model: Path | None = None
    seconds: float | None = None
    traffic: bool = True
    reload: bool = False
    store: StoreKind = "embedded"


def ensure_package(source: Path, settings: Settings, say: Callable[[str], None]) -> Path:
    """Return the folder of a trained package for `source`, training it when there is none.

    `source` is a package, or a folder with a schema alone (package_folder says where that one's package
    goes). Raises SchemaError when it is neither.
    """
    schema = load_schema(source)
    if (source / "manifest.json").exists():
        return source
    package = package_folder(source, settings.api.vigie_home, settings.model.model_path)
    if not _is_current(package, source):
        from vigie.model.training import train  # scikit-learn takes seconds to import

        say(f"training {schema.title.en} …")
        report = train(source, package, None)
        say(f"trained: {report}")
    return package


def _is_current(package: Path, source: Path) -> bool:
    try:
        read_manifest(package)
    except PackageError:
        return False
    return load_schema(package) == load_schema(source)


def run(settings: Settings, choices: Choices, say: Callable[[str], None]) -> None:
    """Run the demonstration until SIGINT, SIGTERM or the chosen number of seconds; leave no process.

    Raises VigieError when something the user can put right is in the way.
    """
    begin = time.monotonic()
    home = settings.api.vigie_home
    source = choices.model or settings.model.model_path
    node = _elasticsearch(settings, choices, say)
    base, apps = list(foundations(settings, node)), list(applications(settings))
    for service in (*base, *apps):
        service.demand_free_port()
    package = ensure_package(source, settings, say)
    pause = Pause()
    supervisor = Supervisor(home / "logs", say, {**os.environ, "MODEL_PATH": str(package)})
    traffic: Run | None = None
    try:
        supervisor.start(base)
        deadline = ELASTICSEARCH_DEADLINE_SECONDS if node else FOUNDATION_DEADLINE_SECONDS
        supervisor.await_ready([one.name for one in base], deadline, pause)
        supervisor.start(apps)
        supervisor.await_ready([one.name for one in apps], APPLICATION_DEADLINE_SECONDS, pause)
        if choices.traffic:
            traffic = sample_traffic(settings, load_schema(package), package)
            traffic.start()
        _introduce(settings, say, time.monotonic() - begin)
        _watch_over(supervisor, LiveLine(settings, traffic.tally if traffic else None), choices, pause)
    except Interrupted:
        pass
    finally:
        say("stopping …")
        if traffic is not None:
            traffic.stop()
        supervisor.stop()
        say("everything is stopped")


def _elasticsearch(
    settings: Settings, choices: Choices, say: Callable[[str], None]
) -> ElasticsearchNode | None:
    if choices.store == "embedded" or settings.store.es_host is not None:
        return None
    return ElasticsearchNode.prepare(settings.api.vigie_home / "elasticsearch", settings.store.es_port, say)


def _watch_over(supervisor: Supervisor, live: LiveLine, choices: Choices, pause: Pause) -> None:
    end = None if choices.seconds is None else time.monotonic() + choices.seconds
    changed = _source_changes() if choices.reload else threading.Event()
    try:
        while end is None or time.monotonic() < end:
            supervisor.tend()
            if changed.is_set():
                changed.clear()
                supervisor.say("a source file changed: restarting")
                supervisor.restart(lambda service: service.reloads)
            live.show()
            pause()
    finally:
        live.end()


def _source_changes() -> threading.Event:
    changed = threading.Event()
    source = Path(__file__).parents[1]

    def look() -> None:
        for _ in watch(source, watch_filter=PythonFilter()):
            changed.set()

    threading.Thread(target=look, name="source-watch", daemon=True).start()
    return changed


def _introduce(settings: Settings, say: Callable[[str], None], seconds: float) -> None:
    say(f"everything is up after {seconds:.1f} s")
    say(f"  form        {settings.ui.url}")
    say(f"  API         {settings.api.url}/docs")
    say(f"  logs        {settings.api.url}/logs")
    say(f"  store       {settings.store.url}/{settings.store.es_index_prefix}ml-api-message/_search")
    if settings.store.kibana_url:
        say(f"  Kibana      {settings.store.kibana_url}")
    say("Ctrl-C stops it")

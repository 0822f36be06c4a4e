"""Runs the bridges that PIPELINE_SOURCES asks for: each in a thread of its own, or once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final, Self

import redis
from loguru import logger

from vigie.logs_pipeline.breaker import backoff
from vigie.logs_pipeline.bridges.bridge import FULL, Bridge, BridgeError, Step
from vigie.logs_pipeline.bridges.front_end import FrontEnd
from vigie.logs_pipeline.bridges.http_bridge import TURN_SECONDS, HttpBridge
from vigie.logs_pipeline.bridges.list_bridge import ListBridge
from vigie.settings import Settings
from vigie.telemetry.stream.admission import Admission
from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import connect

STOP_SECONDS: Final = 2.0
"""How long the bridges may take to end; what they do is safe to leave at any moment."""
FULL_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 60.0


class Bridges:
    """The bridges of one pipeline process; a fault of theirs never touches ordinary indexing."""

    def __init__(self, bridges: Sequence[Bridge], stop: threading.Event) -> None:
        self._bridges = bridges
        self._stop = stop
        self._problems: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(bridge,), name=f"bridge-{bridge.name}", daemon=True)
            for bridge in bridges
        ]

    @classmethod
    def open(cls, settings: Settings, stop: threading.Event) -> Self:
        """Return the bridges that PIPELINE_SOURCES names."""
        found: list[Bridge] = []
        sources = settings.pipeline.pipeline_sources
        admission = Admission(connect(settings.redis), settings.redis.redis_stream_max_entries)
        if "list" in sources:
            found.append(ListBridge(admission))
        if "http" in sources:
            front_end = FrontEnd(settings.ui.url, settings.ui.hf_token)
            found.append(HttpBridge(admission, front_end, settings.pipeline.poll_interval))
        return cls(found, stop)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def problem(self) -> str:
        """What stands in the way of the bridges, with the remedy; empty when nothing does."""
        return "; ".join(self._problems.values())

    def move_waiting(self) -> bool:
        """Move what waits at the sources now; False when the stream is full of it.

        A source that fails is left, and `problem` says why.
        """
        drained = [self._drain(bridge) for bridge in self._bridges]
        return all(drained)

    def close(self) -> None:
        """Let go of the sources, where no thread does."""
        for bridge in self._bridges:
            bridge.close()

    def _drain(self, bridge: Bridge) -> bool:
        taken, patience = 0, time.monotonic() + TURN_SECONDS + 1
        waiting: int | None = None
        while not self._stop.is_set():
            try:
                waiting = bridge.waiting() if waiting is None else waiting
                step = bridge.step()
            except Exception as error:  # noqa: BLE001 - whatever it is, the rest is still indexed
                self._failed(bridge, error)
                return True
            self._worked(bridge, step)
            taken += step.taken
            if step.full:
                return False
            if step.elsewhere and time.monotonic() < patience:  # a process that died has the turn for a while
                self._stop.wait(0.2)
                continue
            if not step.more or (waiting is not None and taken >= waiting):
                break
        return True

    def _run(self, bridge: Bridge) -> None:
        while not self._stop.is_set():
            try:
                step = bridge.step()
            except Exception as error:  # noqa: BLE001 - whatever it is, the bridge must live and try again
                pause = self._failed(bridge, error)
            else:
                self._worked(bridge, step)
                full = max(FULL_SECONDS, bridge.pause_seconds)
                pause = full if step.full else 0.0 if step.more else bridge.pause_seconds
            self._stop.wait(pause)
        bridge.close()

    def _worked(self, bridge: Bridge, step: Step) -> None:
        self._failures[bridge.name] = 0
        self._say(bridge, FULL if step.full else "")

    def _failed(self, bridge: Bridge, error: Exception) -> float:
        """Note what is wrong; return the seconds to pause, longer each time."""
        failures = self._failures[bridge.name] = self._failures.get(bridge.name, 0) + 1
        pause = backoff(failures, longest=LONGEST_BACKOFF_SECONDS)
        if isinstance(error, BridgeError):
            self._say(bridge, str(error))
            return max(pause, error.retry_seconds, bridge.pause_seconds)
        if isinstance(error, redis.RedisError):
            self._say(bridge, redis_fault(error).told())
            return pause
        logger.opt(exception=error).error("the source {} failed", bridge.name)
        self._say(bridge, f"a fault of the program ({error!r}): its log says more")
        return pause

    def _say(self, bridge: Bridge, problem: str) -> None:
        before = self._problems.get(bridge.name, "")
        said = f"source {bridge.name}: {problem}" if problem else ""
        if said:
            self._problems[bridge.name] = said
        else:
            self._problems.pop(bridge.name, None)
        if said and said != before:
            logger.warning("{}", said)
        elif before and not said:
            logger.info("source {} works again", bridge.name)

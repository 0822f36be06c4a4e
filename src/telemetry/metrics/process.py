"""The figures of this process that are read when somebody asks: its emitter, its observer, itself."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version

import psutil

from vigie.telemetry.emitter import EmitterStatus
from vigie.telemetry.event import ModelIdentity
from vigie.telemetry.metrics import catalogue
from vigie.telemetry.metrics.figures import Figures
from vigie.telemetry.metrics.samples import Samples
from vigie.telemetry.observer import ObserverTime


def process_samples() -> Samples:
    """Return CPU time, memory, open files and start of this process."""
    process = psutil.Process()
    with process.oneshot():
        cpu = process.cpu_times()
        return {
            (catalogue.CPU.name, ()): [cpu.user + cpu.system],
            (catalogue.RESIDENT.name, ()): [process.memory_info().rss],
            (catalogue.OPEN_FILES.name, ()): [process.num_fds()],
            (catalogue.STARTED.name, ()): [process.create_time()],
            (catalogue.WORKERS.name, ()): [1],
        }


def emitter_samples(status: EmitterStatus) -> Samples:
    """Return what the emitter has done, and what waits in its journal."""
    return {
        (catalogue.EVENTS.name, ()): [status.events],
        (catalogue.EVENTS_DROPPED.name, ()): [status.dropped],
        (catalogue.EVENTS_REFUSED.name, ()): [status.refused],
        (catalogue.BACKLOG.name, ()): [status.backlog],
        (catalogue.JOURNAL_BYTES.name, ()): [status.journal_bytes],
        (catalogue.ACCEPTING.name, ()): [float(status.accepting)],
    }


def observer_time(status: EmitterStatus, figures: Figures | None = None) -> ObserverTime:
    """Return what observing took in this process; `figures` are those of one that answers requests."""
    return ObserverTime(
        recording=status.emit_seconds + (figures.recording_seconds if figures else 0.0),
        profiling=figures.profiling_seconds if figures else 0.0,
        shipping=status.shipping_seconds,
        upkeep=status.upkeep_seconds,
    )


def observer_samples(observer: ObserverTime) -> Samples:
    """Return what observing took, by part."""
    return {(catalogue.OBSERVER.name, (part,)): [seconds] for part, seconds in asdict(observer).items()}


def model_samples(model: ModelIdentity, budget_seconds: float) -> Samples:
    """Return what is served, and what the profiler may still spend on it."""
    about = (version("vigie"), platform.python_version(), model["name"], model["version"], model["runtime"])
    return {
        (catalogue.BUILD.name, about): [1],
        (catalogue.PROFILE_BALANCE.name, ()): [budget_seconds],
    }

"""`vigie pipeline`: what an operator does with the pipeline."""

from __future__ import annotations

import gc
import signal
from typing import Annotated, Final

import typer

from vigie.logs_pipeline.dead_commands import dead_app
from vigie.logs_pipeline.group_commands import cursor_app, group_app
from vigie.settings import load_settings
from vigie.stop_signal import stop_event
from vigie.terminal import UNHEALTHY, say

GARBAGE_THRESHOLD: Final = 50_000
"""A batch makes tens of thousands of objects, none of them in a cycle: at Python's threshold of 700 the
search for cycles costs much of the time."""

pipeline_app = typer.Typer(help="From the stream to the indices.", no_args_is_help=True)
pipeline_app.add_typer(group_app, name="group")
pipeline_app.add_typer(cursor_app, name="cursor")
pipeline_app.add_typer(dead_app, name="dead")


@pipeline_app.command("once")
def pipeline_once() -> None:
    """Index everything that waits in the stream, then end; exit status 1 when something stood in the way."""
    from vigie.logs_pipeline.pipeline import run_once

    _collect_garbage_rarely()
    summary = run_once(load_settings(), stop_event(signal.SIGINT, signal.SIGTERM))
    say(str(summary))
    raise typer.Exit(0 if summary.complete else UNHEALTHY)


@pipeline_app.command("run")
def pipeline_run() -> None:
    """Index events as they come, until SIGINT or SIGTERM."""
    from vigie.logs_pipeline.pipeline import run_continuously

    _collect_garbage_rarely()
    run_continuously(load_settings(), stop_event(signal.SIGINT, signal.SIGTERM))


def _collect_garbage_rarely() -> None:
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


@pipeline_app.command("status")
def pipeline_status(
    here: Annotated[bool, typer.Option("--here", help="Only the workers of this machine.")] = False,
) -> None:
    """Show the workers that live and what they did; exit status 1 when there is none."""
    from vigie.logs_pipeline.living import described, living_workers

    workers = living_workers(load_settings().redis, here=here)
    for worker in workers:
        say(described(worker))
    if not workers:
        say("no worker lives" + (" on this machine" if here else ""))
        raise typer.Exit(UNHEALTHY)

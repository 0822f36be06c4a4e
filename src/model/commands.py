"""`vigie model …`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from vigie.model.reload_request import Answer, answers, request_reload
from vigie.settings import load_settings
from vigie.terminal import UNHEALTHY, say

model_app = typer.Typer(help="The served model.", no_args_is_help=True)
LOOK_SECONDS = 0.1


@model_app.callback()
def _model() -> None:
    """Keep `reload` a subcommand while it is the only one."""


@model_app.command()
def reload(
    wait: Annotated[float, typer.Option("--wait", min=1, help="Seconds to wait for the answers.")] = 60,
) -> None:
    """Make the running API take over the package at MODEL_PATH, without dropping a request.

    Every API process of this VIGIE_HOME judges the package, and goes on with the old one where it refuses.
    Exit status 1 when one refused or did not answer, or when none runs.
    """
    home = load_settings().api.vigie_home
    awaited = {answer.process: answer for answer in answers(home)}
    if not awaited:
        say(f"no API runs on VIGIE_HOME={home}: start it with `make run-api`")
        raise typer.Exit(UNHEALTHY)
    number = request_reload(home)
    answered: dict[str, Answer] = {}
    end = time.monotonic() + wait
    while time.monotonic() < end:
        living = {answer.process: answer for answer in answers(home)}
        answered |= {process: answer for process, answer in living.items() if answer.number >= number}
        if awaited.keys() & living.keys() <= answered.keys():
            break
        time.sleep(LOOK_SECONDS)
    outcomes = [answered[process].outcome if process in answered else None for process in awaited]
    for answer, outcome in zip(awaited.values(), outcomes, strict=True):
        said = outcome or "has ended, or did not answer in time"
        say(f"API process {answer.pid} on {answer.host}: {said}")
    well = all(outcome is not None and outcome.result != "refused" for outcome in outcomes)
    raise typer.Exit(0 if well else UNHEALTHY)

"""`vigie simulate`: traffic as it comes in life, at a rate of one's choice, drifting where one wants."""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vigie.client import ask_api
from vigie.settings import load_settings
from vigie.stop_signal import stop_event
from vigie.terminal import UNHEALTHY, ChangingLine, out, print_json, say

if TYPE_CHECKING:
    from vigie.schema import FeatureSchema
    from vigie.simulation.drift import Drift
    from vigie.simulation.feedback import Feedback
    from vigie.simulation.outcome_sender import OutcomeSender
    from vigie.simulation.requests import Mix, Request
    from vigie.simulation.rows import Source
    from vigie.simulation.run import Run
    from vigie.simulation.timetable import Burst

LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sent, and when. The same plan is the same requests at the same times."""

    schema: FeatureSchema
    source: Source
    drift: Drift
    mix: Mix
    rate: float
    burst: Burst | None
    seed: int
    duration_seconds: float | None = None
    count: int | None = None
    feedback: Feedback | None = None

    def requests(self) -> Iterator[tuple[float, Request]]:
        """Yield each request with the second from the start at which it is due."""
        from vigie.simulation.drift import drifting, turning
        from vigie.simulation.requests import requests
        from vigie.simulation.timetable import arrivals

        rows = drifting(self.source.rows(self.seed), self.source, self.drift, self.seed)
        rows = turning(rows, self.schema.target.classes, self.drift, self.seed)
        if self.feedback is not None:
            rows = self.feedback.of(rows, self.seed)
        due = arrivals(self.rate, self.seed, self.burst)
        planned = zip(due, requests(self.schema, rows, self.mix, self.seed), strict=False)
        end = self.duration_seconds
        timely = itertools.takewhile(lambda one: end is None or one[0] < end, planned)
        return itertools.islice(timely, self.count)


def simulate(  # noqa: PLR0913, PLR0917 - the options of a command
    rate: Annotated[float, typer.Option(min=0.01, help="Requests per second, but for bursts.")] = 20,
    users: Annotated[int, typer.Option(min=1, max=512, help="Most requests under way at once.")] = 16,
    duration: Annotated[float | None, typer.Option(min=0, help="Seconds; until Ctrl-C if not given.")] = None,
    count: Annotated[int | None, typer.Option("--requests", min=1, help="End after so many.")] = None,
    bad: Annotated[float, typer.Option(min=0, max=1, help="Share of requests that are refused.")] = 0,
    batch: Annotated[float, typer.Option(min=0, max=1, help="Share of batches.")] = 0,
    batch_rows: Annotated[int, typer.Option(min=2, help="Rows of a batch.")] = 8,
    burst: Annotated[
        str | None, typer.Option(help="10x5s/60s: ten times the rate for 5 s of every 60 s.")
    ] = None,
    shift: Annotated[
        list[str] | None,
        typer.Option(help="AGE=+8 moves a number, NAME=+.25 a yes/no's share, NAME:LEVEL=-.1 a category's."),
    ] = None,
    feedback: Annotated[
        float, typer.Option(min=0, max=1, help="Share of predictions whose outcome comes back.")
    ] = 0,
    feedback_delay: Annotated[
        str, typer.Option(help="How long after the answer: 30s, or evenly between two lengths of time.")
    ] = "2s..20s",
    concept: Annotated[
        float, typer.Option(min=0, max=1, help="Share of outcomes that turn into another class.")
    ] = 0,
    drift_after: Annotated[int, typer.Option(min=0, help="Rows before --shift and --concept begin.")] = 0,
    gradual: Annotated[int, typer.Option(min=0, help="Rows over which they grow; 0: at once.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed: the same requests, times and rows.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Send traffic to the API, like the data the model was trained on, and say how it was answered.

    Requests are due at times fixed beforehand, and latencies are counted from those. Exit status 1 when one
    failed (5xx or no answer) or an outcome was refused, 2 when the API is away.
    """
    from vigie.schema import FeatureSchema
    from vigie.simulation.drift import Drift, read_shift
    from vigie.simulation.feedback import Feedback, read_delay
    from vigie.simulation.outcome_sender import OutcomeSender
    from vigie.simulation.requests import Mix
    from vigie.simulation.rows import SimulationError, source_for
    from vigie.simulation.run import Run
    from vigie.simulation.tally import Summary
    from vigie.simulation.timetable import mean_rate, read_burst

    if bad + batch > 1:
        raise SimulationError("--bad and --batch together are more than all requests")
    if concept and not feedback:
        raise SimulationError("--concept changes outcomes, and none comes back: give --feedback too")
    outcomes = Feedback(feedback, read_delay(feedback_delay)) if feedback else None
    settings = load_settings()
    schema = FeatureSchema.model_validate(ask_api(settings, "GET", "/model/schema"))
    source = source_for(schema, settings, with_outcomes=outcomes is not None)
    drift = Drift(tuple(read_shift(schema, text) for text in shift or ()), drift_after, gradual, concept)
    bursts = read_burst(burst) if burst else None
    mix = Mix(bad=bad, batch=batch, batch_rows=batch_rows)
    plan = Plan(schema, source, drift, mix, rate, bursts, seed, duration, count, outcomes)
    sender = OutcomeSender(settings.api.url) if outcomes else None
    run = Run(settings.api.url, plan.requests(), users, heard=sender)
    seconds = _watch(run, sender)
    told = sender.tally if sender else None
    summary = Summary(run.tally, seconds, mean_rate(rate, bursts), source.name, seed, told)
    if as_json:
        print_json(summary.as_dict())
    else:
        out.print(summary.as_table())
        for line in summary.lines():
            say(line)
    raise typer.Exit(UNHEALTHY if run.tally.failed or (told and told.faults) else 0)


def _watch(run: Run, sender: OutcomeSender | None) -> float:
    """Let it run to its end, or to Ctrl-C, with the live line; return the seconds of its requests."""
    from vigie.simulation.tally import LiveText

    asked = stop_event(signal.SIGINT, signal.SIGTERM)
    line = ChangingLine(LiveText(run.tally, outcomes=sender.tally if sender else None), sys.stderr)

    def show_until(ended: Callable[[], bool]) -> None:
        while not ended() and not asked.wait(LOOK_SECONDS):
            line.show()

    try:
        if sender is not None:
            sender.start()
        run.start()
        show_until(lambda: run.finished)
        run.stop()
        seconds = run.seconds
        if sender is not None:
            sender.finish()
            show_until(lambda: sender.finished)
        return seconds
    finally:
        run.stop()
        if sender is not None:
            sender.stop()
        line.end()

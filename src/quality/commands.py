"""`vigie quality`: are the answers as right as training promised, and as their probabilities foretell?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from vigie.drift.commands import CANNOT_BE_JUDGED, chosen_period
from vigie.settings import load_settings
from vigie.terminal import UNHEALTHY, out, print_json, say

DAYS: Final = 30
"""The predictions of so many days, unless said otherwise."""


def quality(
    last: Annotated[
        str | None, typer.Option(help="Judge the predictions of the last 12h or 7d; 30d if not given.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Judge from this time on (ISO 8601; UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Judge up to this time; now if not given.")] = None,
    by: Annotated[
        str | None, typer.Option(help="Show groups too: day, hour, version, or an input of categories.")
    ] = None,
    model_version: Annotated[str | None, typer.Option(help="Judge the predictions of this version.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
) -> None:
    """Compare outcomes with predictions: as promised by training, as foretold by the probabilities?

    Exit status 0 when both hold, 1 when quality is below training or outcomes are not as foretold, 2 when it
    cannot be judged: too few outcomes, the store away, no trained package.
    """
    from vigie.drift.check import Period, predictions_of, read_served
    from vigie.quality.check import check
    from vigie.quality.held_out import held_out_scores
    from vigie.quality.html_report import html_page

    settings = load_settings()
    now = datetime.now(UTC)
    period = chosen_period(last, since, until) or Period(now - timedelta(days=DAYS), now)
    package = settings.model.model_path
    served = read_served(package)
    held_out = held_out_scores(package, served.schema)
    with predictions_of(settings, served, model_version) as predictions:
        report = check(predictions, served, period, held_out, by)
    if html is not None:
        html.write_text(html_page(report), encoding="utf-8")
    if as_json:
        print_json(report.as_dict())
    else:
        out.print(report.as_table())
        if (groups := report.groups_table()) is not None:
            out.print(groups)
        for line in report.lines():
            say(line)
        if html is not None:
            say(f"wrote {html}")
    raise typer.Exit(CANNOT_BE_JUDGED if not report.judged else UNHEALTHY if report.alarmed else 0)

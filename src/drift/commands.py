"""`vigie drift`: is what comes in, and goes out, still distributed as in training?"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vigie.errors import VigieError
from vigie.settings import load_settings
from vigie.terminal import UNHEALTHY, out, print_json, say

if TYPE_CHECKING:
    from vigie.drift.check import Period

CANNOT_BE_JUDGED: Final = 2
_LENGTH: Final = re.compile(r"(?P<count>[0-9]+)\s*(?P<unit>m|h|d)")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


class PeriodError(VigieError):
    """A time or a length of time cannot be read."""


def drift(  # noqa: PLR0913, PLR0917 - the options of a command
    window: Annotated[int, typer.Option(min=1, help="Judge so many of the newest predictions.")] = 500,
    last: Annotated[str | None, typer.Option(help="Judge the last 30m, 24h or 7d instead.")] = None,
    since: Annotated[str | None, typer.Option(help="Judge from this time on (ISO 8601; UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Judge up to this time; now if not given.")] = None,
    model_version: Annotated[str | None, typer.Option(help="Judge the predictions of this version.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    evidently: Annotated[
        Path | None, typer.Option(help="Write Evidently's report to this file (extra drift-report).")
    ] = None,
) -> None:
    """Compare the newest predictions with the training data, feature by feature.

    Exit status 0 without an alarm, 1 with one, 2 when there is nothing to judge: too few predictions, the
    store away, no trained package.
    """
    from vigie.drift.check import check, predictions_of, read_served
    from vigie.drift.html_report import html_page

    settings = load_settings()
    period = chosen_period(last, since, until)
    served = read_served(settings.model.model_path)
    with predictions_of(settings, served, model_version) as predictions:
        report = check(predictions, served, period or window)
        if evidently is not None:
            from vigie.drift.evidently_export import write_evidently

            write_evidently(predictions, served, settings.model.model_path, period or report.rows, evidently)
            said = [f"wrote {evidently}"]
        else:
            said = []
    if html is not None:
        html.write_text(html_page(report, served.schema), encoding="utf-8")
        said.append(f"wrote {html}")
    if as_json:
        print_json(report.as_dict())
    else:
        out.print(report.as_table())
        for line in (*report.lines(), *said):
            say(line)
    raise typer.Exit(CANNOT_BE_JUDGED if not report.judged else UNHEALTHY if report.alarmed else 0)


def chosen_period(last: str | None, since: str | None, until: str | None) -> Period | None:
    """Return the period that the options name; None when they name none."""
    from vigie.drift.check import Period

    end = _time(until) if until else datetime.now(UTC)
    if last is not None:
        length = _LENGTH.fullmatch(last.strip())
        if length is None or int(length["count"]) == 0 or since is not None:
            raise PeriodError(f"--last {last}: a length such as 30m, 24h or 7d, and without --since")
        return Period(end - timedelta(**{_UNITS[length["unit"]]: int(length["count"])}), end)
    if since is None:
        if until is not None:
            raise PeriodError("--until needs --since or --last")
        return None
    begin = _time(since)
    if begin >= end:
        raise PeriodError(f"--since {since} is not before the end of the period")
    return Period(begin, end)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise PeriodError(f"{text!r} is not an ISO 8601 time such as 2026-11-20T10:30:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)

"""`vigie history` and `vigie trace`: the predictions made, and one from end to end, as the API tells them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

import orjson
import typer
from rich.table import Table

from vigie.client import ask_api
from vigie.settings import load_settings
from vigie.terminal import UNHEALTHY, fitted, out, print_json, say

LONGEST_PAGE: Final = 1000
_WHEN: Final = slice(5, 23)
"""Of a timestamp: month to milliseconds."""
_OTHER_COLUMNS: Final = 67
"""Width of the history without its answers: a long answer is cut, rather than time and status."""
_NUMBERS: Final = 20
"""Width of a function's figures, and of what is between the columns."""
LEAST_WIDTH: Final = 10


def history(  # noqa: PLR0913, PLR0917 - the options of a command
    transaction_id: Annotated[str | None, typer.Option(help="Only this transaction.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on (ISO 8601; UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    label: Annotated[str | None, typer.Option(help="Answered with this label.")] = None,
    model_version: Annotated[str | None, typer.Option(help="Answered by this version.")] = None,
    status: Annotated[str | None, typer.Option(help="ok, refused, shed or failed.")] = None,
    subject: Annotated[str | None, typer.Option(help="About this subject.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LONGEST_PAGE, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on behind the page before.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print the predictions made, newest first; exit status 1 when there is none."""
    asked = {
        "transaction_id": transaction_id,
        "since": since,
        "until": until,
        "label": label,
        "model_version": model_version,
        "status": status,
        "subject_id": subject,
        "cursor": cursor,
    }
    query: dict[str, str | int] = {name: value for name, value in asked.items() if value is not None}
    answer = ask_api(load_settings(), "GET", "/predict/history", query={**query, "limit": limit})
    items = answer["items"]
    if as_json:
        print_json(answer)
    else:
        if items:
            out.print(_table(items))
        else:
            say("no prediction fits")
        if answer["next"] is not None:
            say(f"more: --cursor {answer['next']}")
    raise typer.Exit(0 if items else UNHEALTHY)


def trace(
    transaction_id: Annotated[str, typer.Argument(help="Of a prediction, a row of a batch, or a batch.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Print one request from end to end: its event, its cost, its documents; exit status 1 when unknown."""
    path = f"/predict/{quote(transaction_id, safe='')}"
    answer = ask_api(load_settings(), "GET", path, expected=(200, 202, 404))
    known = "state" in answer
    if as_json:
        print_json(answer)
    elif not known:
        say(answer["detail"])
    else:
        for line in _lines(answer):
            say(line)
        if answer.get("top_functions"):
            out.print(_functions(answer["top_functions"]))
    raise typer.Exit(0 if known else UNHEALTHY)


def _table(items: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("time (UTC)", "transaction", "status"):
        table.add_column(name, no_wrap=True)
    widest = max(LEAST_WIDTH, out.width - _OTHER_COLUMNS)
    table.add_column("answer", no_wrap=True, overflow="ellipsis", max_width=widest)
    for item in items:
        table.add_row(str(item["timestamp"])[_WHEN], item["transaction_id"], item["status"], _answer(item))
    return table


def _answer(item: Mapping[str, Any]) -> str:
    result = item.get("result") or {}
    if not result:
        return "; ".join(f"{error['field']} {error['reason']}" for error in item.get("errors") or [])
    shown = result.get("label") or result.get("prediction")
    probability = result.get("probability")
    return f"{shown}" if probability is None else f"{shown} {probability:.3f}"


def _lines(trace: Mapping[str, Any]) -> Iterator[str]:
    """Yield what there is of a request, each line within the terminal's width."""
    event = trace["event"] or {}
    data = event.get("data") or {}
    parts = {
        "transaction": trace["transaction_id"],
        "state": trace["state"],
        "why": trace.get("detail") or (trace.get("dead_letter") or {}).get("reason"),
        "time": event.get("timestamp"),
        "request": f"{data.get('method')} {data.get('path')}: {data.get('status_code')} {data.get('status')}",
        "batch": data.get("batch_id"),
        "rows": trace.get("rows"),
        "subject": data.get("subject_id"),
        "model": " ".join((data.get("model") or {}).values()),
        "answer": _answer(data),
        "input": _compact(data.get("input_data", data.get("rejected_input"))),
        "metrics": _figures(trace.get("metrics") or data.get("performance_metrics") or {}),
        "stages": _figures(trace.get("stages") or data.get("stages") or {}),
        **{
            index: ", ".join(sorted(one["source"].get("doc_type", "") for one in documents))
            for index, documents in (trace.get("documents") or {}).items()
        },
    }
    for name, value in parts.items():
        if value not in {None, ""}:
            yield fitted(f"{name:<15} ", str(value))


def _figures(measured: Mapping[str, Any]) -> str:
    """Return the numbers among what was measured, in one line."""
    return ", ".join(
        f"{name} {value:.4g}" for name, value in measured.items() if isinstance(value, int | float)
    )


def _compact(value: object) -> str:
    return "" if value is None else orjson.dumps(value).decode()


def _functions(functions: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    widest = max(LEAST_WIDTH, (out.width - _NUMBERS) // 2)
    for name in ("function", "file"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=widest)
    for name in ("calls", "own ms"):
        table.add_column(name, no_wrap=True, justify="right")
    for one in functions:
        table.add_row(
            one["function"], f"{one['file']}:{one['line']}", str(one["calls"]), f"{one['own_ms']:.3f}"
        )
    return table

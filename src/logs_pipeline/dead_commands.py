"""`vigie pipeline dead`: what an operator does with dead letters."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vigie.settings import load_settings
from vigie.terminal import UNHEALTHY, fitted, print_json, say

if TYPE_CHECKING:
    from vigie.logs_pipeline.dead_letters import Replayed

MOST_TOLD: Final = 20
"""Letters that a replay names one by one because they are still there."""
HOPELESS: Final = (
    "{} unprocessable as before: a replay changes nothing for them, `vigie pipeline dead discard ID` throws "
    "them away"
)

dead_app = typer.Typer(help="Events that were refused for good.", no_args_is_help=True)
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Letters, as `list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="Every letter that waits now.")]


@dead_app.command("list")
def dead_list(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the events included.")] = False,
) -> None:
    """List the dead letters, newest first, each with its reason in a second line."""
    from vigie.logs_pipeline.dead_letters import open_letters

    with open_letters(load_settings()) as letters:
        found, total = letters.newest(limit), letters.count()
    if as_json:
        print_json({"total": total, "letters": [letter.as_dict() for letter in found]})
        return
    for letter in found:
        event = f"{letter.producer[-12:]}/{letter.number}" if letter.number else "no number"
        say(f"{letter.id}  {letter.last_at}  {event}  {letter.attempts}x")
        say(fitted("  ", letter.reason))
    say(f"{len(found)} of {total}")


@dead_app.command("show")
def dead_show(letter_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]) -> None:
    """Print one letter in full: the event, what was refused, by which index and why."""
    from vigie.logs_pipeline.dead_letters import chosen, open_letters

    with open_letters(load_settings()) as letters:
        (letter,) = chosen(letters, [letter_id])
    print_json(letter.as_dict())


@dead_app.command("replay")
def dead_replay(ids: Ids = None, everything: All = False) -> None:
    """Index the events once more, when the cause is gone; exit status 1 when a letter is still there."""
    from vigie.logs_pipeline.dead_letters import replay

    counts: Counter[str] = Counter()
    told = hopeless = 0
    for replayed in replay(load_settings(), _wanted(ids, everything)):
        counts[replayed.outcome] += 1
        if not replayed.done:
            told += 1
            hopeless += _hopeless(replayed)
            if told <= MOST_TOLD:
                say(fitted(f"{replayed.letter.id}  {replayed.outcome}: ", replayed.reason))
    if told > MOST_TOLD:
        say(f"… and {told - MOST_TOLD} more")
    say(
        f"{counts['indexed']} indexed, {counts['filtered']} filtered, {counts['failed']} failed again, "
        f"{counts['left']} left as they were"
        + (f", {counts['gone']} gone meanwhile" if counts["gone"] else "")
    )
    if hopeless:
        say(HOPELESS.format(hopeless))
    raise typer.Exit(UNHEALTHY if told else 0)


@dead_app.command("discard")
def dead_discard(
    ids: Ids = None,
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Needed with --all.")] = False,
) -> None:
    """Throw letters away for good; their events stay dead in the ledger."""
    from vigie.logs_pipeline.dead_letters import discard

    wanted = _wanted(ids, everything)
    if wanted is None and not yes:
        raise typer.BadParameter("it throws every event away for good: add --yes", param_hint="--all")
    say(f"{discard(load_settings(), wanted)} discarded")


def _wanted(ids: list[str] | None, everything: bool) -> list[str] | None:
    """Return the ids, or None for all. Raises typer.BadParameter unless it is one of the two."""
    if bool(ids) == everything:
        raise typer.BadParameter("give ids, or --all", param_hint="ID")
    return None if everything else ids


def _hopeless(replayed: Replayed) -> bool:
    """Whether its event never became documents, and failed once more for the same reason."""
    letter = replayed.letter
    return replayed.outcome == "failed" and not letter.failures and replayed.reason == letter.reason

"""`vigie pipeline group` and `vigie pipeline cursor`: who keeps entries in the stream."""

from __future__ import annotations

from typing import Annotated

import typer

from vigie.settings import load_settings
from vigie.terminal import say

group_app = typer.Typer(help="Consumer groups of the stream.", no_args_is_help=True)
cursor_app = typer.Typer(help="Consumers of /logs_api for which entries are kept.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Its name, as the list shows it.")]


@group_app.command("list")
def group_list() -> None:
    """Show the consumer groups of the stream, their consumers, and what they have not finished."""
    from vigie.logs_pipeline.groups import groups

    found = groups(load_settings().redis)
    for held in found:
        say(str(held))
        for one in held.consumers:
            say(f"  {one.name}: {one.pending} entries in flight, silent for {one.idle_ms / 1000:.1f} s")
    if not found:
        say("the stream has no consumer group yet")


@group_app.command("drop")
def group_drop(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also one that is in use.")] = False,
) -> None:
    """Drop a consumer group that nobody reads with any more, so that the stream can be trimmed again."""
    from vigie.logs_pipeline.groups import drop_group

    say(f"dropped {drop_group(load_settings().redis, name, force=force)}")


@cursor_app.command("list")
def cursor_list() -> None:
    """Show the consumers of /logs_api, what each has not confirmed, and how old its last entry is."""
    from vigie.logs_pipeline.groups import age_seconds, cursors

    found = cursors(load_settings().redis)
    for held in found:
        say(f"{held}, written {age_seconds(held.holder):.0f} s ago")
    if not found:
        say("no consumer of /logs_api is known")


@cursor_app.command("drop")
def cursor_drop(name: Name) -> None:
    """Stop keeping entries for a consumer of /logs_api that does not come back."""
    from vigie.logs_pipeline.groups import drop_cursor

    say(f"dropped {drop_cursor(load_settings().redis, name)}")

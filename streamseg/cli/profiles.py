"""`streamseg profiles`: which there are, one in full, one less."""

from __future__ import annotations

import re

import click

from streamseg.cli import profile
from streamseg.errors import UsageError, reason
from streamseg.sinks.address import told


@click.group("profiles", invoke_without_command=True, short_help="List the profiles.")
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the profiles that --profile knows; `streamseg run ... --save-profile NAME` makes one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(listing)


@command.command("list")
def listing() -> None:
    """List their names."""
    names = profile.names()
    for name in names:
        print(name)
    if not names:
        print("no profiles yet; make one: streamseg run ... --save-profile NAME")


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show where one is and what it says, passwords and stream keys left out."""
    text = re.sub(r'"([^"]*)"', lambda quoted: f'"{told(quoted[1])}"', profile.text_of(name))
    print(f"# {profile.path_of(name)}\n{text}", end="")


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove one."""
    profile.text_of(name)
    path = profile.path_of(name)
    try:
        path.unlink()
    except OSError as error:
        raise UsageError(f"cannot remove profile {str(path)!r}: {reason(error)}") from error

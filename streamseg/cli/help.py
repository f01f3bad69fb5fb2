"""How `--help` and usage errors read: options in named groups, examples, one-line errors that suggest."""

from __future__ import annotations

import difflib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

NAME = "streamseg"

WIDTH = 80
"""Widest help text, in characters."""


class Option(click.Option):
    """An option in a group of the help; `told` is what the help says happens without it."""

    def __init__(
        self,
        names: Sequence[str],
        group: str,
        metavar: str | None,
        text: str,
        *,
        told: str = "",
        **settings: Any,
    ) -> None:
        flag = metavar is None and not any("/" in name for name in names)
        super().__init__(names, metavar=metavar, help=text, is_flag=flag or None, **settings)
        self.group = group
        self._told = told

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names and the text, the default in brackets at its end."""
        names = ", ".join((*self.opts, *self.secondary_opts))
        told = self._told or ("" if self.is_flag else str(self.get_default(ctx)).removesuffix(".0"))
        metavar = f" {self.metavar}" if self.metavar else ""
        return f"{names}{metavar}", f"{self.help} [{told}]" if told else str(self.help)


class Command(click.Command):
    """A command whose help shows blocks of text as they stand (examples, keys) and groups of options."""

    def __init__(self, *args: Any, blocks: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.blocks = blocks

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does; words too many are answered with what they may have been meant for."""
        ctx.allow_extra_args = True
        extra = super().parse_args(ctx, args)
        if extra:
            advice = "outputs go behind -o, patterns in quotes: 'shots/*.png'"
            raise click.UsageError(f"too many arguments: {' '.join(extra)}; {advice}", ctx)
        return extra

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the line that starts with the program's name as it was called."""
        formatter.write_usage(program(ctx), str(self.options_metavar))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the blocks, then the options by group, in the order they were declared."""
        for title, text in self.blocks:
            with formatter.section(title):
                for line in text.strip("\n").splitlines():
                    formatter.write(
                        f"  {line.replace('streamseg run', program(ctx))}\n".replace("  \n", "\n")
                    )
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Argument):
                continue
            record = parameter.get_help_record(ctx)
            if record is not None:
                text = record[1][:1].lower() + record[1][1:].rstrip(".")
                groups.setdefault(getattr(parameter, "group", "Running"), []).append((record[0], text))
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=28)


def program(ctx: click.Context) -> str:
    """Name of a command as the user called it."""
    return started("run") if ctx.command_path == f"{NAME} run" else ctx.command_path.replace(NAME, started())


def started(command: str = "") -> str:
    """What starts the program, or a command of it: what the user typed."""
    script = Path(sys.argv[0])
    if script.name == "run_stream.py":
        return f"./{script.name}" if command == "run" else f"{sys.executable} -m {NAME} {command}".rstrip()
    name = NAME
    if script.parts[-2:] == (NAME, "__main__.py"):
        name = f"{Path(sys.executable).name} -m {NAME}"
    elif script.stem == NAME and shutil.which(NAME) != str(script):
        name = str(script)
    return f"{name} {command}".rstrip()


def explain(error: click.ClickException) -> str:
    """Return click's complaint in one line: what was asked, what to do."""
    context = getattr(error, "ctx", None)
    hint = f"; see {program(context)} --help" if context else ""
    if isinstance(error, click.NoSuchOption):
        return f"unknown option {error.option_name!r}{_nearest_option(error)}{hint}"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{error.param.make_metavar(error.ctx) if error.ctx else error.param.name} is missing{hint}"
    text = " ".join(error.message.split()).rstrip(".")
    if isinstance(error, click.BadParameter) and error.param is not None:
        return f"{error.param.opts[0]}: {text}{hint}"
    return text[:1].lower() + text[1:] + hint


def _nearest_option(error: click.NoSuchOption) -> str:
    if error.ctx is None:
        return ""
    known = [
        name
        for option in error.ctx.command.get_params(error.ctx)
        for name in (*option.opts, *option.secondary_opts)
    ]
    return did_you_mean(error.option_name, known)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean --effect?`, or nothing where no known word is near."""
    bare = {name.lstrip("-"): name for name in known}  # two dashes in common are nothing in common
    near = difflib.get_close_matches(word.lstrip("-"), bare, n=1, cutoff=0.6)
    return f"; did you mean {bare[near[0]]}?" if near else ""

"""How `--help` and usage errors read: options in named groups, examples, one-line errors that suggest."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

WIDTH = 100
"""Widest help text, in characters."""


class Option(click.Option):
    """An option that belongs to a named group of the help."""

    def __init__(self, *args: Any, group: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class Command(click.Command):
    """A command whose help shows blocks of text as they stand (examples, keys) and groups of options."""

    def __init__(self, *args: Any, blocks: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.blocks = blocks

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the line that starts with the program's name as it was called."""
        formatter.write_usage(program(ctx), " ".join(self.collect_usage_pieces(ctx)))

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
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "group", "Help"), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=28)


def program(ctx: click.Context) -> str:
    """Name of the program as the user called it."""
    script = Path(sys.argv[0]).name
    if script == "run_stream.py" and ctx.info_name == "run":
        return f"./{script}"
    return ctx.command_path


def explain(error: click.ClickException) -> str:
    """Return click's complaint in one line: what was asked, what to do."""
    context = getattr(error, "ctx", None)
    hint = f"; see {program(context)} --help" if context else ""
    if isinstance(error, click.NoSuchOption):
        return f"unknown option {error.option_name!r}{_nearest_option(error)}{hint}"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{error.param.make_metavar(error.ctx) if error.ctx else error.param.name} is missing{hint}"
    text = " ".join(error.format_message().split()).rstrip(".?").replace(". Did you mean", "; did you mean")
    text = re.sub(r"^Invalid value for '?([^':]+)'?( / '[^']*')*: ", r"\1: ", text)
    extra = re.match(r"Got unexpected extra arguments? \((.*)\)", text)
    if extra:
        advice = "; outputs go behind -o, patterns in quotes: 'shots/*.png'" if _runs(context) else ""
        return f"too many arguments: {extra[1]}{advice}{hint}"
    return text[:1].lower() + text[1:] + hint


def _runs(context: click.Context | None) -> bool:
    return context is not None and context.info_name == "run"


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
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""

"""The command line: `main` finds the command, and makes every ending a line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

import click

import streamseg
from streamseg.cli.help import NAME, WIDTH, did_you_mean, explain, started
from streamseg.errors import StreamsegError, UsageError, reason

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

COMMANDS = {
    "run": "Read a video, camera or picture; show, write or stream the result.",
    "profiles": "List, show or remove saved options.",
    "models": "List the networks; show, import or fetch one.",
    "build": "Build a TensorRT plan of a network.",
    "bench": "Measure how fast this machine is, beside a plain transcode.",
    "doctor": "Check what this machine has and what is missing.",
}
"""What each does; its module, of the same name, is imported when it is called, so that help comes at once."""


class Commands(click.Group):
    """Finds commands by name and imports them on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"streamseg.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command `args` begin with; say what may have been meant where there is none."""
        word = args[0]
        if word not in COMMANDS and not word.startswith("-"):
            raise UsageError(f"unknown command {word!r}{_meant(word, args)}; commands: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": WIDTH,
        "show_default": True,
    },
    epilog="Each command has a --help of its own.",
)
@click.version_option(streamseg.__version__, prog_name="streamseg", message="%(prog)s %(version)s")
def commands() -> None:
    """Find the people in a video: silhouettes, cut-outs, new backgrounds, exact in time and sound."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the program with `argv` (default: the process's own) and leave with its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _replace_closed_streams()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: a file's name may hold anything
    code = outcome(arguments or ["--help"])
    sys.exit(_flushed(code))


def _replace_closed_streams() -> None:
    """Started with `<&-`, `>&-` or `2>&-` Python has no such stream, and the first file opened gets its
    number: what is said there, or read as a command, would be that file's.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  (for the life of the process)


def outcome(arguments: list[str]) -> int:
    """Run the program; return its exit code after saying in one line what went wrong, if anything did."""
    try:
        with commands.make_context(NAME, arguments) as context:
            result = commands.invoke(context)
    except click.exceptions.Exit as ended:  # --help, --version
        return ended.exit_code
    except click.ClickException as error:
        return _complain(explain(error), USAGE)
    except UsageError as error:
        return _complain(str(error), USAGE)
    except StreamsegError as error:
        return _complain(str(error), FAILED)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return DONE  # the reader of stdout has seen enough
    except OSError as error:
        return _complain(_system(error), FAILED)
    except MemoryError:
        return _complain("out of memory; use smaller pictures (--size) or close other programs", FAILED)
    except Exception as error:
        if os.environ.get("STREAMSEG_DEBUG"):
            traceback.print_exc()
        what = f"{type(error).__name__}: {reason(error)}"
        return _complain(f"internal error: {what}; run with STREAMSEG_DEBUG=1 for the traceback", FAILED)
    return result if isinstance(result, int) else DONE


def _complain(line: str, code: int) -> int:
    print(f"error: {line}", file=sys.stderr, flush=True)
    return code


def _flushed(code: int) -> int:
    """Flush stdout now: what goes wrong at the interpreter's end would be a traceback."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            return _complain(_system(error), FAILED)
    return code


def _system(error: OSError) -> str:
    """What the system refused, where nobody closer to it has said so."""
    what = f"cannot read or write {error.filename!r}" if error.filename else "cannot read or write"
    return f"{what}: {reason(error)}"


def _meant(word: str, args: list[str]) -> str:
    looks_like_source = Path(word).exists() or any(sign in word for sign in "./:") or word.isdigit()
    if looks_like_source:
        return f"; did you mean: {started('run')} {' '.join(args)}"
    return did_you_mean(word, list(COMMANDS))

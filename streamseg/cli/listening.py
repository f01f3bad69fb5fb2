"""`--control`: commands on standard input, a line each, change a run in progress; each has an answer."""

from __future__ import annotations

import json
import os
import select
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from streamseg.control import SWITCHES, Control
from streamseg.errors import StreamsegError, UsageError
from streamseg.handoff import Job

_STDIN = 0
_POLL = 0.1
"""Seconds between looks at whether the run has ended."""

_LONGEST = 1 << 16
"""Bytes of a line."""

KNOWN = "name=value, a JSON object, panic, freeze or pause with on or off, settings, figures, stop"


@contextmanager
def listening(control: Control, answers: TextIO) -> Iterator[None]:
    """Obey standard input while in the `with` block; its end ends nothing else. What is said before the run
    has begun waits for it.

    Raises UsageError on Windows, where nobody can wait for it and for something else.
    """
    if sys.platform == "win32":
        raise UsageError("--control needs Linux or macOS; use -o web: and its HTTP interface")

    def listen(stopping: Callable[[], bool]) -> None:
        for line in _lines(stopping):
            while not (control.begun or stopping()):  # a network is being loaded, a server connected to
                time.sleep(_POLL)
            if line.strip():
                try:
                    print(json.dumps(answer(control, line)), file=answers, flush=True)
                except OSError:  # nobody reads the answers any more
                    return

    job = Job(listen, name="control")
    try:
        yield
    finally:
        job.stop()
        job.result()


def answer(control: Control, line: str) -> dict[str, object]:
    """Do what a line asks for; return what there is to say: `ok`, or `error` and why nothing was done."""
    try:
        return {"ok": True, **(_obeyed(control, line) or {})}
    except StreamsegError as error:
        return {"ok": False, "error": str(error)}


def _obeyed(control: Control, line: str) -> dict[str, object] | None:
    if line.lstrip().startswith("{"):
        control.change(_object(line))
        return None
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"cannot read command {line.strip()!r}: {str(error).lower()}") from error
    match words:
        case ["stop"]:
            control.stop()
        case ["settings"]:
            return control.settings.to_json()
        case ["figures"]:
            return control.figures()
        case [word, ("on" | "off") as state] if word in SWITCHES:
            setattr(control, SWITCHES[word], state == "on")
        case _ if words and all("=" in word for word in words):
            control.change(dict(map(_setting, words)))
        case _:
            raise UsageError(f"no command {line.strip()!r}; there are: {KNOWN}")
    return None


def _object(line: str) -> dict[str, object]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"cannot read command {line.strip()!r} as JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"command {line.strip()!r} is no JSON object of settings")
    return values


def _setting(word: str) -> tuple[str, object]:
    """`feather=3` as a name and a value: JSON where it is any, else text; classes have commas between."""
    name, _, text = word.partition("=")
    if name == "classes":
        return name, [each for each in text.split(",") if each]
    try:
        return name, json.loads(text)
    except (ValueError, RecursionError):
        return name, text


def _lines(stopping: Callable[[], bool]) -> Iterator[str]:
    """Lines of standard input as they come. Read below Python's buffer, where a wait can be given up."""
    held = b""
    while not stopping():
        try:
            if not select.select([_STDIN], [], [], _POLL)[0]:
                continue
            chunk = os.read(_STDIN, _LONGEST)
        except (OSError, ValueError):  # closed
            return
        *lines, held = (held + chunk).split(b"\n")
        if not chunk or len(held) > _LONGEST:
            lines, held = [*lines, held], b""
        yield from (line.decode(errors="replace") for line in lines)
        if not chunk:
            return

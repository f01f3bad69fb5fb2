"""`streamseg doctor`: the facts as lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streamseg.doctor import Fact

_TICKS = {"good": "✓", "bad": "✗", "not needed": "·"}
_WORDS = {"good": "ok ", "bad": "BAD", "not needed": "-  "}
"""For terminals that cannot print ticks."""


@click.command("doctor", short_help="Check what this machine has.")
@click.option("--cameras", is_flag=True, help="List the cameras instead, and what each can do.")
def command(cameras: bool) -> int:
    """Check what this machine has, a line for each fact, and with each thing missing the command that helps.

    Exit code 0: everything needed is here. 1: something needed is missing.
    """
    from streamseg.doctor import facts
    from streamseg.doctor.camera_list import camera_facts

    marks = _TICKS if _can_print("".join(_TICKS.values())) else _WORDS
    bad = 0
    for fact in camera_facts() if cameras else facts():
        bad += fact.state == "bad"
        for line in lines(fact, marks):
            print(line, flush=True)
    if bad or not cameras:
        print(f"{bad} thing{'s' * (bad > 1)} to fix" if bad else "all that is needed is here")
    return 1 if bad else 0


def lines(fact: Fact, marks: dict[str, str]) -> Iterator[str]:
    """Yield a fact as it is printed, and below it the fix."""
    mark = marks[fact.state]
    note = "; not needed" if fact.state == "not needed" else ""
    yield f"{mark} {fact.what:<24} {fact.found}{note}"
    if fact.fix:
        yield f"{' ' * len(mark)} {'':<24} fix: {fact.fix}"


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True

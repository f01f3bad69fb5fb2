"""Values on the command line that are more than a word: numbers in bounds, sizes, bit rates, lists.

Each parser takes what was typed and raises click.BadParameter; click adds which option it belongs to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import click

_MULTIPLIERS = {"": 1, "k": 1_000, "m": 1_000_000}


def number(
    *, low: float = -math.inf, high: float = math.inf, above: float = -math.inf
) -> Callable[[str], float]:
    """Return a parser of numbers from `low` to `high`, or above `above`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high and value > above):
            raise click.BadParameter(f"{text!r} is no number{_bounds(low, high, above)}")
        return value

    return parse


def whole(*, low: int, high: float = math.inf) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        value = int(text) if re.fullmatch(r"[+-]?\d{1,9}", str(text)) else None
        if value is None or not low <= value <= high:
            raise click.BadParameter(f"{text!r} is no whole number{_bounds(low, high, -math.inf)}")
        return value

    return parse


def _bounds(low: float, high: float, above: float) -> str:
    if above > -math.inf:
        return f" above {above:g}"
    return f" from {low:g} to {high:g}" if high < math.inf else f" of {low:g} or more"


def size(text: str) -> tuple[int, int]:
    """Parse `1280x720` as (1280, 720)."""
    match = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no size; write width x height, as in 1280x720")
    return int(match[1]), int(match[2])


def bitrate(text: str) -> int:
    """Parse `4M`, `800k` or `4000000` as bits per second."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", text)
    bits = round(float(match[1]) * _MULTIPLIERS[match[2].lower()]) if match else 0
    if not 0 < bits < 2**31:
        raise click.BadParameter(f"{text!r} is no bit rate; write bits per second, as in 800k or 4M")
    return bits


def names(text: str) -> tuple[str, ...]:
    """Parse `dog,person` as ("dog", "person")."""
    parts = tuple(name.strip() for name in text.split(",") if name.strip())
    if not parts:
        raise click.BadParameter(f"{text!r} names nothing; write names with commas between, as in dog,person")
    return parts

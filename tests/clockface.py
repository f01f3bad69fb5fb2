"""A clock in the picture: bits of a moment, burnt in at the source and read back where it arrives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BITS = 32
_COLUMNS = 8
_SALT = 90
"""Or a black place would be a clock at zero."""
_CHECK = 8
"""Bits that follow: the sum of the bytes, so that a blurred or hidden clock is not misread."""


def burn(luma: NDArray[np.uint8], seconds: float, place: tuple[int, int], cell: int = 8) -> None:
    """Write a moment, to 0.1 ms and modulo five days, as black and white squares of `cell` pixels into an
    (H, W) plane, its upper left corner at `place` (x, y)."""
    ticks = round(seconds * 10_000) % (1 << BITS)
    for index, bit in enumerate(_bits(ticks)):
        row, column = divmod(index, _COLUMNS)
        x, y = place[0] + column * cell, place[1] + row * cell
        luma[y : y + cell, x : x + cell] = 235 if bit else 16


def read(luma: NDArray[np.uint8], place: tuple[int, int], cell: float = 8) -> float | None:
    """Return the moment a plane shows, in seconds, or None where it cannot be read; `cell` may be scaled."""
    bits = []
    for index in range(BITS + _CHECK):
        row, column = divmod(index, _COLUMNS)
        x, y = (round(start + (step + 0.5) * cell) for start, step in zip(place, (column, row), strict=True))
        bits.append(int(luma[y - 1 : y + 2, x - 1 : x + 2].mean() > 127))
    ticks = sum(bit << index for index, bit in enumerate(bits[:BITS]))
    return ticks / 10_000 if bits == _bits(ticks) else None


def age(now: float, then: float) -> float:
    """Seconds from one moment to another, both as they are burnt."""
    return (now - then) % ((1 << BITS) / 10_000)


def _bits(ticks: int) -> list[int]:
    check = (_SALT + sum(ticks >> shift & 255 for shift in range(0, BITS, 8))) & 255
    return [ticks >> index & 1 for index in range(BITS)] + [check >> index & 1 for index in range(_CHECK)]

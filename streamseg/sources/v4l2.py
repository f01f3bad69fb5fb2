"""What a V4L2 camera can do, asked of its driver: pixel formats, sizes and rates. Linux only.

Four ioctls by hand: the one library for them that is kept up (linuxpy) is under the GPL.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

_ENUM_FMT, _FMTDESC = 0xC0405602, struct.Struct("=III32s4s16x")
"""VIDIOC_ENUM_FMT; index, type, flags, description, pixel format."""
_ENUM_FRAMESIZES, _FRMSIZEENUM = 0xC02C564A, struct.Struct("=I4sI6I8x")
"""VIDIOC_ENUM_FRAMESIZES; index, pixel format, type; W, H, or least, most and step of W, then of H."""
_ENUM_FRAMEINTERVALS, _FRMIVALENUM = 0xC034564B, struct.Struct("=I4sIII6I8x")
"""VIDIOC_ENUM_FRAMEINTERVALS; index, pixel format, W, H, type; seconds as a fraction, or the shortest, the
longest and the step."""
_CAPTURE = 1
"""V4L2_BUF_TYPE_VIDEO_CAPTURE."""
_DISCRETE = 1
"""V4L2_FRMSIZE_TYPE_DISCRETE and V4L2_FRMIVAL_TYPE_DISCRETE."""
_MOST = 500
"""Answers to one question after which a driver is taken to repeat itself."""


@dataclass(frozen=True, slots=True)
class Mode:
    """A pixel format in a size, and the rates it comes at."""

    fourcc: str
    """As V4L2 writes it: YUYV, MJPG, NV12."""
    size: tuple[int, int]
    """(W, H); of a range of sizes the largest."""
    rates: tuple[Fraction, ...]
    """Frames a second, highest first; of a range the highest. Empty where the driver does not say."""


def modes(path: str | Path) -> list[Mode]:
    """Return what the camera at `path` offers, as its driver orders it; raises OSError."""
    device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        return [
            Mode(fourcc.decode("latin-1").rstrip(), size, _rates(device, fourcc, size))
            for fourcc in _formats(device)
            for size in _sizes(device, fourcc)
        ]
    finally:
        os.close(device)


def _formats(device: int) -> list[bytes]:
    answers = _asked(device, _ENUM_FMT, _FMTDESC, lambda index: (index, _CAPTURE, 0, b"", b""))
    return [fourcc for *_, fourcc in answers if isinstance(fourcc, bytes)]


def _sizes(device: int, fourcc: bytes) -> list[tuple[int, int]]:
    found = []
    for answer in _asked(device, _ENUM_FRAMESIZES, _FRMSIZEENUM, lambda index: (index, fourcc, *[0] * 7)):
        kind, numbers = answer[2], [int(number) for number in answer[3:]]
        found.append((numbers[0], numbers[1]) if kind == _DISCRETE else (numbers[1], numbers[4]))
        if kind != _DISCRETE:
            break  # a range is one answer
    return found


def _rates(device: int, fourcc: bytes, size: tuple[int, int]) -> tuple[Fraction, ...]:
    found = set()
    for answer in _asked(
        device, _ENUM_FRAMEINTERVALS, _FRMIVALENUM, lambda index: (index, fourcc, *size, *[0] * 7)
    ):
        seconds = [int(number) for number in answer[5:7]]  # of a range the shortest
        if all(seconds):
            found.add(Fraction(seconds[1], seconds[0]))
        if answer[4] != _DISCRETE:
            break
    return tuple(sorted(found, reverse=True))


def _asked(
    device: int, request: int, layout: struct.Struct, question: Callable[[int], tuple[int | bytes, ...]]
) -> Iterator[tuple[int | bytes, ...]]:
    """Put a question with index 0, 1, ... until the driver knows no more answers; raises OSError."""
    from fcntl import ioctl

    for index in range(_MOST):
        memory = bytearray(layout.pack(*question(index)))
        try:
            ioctl(device, request, memory)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):  # the last was before, or it knows none at all
                return
            raise
        yield layout.unpack(memory)

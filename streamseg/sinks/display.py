"""Pictures as a screen takes them: BGR at the very size they are shown at; nobody scales them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from streamseg.pictures import alpha_of, shape
from streamseg.sinks.pixels import Conversion

Pixels: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) BGR."""

_CHECKER = 16
"""Side of the squares behind transparent pictures, in pixels."""

_DIMMED = 0.2
"""How much of the picture shows through behind a text."""
_KEY, _TEXT = (0, 215, 255), (255, 255, 255)
_LINES = (14, 26)
"""Smallest and largest height of a line of text, in pixels."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 30
"""Pixels its lines take at scale 1."""


class Display:
    """Makes pixels out of pictures of any size and pixel format.

    swscale converts without scaling, its quickest path (0.3 ms at 720p, within 3 codes; exactly it took 5),
    and OpenCV scales, which is quicker and smoother than the toolkit behind the window.
    """

    def __init__(self) -> None:
        self._conversion: Conversion | None = None
        self._checkerboard: Pixels = np.empty((0, 0, 3), np.uint8)

    def __call__(self, picture: av.VideoFrame, size: tuple[int, int]) -> Pixels:
        """Return `picture` at `size` (W, H); transparent parts show a checkerboard."""
        if self._conversion is None:
            self._conversion = Conversion(picture, "bgr24", "window", interpolation=Interpolation.BILINEAR)
        shown: Pixels = np.asarray(self._conversion(picture).to_ndarray(), np.uint8)
        if shape(picture.format.name).alpha:
            shown = over(shown, opacity(picture), self._behind(shown.shape[:2]))
        return scaled(shown, size)

    def _behind(self, size: tuple[int, ...]) -> Pixels:
        if self._checkerboard.shape[:2] != size:
            self._checkerboard = checkerboard(size[0], size[1])
        return self._checkerboard


def scaled(shown: Pixels, size: tuple[int, int]) -> Pixels:
    """Return `shown` at another (W, H); itself, if it has it."""
    width, height = shown.shape[1], shown.shape[0]
    if (width, height) == size:
        return shown
    smaller = size[0] * 2 < width or size[1] * 2 < height
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(shown, size, interpolation=method), np.uint8)


def framed(shown: Pixels, size: tuple[int, int]) -> Pixels:
    """Return `shown` in the middle of a black (W, H), which is not smaller; itself, if it has that size."""
    across, down = size[0] - shown.shape[1], size[1] - shown.shape[0]
    if not across and not down:
        return shown
    left, top = across // 2, down // 2
    bars = (top, down - top, left, across - left)
    return np.asarray(cv2.copyMakeBorder(shown, *bars, cv2.BORDER_CONSTANT, value=(0, 0, 0)), np.uint8)


def opacity(picture: av.VideoFrame) -> Pixels:
    """(H, W) alpha of a picture in 8 bits."""
    return (alpha_of(picture) >> (shape(picture.format.name).depth - 8)).astype(np.uint8)


def checkerboard(height: int, width: int) -> Pixels:
    """Light and dark grey squares."""
    squares = (np.arange(height)[:, None] // _CHECKER + np.arange(width) // _CHECKER) % 2
    grey = np.where(squares == 1, 204, 153).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)


def over(front: Pixels, alpha: NDArray[np.uint8], behind: Pixels) -> Pixels:
    """Blend `front` over `behind` by (H, W) alpha; 0 and 255 are exact."""
    opaque = cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR)
    seen = cv2.multiply(front, opaque, scale=1 / 255)
    return np.asarray(cv2.add(seen, cv2.multiply(behind, cv2.bitwise_not(opaque), scale=1 / 255)), np.uint8)


def with_help(shown: Pixels, lines: Sequence[tuple[str, str]]) -> Pixels:
    """Return a copy of `shown` with keys and what they do on a darkened panel at its upper left."""
    shown = shown.copy()
    line = min(max(shown.shape[0] // (len(lines) + 2), _LINES[0]), _LINES[1])
    keys = max(_width(key, line) for key, _ in lines)
    wide = keys + max(_width(text, line) for _, text in lines) + 3 * line
    _darken(shown[: line * (len(lines) + 1), :wide])
    for row, (key, text) in enumerate(lines, 1):
        _write(shown, key, (line, line * row), line, _KEY)
        _write(shown, text, (keys + 2 * line, line * row), line, _TEXT)
    return shown


def with_note(shown: Pixels, text: str) -> Pixels:
    """Return a copy of `shown` with a line of text on a darkened panel at its lower right."""
    shown = shown.copy()
    line = _LINES[1]
    top = max(0, shown.shape[0] - 2 * line)
    left = max(0, shown.shape[1] - _width(text, line) - 2 * line)
    _darken(shown[top:, left:])
    _write(shown, text, (left + line, top + line), line, _TEXT)
    return shown


def _darken(panel: Pixels) -> None:
    panel[:] = cv2.convertScaleAbs(panel, alpha=_DIMMED)


def _width(text: str, line: int) -> int:
    return int(cv2.getTextSize(text, _FONT, line / _FONT_HEIGHT, 1)[0][0])


def _write(shown: Pixels, text: str, at: tuple[int, int], line: int, colour: tuple[int, int, int]) -> None:
    """Write a text in lines `line` pixels high; `at`: left, and the middle of its line."""
    below = at[0], at[1] + line // 4
    cv2.putText(shown, text, below, _FONT, line / _FONT_HEIGHT, colour, 1, cv2.LINE_AA)

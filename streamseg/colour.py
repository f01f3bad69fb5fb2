"""Colours: how users write them, how a picture's codes stand for them, and a distinct one for each class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import UsageError

if TYPE_CHECKING:
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame

Rgb: TypeAlias = tuple[int, int, int]
"""Red, green, blue, 0..255, sRGB."""

EXAMPLES = "white, '#00b140' or 0,177,64"

_NAMES = {
    "black": "000000", "white": "ffffff", "gray": "808080", "grey": "808080", "silver": "c0c0c0",
    "darkgray": "a9a9a9", "darkgrey": "a9a9a9", "lightgray": "d3d3d3", "lightgrey": "d3d3d3", "red": "ff0000",
    "darkred": "8b0000", "crimson": "dc143c", "coral": "ff7f50", "salmon": "fa8072", "tomato": "ff6347",
    "maroon": "800000", "orange": "ffa500", "gold": "ffd700", "yellow": "ffff00", "olive": "808000",
    "lime": "00ff00", "green": "008000", "darkgreen": "006400", "teal": "008080", "aqua": "00ffff",
    "cyan": "00ffff", "turquoise": "40e0d0", "skyblue": "87ceeb", "blue": "0000ff", "navy": "000080",
    "royalblue": "4169e1", "indigo": "4b0082", "violet": "ee82ee", "purple": "800080", "magenta": "ff00ff",
    "fuchsia": "ff00ff", "pink": "ffc0cb", "hotpink": "ff69b4", "brown": "a52a2a", "chocolate": "d2691e",
    "beige": "f5f5dc", "ivory": "fffff0",
}  # fmt: skip
"""Values of CSS Color Module Level 4, named colours."""

_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
_TRIPLE = re.compile(r"\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*")


def parse_colour(text: str) -> Rgb:
    """Read `#rgb`, `#rrggbb`, `r,g,b` or a name; raises UsageError."""
    colour = find_colour(text)
    if colour is None:
        raise UsageError(f"{text!r} is no colour; colours look like {EXAMPLES}")
    return colour


def find_colour(text: str) -> Rgb | None:
    """Read a colour; None when `text` does not look like one, UsageError when it does but is wrong."""
    digits = _NAMES.get(text.strip().lower().replace(" ", ""))
    if digits is None and text.startswith("#"):
        if not _HEX.fullmatch(text):
            raise UsageError(
                f"{text!r} is no colour; after # come 3 or 6 hexadecimal digits, as in '#00b140'"
            )
        digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    if digits is not None:
        return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
    triple = _TRIPLE.fullmatch(text)
    if triple is None:
        return None
    red, green, blue = (int(part) for part in triple.groups())
    if max(red, green, blue) > 255:
        raise UsageError(f"{text!r} is no colour; red, green and blue go from 0 to 255")
    return red, green, blue


LIMITED, FULL = 1, 2
"""Ranges of code values, as AVColorRange numbers them; 0 is unspecified."""

RGB, BT709, UNSPECIFIED, BT601 = 0, 1, 2, 5
"""Matrix coefficients as numbered in ITU-T H.273 and AVColorSpace; 1, 2 also of primaries and transfer."""

_SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""Numbers by which swscale knows matrix coefficients: one for BT.601, one for BT.2020."""

_LARGE = 720
"""Lines from which players take a picture that is not tagged for BT.709."""


@dataclass(frozen=True, slots=True)
class Tags:
    """What is said of a picture's colours, as ITU-T H.273 and AVColorRange number it."""

    matrix: int = UNSPECIFIED
    range: int = 0
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    def put(self, picture: VideoFrame) -> None:
        """Say it of a picture."""
        picture.colorspace, picture.color_range = self.matrix, self.range
        picture.color_primaries, picture.color_trc = self.primaries, self.transfer


def tags_of(picture: VideoFrame) -> Tags:
    """What is said of a picture; the yuvj formats say full range."""
    full = picture.format.name.startswith("yuvj")
    return Tags(
        int(picture.colorspace),
        FULL if full else int(picture.color_range),
        int(picture.color_primaries),
        int(picture.color_trc),
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """How code values stand for colours, nothing left unspecified."""

    matrix: int
    """One swscale knows: 1, 4, 5 (BT.601), 7 or 9 (BT.2020)."""
    full: bool
    """Black is code 0 and white the largest one."""

    @property
    def range(self) -> int:
        """LIMITED or FULL."""
        return FULL if self.full else LIMITED


def reading(tags: Tags, pixels: VideoFormat, height: int) -> Reading:
    """How to read pictures of a format and height: as tagged, else as players do.

    Untagged, or tagged with what nobody can use, YUV is BT.601 below 720 lines and BT.709 from there, in
    limited range. RGB always has full range, and so has untagged grey: FFmpeg makes and reads it so.
    """
    matrix = _SWSCALE.get(tags.matrix, BT601 if height < _LARGE else BT709)
    if pixels.is_rgb or pixels.has_palette or pixels.name.startswith("yuvj"):
        return Reading(matrix, full=True)
    grey = sum(not component.is_alpha for component in pixels.components) == 1
    return Reading(matrix, full=tags.range == FULL or (grey and tags.range != LIMITED))


def reading_of(picture: VideoFrame) -> Reading:
    """How a picture's code values stand for colours."""
    return reading(tags_of(picture), picture.format, picture.height)


_LUMA_WEIGHTS = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),  # FCC
    BT601: (0.299, 0.114),
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
"""Shares of red and blue in luma, by the matrix of a Reading."""


def luma_weights(matrix: int) -> tuple[float, float, float]:
    """Shares of red, green and blue in luma, for the matrix of a Reading."""
    red, blue = _LUMA_WEIGHTS[matrix]
    return red, 1 - red - blue, blue


def yuv_codes(rgb: tuple[float, float, float], read: Reading, depth: int) -> Rgb:
    """Code values of Y, Cb, Cr of a colour, 0..255, in pictures of `depth` bits (ITU-T H.273, 8.3)."""
    weights = luma_weights(read.matrix)
    red, green, blue = (value / 255 for value in rgb)
    luma = weights[0] * red + weights[1] * green + weights[2] * blue
    cb = (blue - luma) / (2 * (1 - weights[2]))
    cr = (red - luma) / (2 * (1 - weights[0]))
    step, largest, middle = 1 << (depth - 8), (1 << depth) - 1, 1 << (depth - 1)
    if read.full:
        values = luma * largest, cb * largest + middle, cr * largest + middle
    else:
        values = step * (219 * luma + 16), step * (224 * cb + 128), step * (224 * cr + 128)
    y, u, v = (min(max(round(value), 0), largest) for value in values)
    return y, u, v


@lru_cache(maxsize=1)
def label_palette() -> NDArray[np.uint8]:
    """(256, 3) RGB: the Pascal VOC colour map, as VOClabelcolormap of the VOC2012 development kit makes it.

    Bits 0, 1, 2 of a class id, then 3, 4, 5 and so on, are the bits of red, green, blue from the top down.
    """
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            palette[:, channel] |= (((ids >> (3 * level + channel)) & 1) << (7 - level)).astype(np.uint8)
    return palette


@lru_cache(maxsize=1)
def overlay_palette() -> NDArray[np.uint8]:
    """(256, 3) RGB, neither dark nor dull, to paint over pictures: each is the one least like all before it.

    The first colours, which most networks do with, are the furthest apart; distances are those of Oklab.
    """
    levels = np.rint(np.linspace(0, 255, 9))
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = _oklab(colours)
    vivid = (seen[:, 0] > 0.5) & (np.hypot(seen[:, 1], seen[:, 2]) > 0.08)
    colours, seen = colours[vivid], seen[vivid]
    distances = np.full(len(colours), np.inf)
    chosen = [int(np.argmin(np.abs(colours - (0, 162, 255)).sum(axis=1)))]
    while len(chosen) < 256:
        distances = np.minimum(distances, np.linalg.norm(seen - seen[chosen[-1]], axis=1))
        chosen.append(int(distances.argmax()))
    return colours[chosen].astype(np.uint8)


def _oklab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) lightness and two axes of colour, in which distances are about as large as they look.

    Matrices of Björn Ottosson, "A perceptual color space for image processing", 2020.
    """
    codes = rgb / 255
    linear = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    seen: NDArray[np.float64] = np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )
    return seen

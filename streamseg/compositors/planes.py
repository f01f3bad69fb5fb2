"""Pixel formats as the compositor sees them: planar ones, and what a canvas is like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import av
import numpy as np
from av.video.format import VideoFormat

from streamseg.colour import FULL, RGB, Reading, Rgb, Tags, reading, reading_of, tags_of, yuv_codes
from streamseg.hdr import colour_to_hdr
from streamseg.pictures import Plane, Shape, layout, planes, shape

_DEPTHS = (8, 9, 10, 12, 14, 16)
_SAMPLINGS = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (4, 1): "411", (1, 2): "440", (4, 4): "410"}


def _name(family: str, depth: int) -> str:
    return family if depth == 8 else f"{family}{depth}le"


@lru_cache
def _exists(name: str) -> bool:
    try:
        VideoFormat(name)
    except ValueError:
        return False
    return True


@lru_cache
def planar_kin(name: str) -> str:
    """Name of the opaque planar little-endian format that holds a format's pixels without loss."""
    held = shape(name)
    if held.rgb or name.startswith(("bayer", "xyz")):
        family = "gbrp"
    elif held.grey:
        family = "gray"
    else:
        family = f"{'yuvj' if name.startswith('yuvj') else 'yuv'}{_SAMPLINGS[held.step]}p"
    return next(
        (kin for d in _DEPTHS if d >= held.depth and _exists(kin := _name(family, d))), _name(family, 16)
    )


@lru_cache
def alpha_kin(name: str) -> str:
    """Name of the planar format with alpha nearest to an opaque planar one.

    It has the same sampling and depth if there is such, else is deeper, else without subsampling. Grey
    becomes yuv, for want of planar grey with alpha.
    """
    held = shape(name)
    families = ["gbrap"] if held.rgb else [f"yuva{_SAMPLINGS[held.step]}p", "yuva444p"]
    names = [_name(family, depth) for family in families for depth in _DEPTHS if depth >= held.depth]
    return next(filter(_exists, names), _name(families[-1], 16))


def with_planes(picture: av.VideoFrame, name: str, contents: Sequence[Plane]) -> av.VideoFrame:
    """Return a new picture of the same size and colour tags in format `name`, with a copy of `contents`."""
    made = av.VideoFrame(picture.width, picture.height, name)
    tags_of(picture).put(made)
    for plane, content in zip(planes(made), contents, strict=False):
        np.copyto(plane, content)
    return made


def window(picture: av.VideoFrame, left: int, top: int, width: int, height: int) -> list[Plane]:
    """The part of each plane that shows a rectangle, moved left and up to a whole chroma sample."""
    across, down = shape(picture.format.name).step
    x, y = left // across, top // down
    first, *others = planes(picture)
    parts = [first[y * down : y * down + height, x * across : x * across + width]]
    return parts + [other[y : y - (-height // down), x : x - (-width // across)] for other in others]


@dataclass(frozen=True, slots=True)
class Canvas:
    """What a layer has to know of a frame to paint for it: size, pixel format, colour tags."""

    width: int
    height: int
    format: str
    tags: Tags
    reading: Reading
    """How its codes stand for colours; a part of a picture keeps that of the whole."""

    @classmethod
    def of(cls, picture: av.VideoFrame) -> Canvas:
        """The canvas of a picture, in its planar kin; it may be on a card."""
        kin = planar_kin(layout(picture).name)
        return cls(picture.width, picture.height, kin, tags_of(picture), reading_of(picture))

    @property
    def shape(self) -> Shape:
        """What its pixel format holds."""
        return shape(self.format)

    @property
    def in_colour(self) -> Canvas:
        """For a grey one planar RGB of its depth; one in colour as it is.

        It is RGB because PNG keeps that and video encoders turn it into the sampling players expect.
        """
        if not self.shape.grey:
            return self
        kin, tags = self.format.replace("gray", "gbrp"), replace(self.tags, matrix=RGB, range=FULL)
        return replace(self, format=kin, tags=tags, reading=reading(tags, VideoFormat(kin), self.height))

    def blank(self, make: Callable[[int, int, str], av.VideoFrame] = av.VideoFrame) -> av.VideoFrame:
        """A new picture, tagged, its pixels undefined; `make` may be a Pool."""
        picture = make(self.width, self.height, self.format)
        self.tag(picture)
        return picture

    def flat(self, rgb: Rgb) -> av.VideoFrame:
        """A new picture of one colour."""
        picture = self.blank()
        for plane, code in zip(planes(picture), self.codes(rgb), strict=True):
            plane.fill(code)
        return picture

    def tag(self, picture: av.VideoFrame) -> None:
        """Say of a picture's colours what this canvas says; it is no longer the I or P frame once decoded."""
        self.tags.put(picture)
        picture.pict_type = 0

    def codes(self, rgb: Rgb) -> tuple[int, ...]:
        """Code values of a colour, one for each plane; white is as bright as paper in PQ and HLG."""
        held, shown = self.shape, colour_to_hdr(rgb, self.tags.transfer, self.tags.primaries)
        if held.rgb:
            red, green, blue = (round(value * held.largest / 255) for value in shown)
            return green, blue, red
        yuv = yuv_codes(shown, self.reading, held.depth)
        return yuv[:1] if held.grey else yuv

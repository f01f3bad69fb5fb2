"""What every part has to know of pictures: their pixel formats, their planes as arrays, their timing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, cast

import av
import av.filter
import numpy as np
from av.video.format import VideoFormat
from av.video.plane import VideoPlane
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.integer[Any]]
"""(h, w) uint8, or uint16 above 8 bits: a view of a picture's own memory."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a pixel format can hold."""

    rgb: bool
    grey: bool
    alpha: bool
    depth: int
    """Bits of one component."""
    step: tuple[int, int]
    """Luma columns and rows to a chroma sample."""

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Of the planes."""
        return np.uint8 if self.depth <= 8 else np.uint16

    @property
    def largest(self) -> int:
        """The largest code value."""
        return (1 << self.depth) - 1


@lru_cache
def shape(name: str) -> Shape:
    """Describe a pixel format; one with a palette holds RGB. Raises ValueError for hardware's handles."""
    form = VideoFormat(name, 64, 64)
    if form.has_palette:
        return Shape(rgb=True, grey=False, alpha=False, depth=8, step=(1, 1))
    colours = [each for each in form.components if not each.is_alpha]
    if not colours:
        raise ValueError(f"pixel format {name!r} holds no pixels that can be read")
    rgb = form.is_rgb and len(colours) > 1
    subsampled = colours[1] if len(colours) == 3 and not rgb else colours[0]
    return Shape(
        rgb=rgb,
        grey=len(colours) == 1,
        alpha=len(colours) < len(form.components),
        depth=colours[0].bits,
        step=(64 // subsampled.width, 64 // subsampled.height),
    )


def layout(picture: av.VideoFrame) -> VideoFormat:
    """The format of a picture's samples, in memory or on a graphics card, of which `format` only says so."""
    return picture.sw_format or picture.format


def on_card(picture: av.VideoFrame) -> bool:
    """Whether a picture lies on the graphics card that decoded it."""
    return picture.sw_format is not None


def in_memory(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a picture whose samples can be read: itself, or a copy brought down from the card.

    Raises FFmpegError where the card fails.
    """
    if not on_card(picture):
        return picture
    return with_timing_of(picture, picture.reformat(format=layout(picture).name))


def planes(picture: av.VideoFrame) -> list[Plane]:
    """The planes of a planar picture, writable, without copying: top row first, padding left out."""
    dtype = np.dtype(shape(picture.format.name).dtype)
    return [rows(plane).view(dtype)[:, : plane.width] for plane in picture.planes]


def rows(plane: VideoPlane) -> NDArray[np.uint8]:
    """(rows, bytes) of a plane of any format, padding included; writing to it changes the picture."""
    codes = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, abs(plane.line_size))
    return codes if plane.line_size > 0 else codes[::-1]


def alpha_of(picture: av.VideoFrame) -> Plane:
    """(H, W) alpha of a picture whose format has it, planar or packed; writing to it changes the picture."""
    layout = picture.format
    alpha = next(component for component in layout.components if component.is_alpha)
    count = sum(component.plane == alpha.plane for component in layout.components)
    first = 0 if layout.name.startswith(("argb", "abgr", "ayuv")) else count - 1
    order = ">" if layout.is_big_endian else "<"
    codes = rows(picture.planes[alpha.plane]).view("u1" if alpha.bits <= 8 else f"{order}u2")
    return codes[:, first : picture.width * count : count]


def with_timing_of(picture: av.VideoFrame, result: av.VideoFrame) -> av.VideoFrame:
    """Return `result` with the timing of `picture`."""
    result.pts, result.duration = picture.pts, picture.duration
    if picture.time_base is not None:
        result.time_base = picture.time_base
    return result


class Pool:
    """Makes pictures out of the memory of those that nobody holds any more.

    Memory fresh from the system is cleared page by page first: 0.5 ms for a picture of 720 lines. One thread
    makes the pictures, any may let go of them. The pool of the last size and format is kept.
    """

    def __init__(self) -> None:
        self._kind: tuple[int, int, str] | None = None

    def __call__(self, width: int, height: int, name: str) -> av.VideoFrame:
        """Return a picture of a size and pixel format, its pixels undefined."""
        if self._kind != (width, height, name):
            self._build(width, height, name)
            self._kind = width, height, name
        picture = cast(av.VideoFrame, self._exit.pull())
        picture.pts = None
        return picture

    def _build(self, width: int, height: int, name: str) -> None:
        """libavfilter's links keep such pools; nullsrc paints nothing."""
        self._graph = av.filter.Graph()
        self._graph.threads = 1
        entry = self._graph.add("nullsrc", f"size={width}x{height}")
        form = self._graph.add("format", f"pix_fmts={name}")
        self._exit = self._graph.add("buffersink")
        entry.link_to(form)
        form.link_to(self._exit)
        self._graph.configure()

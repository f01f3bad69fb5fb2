"""Pixel formats: which one an encoder gets for the frames that come, and how they are converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import av
import numpy as np
from av.video.format import VideoFormat
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

LIMITED, FULL = int(ColorRange.MPEG), int(ColorRange.JPEG)

_RGB, _BT709, _UNSPECIFIED = 0, 1, 2
"""Matrix coefficients (and primaries, transfer) as numbered in ITU-T H.273 and AVColorSpace."""

_SWSCALE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""swscale's names for matrix coefficients; whatever is not here, unspecified too, is BT.601 to it."""

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

_PLAYABLE = {
    "libx264": ("yuv420p", "yuv420p10le"),
    "libx265": ("yuv420p", "yuv420p10le", "yuv420p12le"),
    "libvpx": ("yuv420p",),
    "libvpx-vp9": ("yuv420p",),
}
"""What players expect of these encoders when the frames come as RGB or grey."""

_ALPHA = {"libvpx-vp9": ("yuva420p",), "libx265": ()}
"""The transparency browsers can show, and the one nobody can yet."""

_SAYS_RANGE = {"libx264", "libx265", "libvpx-vp9", "libsvtav1", "ffv1", "wrapped_avframe"}
"""Encoders whose bitstream tells full from limited range."""

_OFFERED = {
    "wrapped_avframe": tuple(
        kind + depth
        for depth in ("", "10le", "12le", "16le")
        for kind in ("yuv420p", "yuv422p", "yuv444p", "gray")
    ),
    "tiff": ("rgb24", "rgb48le", "pal8", "rgba", "rgba64le", "gray", "ya8", "gray16le", "ya16le"),
}
"""Where an encoder does not say what it takes (YUV4MPEG), or takes what few readers do (YUV in TIFF)."""

_FIXED = {"mjpeg": (5, FULL), "libwebp": (5, LIMITED)}
"""Matrix and range that JFIF and WebP prescribe: BT.601."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a pixel format can hold."""

    rgb: bool
    grey: bool
    alpha: bool
    depth: int
    """Bits of one component."""
    chroma: tuple[int, int]
    """How many pixels share a chroma sample, across and down."""


@lru_cache
def shape(name: str) -> Shape:
    """Describe a pixel format."""
    form = VideoFormat(name, 16, 16)
    if form.has_palette:
        return Shape(rgb=True, grey=False, alpha=False, depth=8, chroma=(1, 1))
    components = form.components
    colours = [each for each in components if not each.is_alpha]
    rgb = form.is_rgb and len(colours) > 1
    subsampled = colours[1] if len(colours) == 3 and not rgb else colours[0]
    return Shape(
        rgb=rgb,
        grey=len(colours) == 1,
        alpha=any(each.is_alpha for each in components),
        depth=colours[0].bits,
        chroma=(16 // subsampled.width, 16 // subsampled.height),
    )


def best_format(source: str, encoder: str, offered: Sequence[str], *, exact: bool = False) -> str | None:
    """Return the pixel format in which `encoder` keeps most of `source`; None if it cannot keep transparency.

    `exact`: RGB and grey stay what they are, instead of becoming what players expect.
    """
    held, offered = shape(source), _OFFERED.get(encoder, offered)
    if held.alpha:
        offered = [name for name in _ALPHA.get(encoder, offered) if shape(name).alpha]
    else:
        offered = [name for name in offered if not shape(name).alpha]
        if (held.rgb or held.grey) and not exact:
            offered = _PLAYABLE.get(encoder, offered)
    if source in offered:
        return source
    return min(offered, key=lambda name: _losses(held, shape(name)), default=None)


def _losses(held: Shape, other: Shape) -> tuple[float, ...]:
    """How bad it is to put `held` into `other`, worst first: colour, depth, chroma, conversion, waste."""
    kept_chroma = (
        (0.0, 0.0) if held.grey else (max(0, b - a) for a, b in zip(held.chroma, other.chroma, strict=True))
    )
    return (
        not held.grey and other.grey,
        max(0, held.depth - other.depth),
        sum(kept_chroma),
        held.rgb != other.rgb,
        held.grey != other.grey,
        other.depth - held.depth,
        -sum(other.chroma),
    )


@dataclass(frozen=True, slots=True)
class Colour:
    """How code values are to be read (ITU-T H.273 numbers); 0 range: unspecified."""

    matrix: int
    range: int
    primaries: int
    transfer: int


def colour_of(picture: av.VideoFrame) -> Colour:
    """How the picture's own tags say its code values are to be read."""
    full = picture.format.name.startswith("yuvj")
    return Colour(
        picture.colorspace, FULL if full else picture.color_range, picture.color_primaries, picture.color_trc
    )


class Conversion:
    """From the frames that come to the pixel format an encoder takes; `colour` is how to read the result."""

    def __init__(self, first: av.VideoFrame, format_name: str, encoder: str) -> None:
        self.format = format_name
        self.colour = _target_colour(first, format_name, encoder)
        self._reformatter = VideoReformatter()

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return `picture` in the target format; itself, if nothing is to be done."""
        before = colour_of(picture)
        if picture.format.name == self.format and self._as_wanted(before):
            return picture
        if shape(picture.format.name).grey and before.range == LIMITED and self.colour.range != FULL:
            return grey_as_luma(picture, self.format)
        source_range = before.range or (FULL if shape(picture.format.name).rgb else LIMITED)
        result = self._reformatter.reformat(
            picture,
            format=self.format,
            src_colorspace=swscale_matrix(before.matrix),
            dst_colorspace=swscale_matrix(self.colour.matrix),
            src_color_range=source_range,
            dst_color_range=self.colour.range or source_range,
            interpolation=_EXACT,
        )
        result.colorspace, result.color_range = self.colour.matrix, self.colour.range
        return result

    def _as_wanted(self, before: Colour) -> bool:
        if shape(self.format).rgb or shape(self.format).grey:
            return True
        ranges = (before.range or LIMITED, self.colour.range or LIMITED)
        matrices = (swscale_matrix(before.matrix), swscale_matrix(self.colour.matrix))
        return ranges[0] == ranges[1] and matrices[0] == matrices[1]


def swscale_matrix(matrix: int) -> Colorspace:
    """swscale's name for matrix coefficients."""
    return _SWSCALE.get(matrix, Colorspace.ITU601)


def grey_as_luma(picture: av.VideoFrame, format_name: str) -> av.VideoFrame:
    """Return grey of limited range as YUV of the same code values: swscale takes all grey for full range."""
    depth, wanted = shape(picture.format.name).depth, shape(format_name).depth
    grey = (
        picture if depth == wanted else picture.reformat(format="gray" if wanted == 8 else f"gray{wanted}le")
    )
    if shape(format_name).grey:
        return grey
    result = av.VideoFrame(picture.width, picture.height, format_name)
    for plane in result.planes[1:]:
        code = np.array(1 << (wanted - 1), np.uint8 if wanted == 8 else np.uint16)
        plane.update(np.full(plane.buffer_size // code.itemsize, code).tobytes())
    rows(result.planes[0])[:] = rows(grey.planes[0])[:, : result.planes[0].line_size]
    return with_timing_of(picture, result)


def with_timing_of(picture: av.VideoFrame, result: av.VideoFrame) -> av.VideoFrame:
    """Return `result` with the timing of `picture`."""
    result.pts, result.duration = picture.pts, picture.duration
    if picture.time_base is not None:
        result.time_base = picture.time_base
    return result


def rows(plane: VideoPlane) -> NDArray[np.uint8]:
    """(rows, bytes) of a plane, its padding included; writing to it changes the picture."""
    step = plane.line_size
    first = 0 if step > 0 else (1 - plane.height) * step
    return np.ndarray(
        (plane.height, abs(step)), np.uint8, buffer=memoryview(plane), offset=first, strides=(step, 1)
    )


def _target_colour(first: av.VideoFrame, format_name: str, encoder: str) -> Colour:
    before, source, target = colour_of(first), shape(first.format.name), shape(format_name)
    if target.rgb:
        return Colour(_RGB, FULL, before.primaries, before.transfer)
    if encoder in _FIXED and not target.grey:
        return Colour(*_FIXED[encoder], before.primaries, before.transfer)
    if source.rgb or (source.grey and not target.grey):
        return Colour(
            before.matrix if before.matrix not in (_RGB, _UNSPECIFIED) and source.grey else _BT709,
            LIMITED,
            before.primaries if before.primaries not in (0, _UNSPECIFIED) else _BT709,
            before.transfer if before.transfer not in (0, _UNSPECIFIED) else _BT709,
        )
    return Colour(
        before.matrix, before.range if encoder in _SAYS_RANGE else LIMITED, before.primaries, before.transfer
    )

"""Sizes: frames of another size brought to the first one's, odd ones padded for encoders that want even."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext
from numpy.typing import NDArray

from streamseg.colour import tags_of
from streamseg.pictures import rows, shape, with_timing_of

NEEDS_EVEN = frozenset(
    {"libx264", "libx264rgb", "libx265", "mpeg2video", "h264_nvenc", "hevc_nvenc", "av1_nvenc"}
    | {"h264_qsv", "h264_amf", "h264_videotoolbox"}
)
"""Encoders that refuse pictures whose chroma planes would end in half a sample."""

_BLACK = "black@0"


def square_size(size: tuple[int, int], aspect: Fraction) -> tuple[int, int]:
    """Return the (W, H) of a picture of `size` with its pixels made square, by growing one side."""
    width, height = size
    if aspect >= 1:
        return max(1, round(width * aspect)), height
    return width, max(1, round(height / aspect))


def padded_size(size: tuple[int, int], format_name: str, encoder: str) -> tuple[int, int]:
    """Return `size`, rounded up to whole chroma samples where `encoder` insists."""
    if encoder not in NEEDS_EVEN:
        return size
    across, down = shape(format_name).step
    return -(-size[0] // across) * across, -(-size[1] // down) * down


class Conform:
    """Brings pictures to one (W, H) and sample aspect ratio: scaled, never distorted, framed in black."""

    def __init__(self, size: tuple[int, int], aspect: Fraction, source_aspect: Fraction) -> None:
        self.size = size
        self._stretch = source_aspect / aspect
        self._graph: Graph | None = None
        self._ends: tuple[FilterContext, FilterContext]
        self._built_for: tuple[object, ...] = ()

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return `picture` at the wanted size, timing kept; itself, if it has it."""
        if (picture.width, picture.height) == self.size:
            return picture
        if picture.format.has_palette:
            picture = picture.reformat(format="rgb24")  # colours can be scaled, ids cannot
        kind = (picture.width, picture.height, picture.format.name, picture.colorspace, picture.color_range)
        if kind != self._built_for:
            self._build(picture)
            self._built_for = kind
        source, sink = self._ends
        source.push(picture)
        result = sink.pull()
        assert isinstance(result, av.VideoFrame)
        return with_timing_of(picture, result)

    def _build(self, picture: av.VideoFrame) -> None:
        width, height = self.size
        wide = picture.width * self._stretch
        scale = min(width / wide, Fraction(height, picture.height))
        inner = max(1, min(width, round(wide * scale))), max(1, min(height, round(picture.height * scale)))
        self._graph = graph = Graph()
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 1000)
        )
        steps = [
            source,
            graph.add("scale", f"{inner[0]}:{inner[1]}:flags=bicubic+accurate_rnd+full_chroma_int"),
        ]
        if inner != self.size:
            steps.append(graph.add("pad", f"{width}:{height}:(ow-iw)/2:(oh-ih)/2:{_BLACK}"))
        steps += [graph.add("format", picture.format.name), graph.add("buffersink")]
        for before, after in pairwise(steps):
            before.link_to(after)
        graph.configure()
        self._ends = source, steps[-1]


def pad(picture: av.VideoFrame, size: tuple[int, int]) -> av.VideoFrame:
    """Return `picture` grown to `size` by repeating its last column and row; itself, if it has that size."""
    if (picture.width, picture.height) == size:
        return picture
    result = av.VideoFrame(*size, picture.format.name)
    component = np.dtype(shape(picture.format.name).dtype).itemsize
    for index, (before, after) in enumerate(zip(picture.planes, result.planes, strict=True)):
        sample = component * sum(each.plane == index for each in picture.format.components)
        _repeat_edges(rows(before), rows(after), before.width, after.width, sample)
    tags_of(picture).put(result)
    return with_timing_of(picture, result)


def _repeat_edges(
    source: NDArray[np.uint8], target: NDArray[np.uint8], width: int, wider: int, sample: int
) -> None:
    """Both are (rows, bytes); `width` and `wider` count samples of `sample` bytes in a row."""
    height, used = source.shape[0], width * sample
    target[:height, :used] = source[:, :used]
    for column in range(width, wider):
        target[:height, column * sample : (column + 1) * sample] = source[:, used - sample : used]
    target[height:] = target[height - 1]

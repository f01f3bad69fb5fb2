"""Turning pictures upright in their native pixel format, with libavfilter."""

from __future__ import annotations

import struct
from typing import Any

import av
import av.filter
from av.sidedata.sidedata import Type

from streamseg.pictures import in_memory, on_card, with_timing_of

Filters = tuple[tuple[str, str | None], ...]
"""Filters in a row: name and arguments."""

_HALF = (("hflip", None), ("vflip", None))

_BY_EXIF: dict[int, Filters] = {
    2: (("hflip", None),),
    3: _HALF,
    4: (("vflip", None),),
    5: (("transpose", "cclock_flip"),),
    6: (("transpose", "clock"),),
    7: (("transpose", "clock_flip"),),
    8: (("transpose", "cclock"),),
}

_EXIF_OF_MATRIX = {
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}

_EXIF_OF_ROTATION = {90: 8, -90: 6, 180: 3, -180: 3}


class Chain:
    """A row of libavfilter filters; the graph is rebuilt when the pictures' size or format changes."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._shape: tuple[object, ...] = ()

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return a new picture with the timing of the old one, which stays as it is."""
        shape = (picture.width, picture.height, picture.format.name, picture.colorspace, picture.color_range)
        if shape != self._shape:
            self._build(*shape)
            self._shape = shape
        self._entry.push(picture)
        result = self._exit.pull()
        assert isinstance(result, av.VideoFrame)
        return with_timing_of(picture, result)

    def _build(self, width: int, height: int, pixel_format: str, colorspace: int, color_range: int) -> None:
        # Fields of the graph's input that no filter here looks at (time base, aspect) may hold anything.
        entry = (
            f"video_size={width}x{height}:pix_fmt={pixel_format}:time_base=1/1:pixel_aspect=1/1"
            f":colorspace={colorspace}:range={color_range}"
        )
        self._graph = av.filter.Graph()
        self._entry = self._graph.add("buffer", entry)
        self._exit = self._graph.add("buffersink")
        nodes = [self._graph.add(name, arguments) for name, arguments in self._lossless(pixel_format)]
        self._graph.link_nodes(self._entry, *nodes, self._exit).configure()

    def _lossless(self, pixel_format: str) -> Filters:
        """Turning by 90 degrees swaps the axes of 4:2:2 chroma; libavfilter would pick a packed format."""
        full = pixel_format.replace("422", "444").replace("411", "444")
        turned = any(name == "transpose" for name, _ in self._filters)
        if turned and full != pixel_format and full.startswith("yuv4"):
            return (("format", full), *self._filters)
        return self._filters


def copied(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a new picture with the pixels of `picture`, shared if in memory, and a pts of its own.

    Raises FFmpegError where they lie on a card that fails.
    """
    if on_card(picture):
        return in_memory(picture)
    return Chain((("null", None),))(picture)


def turn_by_exif(orientation: int) -> Filters:
    """Return what turns a picture of this EXIF orientation (1..8) upright."""
    return _BY_EXIF.get(orientation, ())


def turn_of(picture: av.VideoFrame) -> Filters:
    """Return what turns a picture upright, by its display matrix."""
    turn = _BY_EXIF.get(_orientation(picture), ())
    return (*turn, ("sidedata", "mode=delete:type=DISPLAYMATRIX")) if turn else ()


def _orientation(picture: av.VideoFrame) -> int:
    try:
        side_data = picture.side_data
        matrix: Any = side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]  # stubs know one key
    except ValueError:  # side data of a type this PyAV has no name for: only the rotation can be asked
        return _EXIF_OF_ROTATION.get(picture.rotation, 1)
    if matrix is None:
        return 1
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    return _EXIF_OF_MATRIX.get((_sign(a), _sign(b), _sign(c), _sign(d)), 1)


def _sign(value: int) -> int:
    return (value > 1 << 15) - (value < -(1 << 15))

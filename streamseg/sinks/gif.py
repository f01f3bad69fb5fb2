"""Animated GIF: a palette for every frame, transparency where there is any, endless, times to 1/100 s."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
from av.filter import Graph
from av.filter.context import FilterContext

from streamseg.frame import Frame, VideoFormat
from streamseg.pictures import shape, with_timing_of
from streamseg.sinks.base import Destination
from streamseg.sinks.codecs import Encoder
from streamseg.sinks.containers import Container
from streamseg.sinks.files import OutputFile
from streamseg.sinks.media import MediaSink
from streamseg.sinks.pixels import Conversion, lost_range
from streamseg.sinks.video import VideoTrack

_GIF = Container(
    format="gif", codec="gif", alpha="gif", palette="gif", tick=Fraction(1, 100), from_zero=True, silent=True
)


class GifSink(MediaSink):
    """A GIF file. Codec options mean nothing to it, and it is silent."""

    kind = "a GIF"
    encodes = False

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError or SinkError where the file must not or cannot be written."""
        output = OutputFile(destination.uri, overwrite=destination.overwrite, inputs=destination.inputs)
        self._set_up(Destination(uri=destination.uri), _GIF, ".gif", output, f"file:{output.partial}")

    def _video_track(self, video: VideoFormat, first: Frame) -> VideoTrack:
        convert = Palette(
            Conversion(first.picture, "bgra", "gif"), alpha=shape(first.picture.format.name).alpha
        )
        self.notes += lost_range(first.picture, convert.format, "GIF")
        return VideoTrack(_GIF, Encoder(name="gif", options={}), convert, video, first)


class Palette:
    """Reduces pictures of one size to 256 colours each; a palette picture passes as it is."""

    def __init__(self, to_bgra: Conversion, *, alpha: bool) -> None:
        self.format = "pal8"
        self.colour = to_bgra.colour
        self._to_bgra = to_bgra
        self._alpha = int(alpha)
        self._ends: tuple[FilterContext, FilterContext] | None = None

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return `picture` as pal8."""
        if picture.format.has_palette:
            return picture
        full = self._to_bgra(picture)
        source, sink = self._ends = self._ends or self._build(full)
        source.push(full)
        result = sink.pull()
        assert isinstance(result, av.VideoFrame)
        return with_timing_of(picture, result)

    def keeps(self, picture: av.VideoFrame) -> bool:
        """Whether it passes as it is."""
        return bool(picture.format.has_palette)

    def _build(self, picture: av.VideoFrame) -> tuple[FilterContext, FilterContext]:
        self._graph = graph = Graph()
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 100)
        )
        split = graph.add("split")
        found = graph.add("palettegen", f"stats_mode=single:reserve_transparent={self._alpha}")
        used = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=3")
        sink = graph.add("buffersink")
        for before, after in pairwise((source, split, found)):
            before.link_to(after)
        split.link_to(used, 1, 0)
        found.link_to(used, 0, 1)
        used.link_to(sink)
        graph.configure()
        return source, sink

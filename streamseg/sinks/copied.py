"""A track copied bit for bit: its packets come out as they went in, at times its container can hold."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import OutputContainer
from av.stream import Stream

from streamseg.sinks.containers import Container
from streamseg.sinks.sound import USUAL_LAYOUTS, too_early, unplaced

_SAME_TIME_TWICE = ("matroska", "webm", "flv")
"""Containers that count so coarsely that two packets may share a time."""


class CopiedTrack:
    """A stream whose packets come out as they went in."""

    def __init__(self, container: OutputContainer, stream: Stream, spec: Container, shift: Fraction) -> None:
        self.offset: Fraction | None = None
        self.begin: Fraction | None = None
        self.before_zero = Fraction(0)
        self._container = container
        self.stream = container.add_stream_from_template(stream)
        _place_channels(self.stream)
        self._shift = shift
        self._from_zero = spec.from_zero
        self._step = 0 if spec.format in _SAME_TIME_TWICE else 1
        self._last: int | None = None
        self._length = 0
        """Ticks between the last two packets."""

    @property
    def empty(self) -> bool:
        """Nothing has come."""
        return self._last is None

    def write(self, packet: av.Packet[Any]) -> None:
        """Mux a copy of `packet`: muxing changes times, and other sinks want this packet too."""
        times = self._times(packet)
        if times is None:
            return
        copy: av.Packet[Any] = av.Packet(
            packet.size
        )  # memory of FFmpeg's own: freeing another's needs Python
        copy.update(packet)  # type: ignore[arg-type]  # it takes any buffer
        copy.stream, copy.time_base = self.stream, tick_of(self.stream)
        copy.dts, copy.pts = times
        length = round((packet.duration or 0) * Fraction(packet.time_base) / tick_of(self.stream))
        if not length and self.stream.type == "audio":  # MP4 would end before a last packet without length
            length = self._length
        copy.duration = length
        copy.is_keyframe = packet.is_keyframe
        for data in packet.iter_sidedata():
            copy.set_sidedata(data)
        self._container.mux(copy)

    def finish(self) -> None:
        """Nothing is held back."""

    def _times(self, packet: av.Packet[Any]) -> tuple[int, int] | None:
        """(dts, pts) in the output's ticks; dts never goes back, which muxers refuse."""
        decoded = packet.dts if packet.dts is not None else packet.pts
        if decoded is None or (packet.size == 0 and self.stream.type == "audio"):
            return None
        shown = packet.pts if packet.pts is not None else decoded
        before, tick = Fraction(packet.time_base), tick_of(self.stream)
        if self._from_zero and too_early(shown * before + self._shift, (packet.duration or 0) * before):
            return None
        dts, pts = (round((ticks * before + self._shift) / tick) for ticks in (decoded, shown))
        if self._last is not None:
            dts = max(dts, self._last + self._step)
            self._length = dts - self._last
        self._last = dts
        if self.offset is None:
            self.begin = shown * before
            self.offset = max(dts, pts) * tick - self.begin
            self.before_zero = max(Fraction(0), -dts * tick)
        return dts, max(dts, pts)


def tick_of(stream: Stream) -> Fraction:
    """Seconds to a unit of its times; known from the moment the header is written."""
    return Fraction(stream.time_base or 1)


def _place_channels(stream: Stream) -> None:
    """Give unplaced channels the places that players give them: MP4 fails without any, in its trailer."""
    context = stream.codec_context
    if isinstance(context, AudioCodecContext) and unplaced(context.layout):
        context.layout = USUAL_LAYOUTS.get(context.layout.nb_channels, context.layout)

"""The picture's own track in a media file: fitted to its encoder, at its own times, and proof of those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from fractions import Fraction
from typing import Any, Protocol, cast

import av
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from streamseg.colour import LIMITED, Tags
from streamseg.errors import SinkError, reason
from streamseg.frame import Frame, VideoFormat
from streamseg.pictures import on_card
from streamseg.sinks.clock import Clock, retimed, shift
from streamseg.sinks.codecs import Encoder, needs_hardware
from streamseg.sinks.containers import Container
from streamseg.sinks.geometry import Conform, pad, padded_size, square_size
from streamseg.sinks.hardware import on_card_encoding
from streamseg.sinks.schedule import schedule_kept

QP_TO_LAMBDA = 118
"""libavcodec's unit of constant quality, per step of the quantiser."""

_FALLBACK_RATE = Fraction(25)

_CARRIES_ASPECT = frozenset({"libx264", "libx264rgb", "libx265", "mpeg4", "mpeg2video", "mjpeg", "png"})
"""Encoders whose own bitstream stores the sample aspect ratio."""

_COUNTS_FRAMES = frozenset({"mpeg4", "mpeg2video"})
"""Encoders that refuse a time base as fine as 1/90000."""

_X265_LOWEST = 32
"""Lines; below, x265 4.1 writes beyond its memory at some widths (34 to 48 seen) and the process ends."""

_X265_REORDERS = 2
"""Frames x265 needs before it knows its own delay: with fewer its dts are whatever the memory held."""

_FINE = Fraction(1, 10_000)
"""Seconds; nobody needs to know of times rounded to less."""

_X264_SAYS_RANGE = {"x264-params": "videoformat=component"}
"""x264 writes limited range only beside another statement: here that the pictures were made digitally."""

_FRAME_DURATION = int(av.codec.context.Flags.frame_duration)
_GLOBAL_HEADER = int(av.codec.context.Flags.global_header)


class Converter(Protocol):
    """Turns pictures into the pixel format an encoder takes."""

    format: str
    colour: Tags

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return `picture` in that format, timing kept."""

    def keeps(self, picture: av.VideoFrame) -> bool:
        """Whether that is the picture itself."""


class VideoTrack:
    """Encodes frames like the first into one stream of a container. Life: `open`, `write` often, `finish`."""

    def __init__(
        self,
        spec: Container,
        encoder: Encoder,
        convert: Converter,
        video: VideoFormat,
        first: Frame,
        *,
        sound: Fraction | None = None,
    ) -> None:
        """`sound`: seconds at which it begins, where there is some."""
        self.pts_exact = True
        self.frames = 0
        """Frames encoded so far."""
        self.on_card = False
        """Set before `open`: the encoder takes pictures on the card, those in memory are taken up."""
        self._spec, self._encoder, self._convert = spec, encoder, convert
        self._rate = Fraction(video.rate or 0).limit_denominator(1001) or _FALLBACK_RATE
        coarse = spec.constant_rate or encoder.name in _COUNTS_FRAMES
        tick = spec.tick or (1 / self._rate if coarse else Fraction(video.time_base))
        self.clock = Clock(tick, shift(spec, first.time, sound), spec.timeless)
        aspect = Fraction(video.sample_aspect_ratio)
        kept = spec.iso or encoder.name in _CARRIES_ASPECT
        size = first.size if kept else square_size(first.size, aspect)
        self._aspect = aspect if kept else Fraction(1)
        self._size = padded_size(size, convert.format, encoder.name)
        self._conform = Conform(size, self._aspect, aspect)
        self._expected: set[Fraction] = set()
        self._last: int | None = None
        self._end = Fraction(0)
        self._begin: tuple[Fraction, Fraction] | None = None
        """Time of the first frame, as it came and as the file says it."""
        self._early = Fraction(0)
        """Seconds by which the first frame alone comes too early."""
        self._step: Fraction | None = None
        """Seconds between two times the file can tell apart; known once its header is written."""
        self._rounded = Fraction(0)
        """Seconds by which a time was rounded at most, apart from what moved all of them."""
        self._lead: int | None = None
        """Ticks by which the encoder starts decoding early."""
        self._keyed: Fraction | None = None
        """Time of the last keyframe that was ordered."""

    @property
    def offset(self) -> Fraction | None:
        """Seconds by which the picture moved; None before the first frame is out."""
        return None if self._begin is None else self._begin[1] - self._begin[0]

    @property
    def end(self) -> Fraction:
        """Seconds at which the last frame ends, as the file counts."""
        return self._end

    @property
    def length(self) -> Fraction:
        """Seconds from the first frame to the end of the last."""
        return Fraction(0) if self._begin is None else self._end - self._begin[1]

    @property
    def notes(self) -> list[str]:
        """What had to be changed so far, one line each."""
        notes = []
        if self._size != self._conform.size:
            before, after = ("{}x{}".format(*size) for size in (self._conform.size, self._size))
            notes.append(
                f"padded {before} to {after}: {self._encoder.name} in {self._convert.format} needs even sizes"
            )
        zero = f"{self._spec.format} begins at zero"
        if self.clock.shift:
            notes.append(f"{zero}: everything was moved by {float(self.clock.shift):+g} s")
        if self._early > _FINE:
            notes.append(f"{zero}: its first frame comes {float(self._early):g} s early, the others in time")
        if self._step is not None and self._rounded > _FINE:
            step, off = (_milliseconds(each) for each in (self._step, self._rounded))
            notes.append(f"{self._spec.format} stores times in steps of {step}: up to {off} off")
        return notes

    def open(self, container: OutputContainer, uri: str) -> None:
        """Add the stream and open its encoder; raises SinkError if that refuses."""
        if self._encoder.name == "libx265" and self._size[1] < _X265_LOWEST:
            raise SinkError(
                f"cannot write {uri!r}: encoder 'libx265' needs {_X265_LOWEST} lines and more, "
                f"these pictures have {self._size[1]}; try another codec"
            )
        options = dict(self._encoder.options)
        if self._encoder.name == "libx264" and self._convert.colour == Tags(range=LIMITED):
            options |= _X264_SAYS_RANGE
        self._container = container
        hwaccel = on_card_encoding() if self.on_card else None
        added = container.add_stream(self._encoder.name, self._rate, options, hwaccel)
        self.stream = cast(VideoStream, added)
        self._set_up()
        try:
            with schedule_kept() if self._encoder.name == "libsvtav1" else nullcontext():
                self.stream.codec_context.open(strict=False)
        except (av.FFmpegError, ValueError) as error:
            refused = f"refuses {self._size[0]}x{self._size[1]} {self._convert.format}"
            if needs_hardware(self._encoder.name):
                refused = f"needs hardware or a driver that is not here, or {refused} ({reason(error)})"
            raise SinkError(
                f"cannot write {uri!r}: encoder {self._encoder.name!r} {refused}; try another codec"
            ) from error

    def write(self, frame: Frame) -> None:
        """Encode one frame and mux what the encoder gives. Raises FFmpegError."""
        picture = self._input(frame)
        length = (frame.native.duration or 0) * Fraction(frame.native.time_base or 0)
        self._last = self.clock(frame.time, self._last)
        self._note_rounding(frame.time, self._last * self.clock.tick)
        self._end = self._last * self.clock.tick + length
        self.frames += 1
        self._expect(frame.time)
        with retimed(picture, self._last, self.clock.tick, round(length / self.clock.tick)):
            picture.pict_type = self._kind(frame.time)
            packets = self.stream.encode(picture)
        self._mux(packets)

    def fits(self, picture: av.VideoFrame) -> bool:
        """Whether a picture on the card is what the encoder gets, as it lies there."""
        same = (picture.width, picture.height) == self._conform.size == self._size
        return on_card(picture) and same and self._convert.keeps(picture)

    def finish(self) -> None:
        """Flush the encoder. Raises FFmpegError."""
        packets = self.stream.encode(None)
        if self.frames <= _X265_REORDERS and self._encoder.name == "libx265":
            for packet in packets:
                packet.dts = packet.pts
        self._lengthen(packets)
        self._mux(packets)
        self.pts_exact = self.pts_exact and not self._expected

    def _input(self, frame: Frame) -> av.VideoFrame:
        if self.on_card and self.fits(frame.native):
            return frame.native
        return pad(self._convert(self._conform(frame.picture)), self._size)

    def _set_up(self) -> None:
        context, colour = self.stream.codec_context, self._convert.colour
        context.width, context.height = self._size
        context.pix_fmt = self._convert.format
        context.time_base = self.stream.time_base = self.clock.tick
        context.sample_aspect_ratio = self._aspect
        context.colorspace, context.color_range = colour.matrix, colour.range
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        context.flags |= _FRAME_DURATION | (_GLOBAL_HEADER if self._spec.global_header else 0)
        context.bit_rate = self._encoder.bitrate
        if self._encoder.qscale is not None:
            context.qscale, context.global_quality = True, self._encoder.qscale * QP_TO_LAMBDA
        if not self._spec.b_frames:
            context.max_b_frames = 0
        if self._encoder.name == "libx265" and self._spec.iso:
            context.codec_tag = "hvc1"  # in MP4 and MOV Apple's players know no other

    def _kind(self, time: Fraction) -> PictureType:
        """A keyframe by the clock: frames may be rarer than the source says. Never what the decoder said,
        whose I, P and B would become orders."""
        every = self._spec.keyframe_seconds
        if every is None or (self._keyed is not None and time < self._keyed + every):
            return PictureType.NONE
        self._keyed = time
        return PictureType.I

    def _note_rounding(self, time: Fraction, ticks: Fraction) -> None:
        if self._step is None:
            self._step = max(self.clock.tick, Fraction(self.stream.time_base or 0))
            if self._spec.from_zero and ticks:
                self._early = time + self.clock.shift
        stored = round(ticks / self._step) * self._step
        self._rounded = max(self._rounded, abs(stored - time - self.clock.shift))

    def _expect(self, time: Fraction) -> None:
        if self._begin is None:
            self._begin = (time, time)
            self.pts_exact = not (self._spec.from_zero and self._last)
        if self.pts_exact:
            self._expected.add(time)

    def _mux(self, packets: Iterable[av.Packet[Any]]) -> None:
        for packet in packets:
            first = self._lead is None
            self._note_lead(packet)
            self._container.mux(packet)
            self._check(packet, first)

    def _check(self, packet: av.Packet[Any], first: bool) -> None:
        """Muxing has put the packet's times into the stream's ticks: these are in the file."""
        assert packet.pts is not None and self._begin is not None
        time = packet.pts * Fraction(packet.time_base)
        if first:
            self._begin = (self._begin[0], time)
        shifted = packet.dts is not None and packet.dts < 0 and not self._spec.negative
        if time in self._expected and not shifted:
            self._expected.remove(time)
        else:
            self.pts_exact = False
            self._expected.clear()

    def _note_lead(self, packet: av.Packet[Any]) -> None:
        if self._lead is None and packet.pts is not None:
            self._lead = 0 if packet.dts is None else packet.pts - packet.dts

    def _lengthen(self, packets: Sequence[av.Packet[Any]]) -> None:
        """Let the last packet last until the last frame ends: MP4 sums a track up in decoding order."""
        if packets and self._spec.iso:
            self._note_lead(packets[0])
            last, end = packets[-1], round(self._end / self.clock.tick) - (self._lead or 0)
            last.duration = max(last.duration or 0, end - (end if last.dts is None else last.dts))


def _milliseconds(seconds: Fraction) -> str:
    return f"{float(seconds * 1000):.3g} ms"

"""Sound encoded anew where its container cannot hold it as it is: decoded, resampled, encoded, in step."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.format import AudioFormat
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import Codec
from av.container import OutputContainer
from av.stream import Stream

from streamseg.sinks.containers import Container

_BIT_RATE_PER_CHANNEL = 80_000

USUAL_LAYOUTS = {
    1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1",
    10: "5.1.4", 12: "7.1.4", 14: "9.1.4", 16: "9.1.6", 24: "22.2",
}  # fmt: skip
"""What a number of channels means where nothing else is said: as FFmpeg's resampler takes it."""

_GLOBAL_HEADER = int(av.codec.context.Flags.global_header)

_LARGEST_DRIFT = Fraction(1, 100)
"""Seconds by which decoded sound may leave its sample clock (containers round) before that is set anew."""


class EncodedTrack:
    """A sound stream decoded and encoded again. Raises FFmpegError or ValueError where that cannot be."""

    def __init__(self, container: OutputContainer, stream: Stream, spec: Container, shift: Fraction) -> None:
        self.offset: Fraction | None = None
        self.begin: Fraction | None = None
        self.before_zero = Fraction(0)
        self._decoder = _own_decoder(stream)
        if unknown(self._decoder.layout):
            raise ValueError(f"nobody knows what its {self._decoder.layout.name} are")
        encoder = spec.sound
        rate, layout = _sound_format(encoder, self._decoder.sample_rate, self._decoder.layout)
        self._container = container
        self.stream = cast(AudioStream, container.add_stream(encoder, rate=rate))
        self._encoder = self.stream.codec_context
        self._encoder.layout = layout
        if spec.global_header:
            self._encoder.flags |= _GLOBAL_HEADER
        if not encoder.startswith("pcm"):
            self._encoder.bit_rate = _BIT_RATE_PER_CHANNEL * self._encoder.channels
        self._shift = shift
        self._from_zero = spec.from_zero
        self._resampler: AudioResampler | None = None
        self._input: tuple[object, ...] = ()
        self._clock: Fraction | None = None

    @property
    def empty(self) -> bool:
        """Nothing has come that could be decoded."""
        return self._clock is None

    def write(self, packet: av.Packet[Any]) -> None:
        """Decode, and mux what the encoder gives; a packet that cannot be decoded leaves a gap."""
        skipped = _samples_to_skip(packet)
        for frame in self._decoder.decode(packet):
            self._encode(frame, skipped if frame.samples else 0)
            skipped = 0

    def finish(self) -> None:
        """Flush decoder, resampler and encoder."""
        for frame in self._decoder.decode(None):
            self._encode(frame, 0)
        self._resample(None)
        self._mux(self.stream.encode(None))

    def _encode(self, frame: av.AudioFrame, skipped: int) -> None:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._input:
            self._resample(None)
            self._resampler = AudioResampler(
                self._encoder.format, self._encoder.layout, self._encoder.sample_rate
            )
            self._input = kind
        self._set_time(frame, skipped)
        begin, length = (Fraction(count, frame.sample_rate) for count in (frame.pts or 0, frame.samples))
        if self._from_zero and too_early(begin, length):
            self.begin = self.offset = None  # the next one is the first
            return
        self._resample(frame)

    def _resample(self, frame: av.AudioFrame | None) -> None:
        if self._resampler is not None:
            for resampled in self._resampler.resample(frame):
                if resampled is not None:
                    self._mux(self.stream.encode(resampled))

    def _mux(self, packets: Sequence[av.Packet[Any]]) -> None:
        for packet in packets:
            if packet.dts is not None:
                self.before_zero = max(self.before_zero, -packet.dts * Fraction(packet.time_base))
        self._container.mux(packets)

    def _set_time(self, frame: av.AudioFrame, skipped: int) -> None:
        """Time by counting samples; the frame's own pts only sets the clock, at the start and after a gap."""
        length = Fraction(frame.samples, frame.sample_rate)
        told = None
        if frame.pts is not None and frame.time_base is not None:
            told = frame.pts * Fraction(frame.time_base) + self._shift + Fraction(skipped, frame.sample_rate)
        if self._clock is None or (told is not None and told - self._clock > _LARGEST_DRIFT):
            self._clock = told or Fraction(0)
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = round(self._clock * frame.sample_rate)
        if self.offset is None and told is not None:
            self.begin = told - self._shift
            self.offset = Fraction(frame.pts, frame.sample_rate) - self.begin
        self._clock += length


def too_early(begin: Fraction, length: Fraction) -> bool:
    """Tell whether sound from `begin` on for `length` (s) is mostly over at time zero.

    A container in which every track begins there would delay all of it; without what is too early the rest is
    in time within half of a packet.
    """
    return begin + length / 2 < 0


def unplaced(layout: AudioLayout) -> bool:
    """Tell whether only the number of channels is known: PCM in AVI, Matroska and NUT says no more."""
    return layout.name == f"{layout.nb_channels} channels"


def unknown(layout: AudioLayout) -> bool:
    """Tell whether that number says nothing either. (Where it is 0, nobody has looked at a packet yet.)"""
    return unplaced(layout) and layout.nb_channels not in (0, *USUAL_LAYOUTS)


def _own_decoder(stream: Stream) -> AudioCodecContext:
    """A decoder like the stream's own, which belongs to the source's thread. A null muxer makes it from the
    stream's parameters; nothing is ever written."""
    context = av.open("-", "w", format="null").add_stream_from_template(stream).codec_context
    if not isinstance(context, AudioCodecContext) or not context.is_decoder:
        raise ValueError("no decoder for it")
    return context


def _sound_format(encoder: str, rate: int, layout: AudioLayout) -> tuple[int, str]:
    """The sample rate and channel layout nearest to the source's that the encoder opens with."""
    codec = Codec(encoder, "w")
    rates = codec.audio_rates
    if rates and rate not in rates:
        rate = min(rates, key=lambda each: (each < rate, abs(each - rate)))
    plain = USUAL_LAYOUTS.get(layout.nb_channels, "stereo")
    for name in (layout.name, plain, "stereo"):
        context = av.CodecContext.create(encoder, "w")
        assert isinstance(context, AudioCodecContext)
        try:
            context.layout, context.sample_rate = name, rate
            context.format = (codec.audio_formats or [AudioFormat("flt")])[0]
            context.open()
        except (av.FFmpegError, ValueError):
            continue
        return rate, name
    raise ValueError(f"encoder {encoder!r} refuses {rate} Hz {layout.name}")


def _samples_to_skip(packet: av.Packet[Any]) -> int:
    """Samples the decoder will drop at the packet's beginning; its frame starts that much later."""
    data = bytes(packet.get_sidedata("skip_samples"))
    return struct.unpack_from("<I", data)[0] if len(data) >= 4 else 0

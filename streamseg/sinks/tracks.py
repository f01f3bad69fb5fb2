"""Sound and subtitles: copied bit for bit where the container can hold them, else sound is encoded anew."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal, Protocol, TypeAlias, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.format import AudioFormat
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import Codec
from av.container import OutputContainer
from av.stream import Stream

from streamseg.errors import reason
from streamseg.frame import Tracks
from streamseg.sinks.containers import Container, holds

Treatment: TypeAlias = Literal["copied", "encoded", "none"]
"""What happens to sound, best first; a container that refuses its header with one is tried with the next."""

_KEPT_METADATA = ("language", "title", "handler_name", "comment")

_BIT_RATE_PER_CHANNEL = 80_000

_LARGEST_DRIFT = Fraction(1, 100)
"""Seconds by which decoded sound may leave its sample clock (containers round) before that is set anew."""


class Track(Protocol):
    """One stream on its way out."""

    offset: Fraction | None
    """Seconds by which its first packet moved; None before there was one."""
    begin: Fraction | None
    """Time of its first packet, as it came."""
    before_zero: bool
    """Its first packet comes before time zero."""

    def write(self, packet: av.Packet[Any]) -> None:
        """Take a packet of the source's, which stays as it is."""

    def finish(self) -> None:
        """Write what is still held back."""


class TrackWriter:
    """All the streams beside the picture. Made before the header is written, fed after it."""

    def __init__(
        self, container: OutputContainer, spec: Container, tracks: Tracks, sound: Treatment, shift: Fraction
    ) -> None:
        self._spec = spec
        self.notes: list[str] = []
        self.audio: Treatment = "none"
        self._by_stream: dict[int, Track] = {}
        self._sound: list[Track] = []
        for stream in tracks.streams:
            track = self._open(container, stream, sound, shift)
            if track is not None:
                self._by_stream[stream.index] = track

    @property
    def offset(self) -> Fraction | None:
        """Seconds by which the first sound track moved."""
        first = next((track for track in self._sound if track.offset is not None), None)
        if first is None or first.begin is None:
            return None
        return -first.begin if self._spec.from_zero else first.offset

    @property
    def before_zero(self) -> bool:
        """Some track begins before time zero: a muxer that cannot hold that shifts everything."""
        return any(track.before_zero for track in self._by_stream.values())

    def copy(self, packets: Sequence[av.Packet[Any]]) -> None:
        """Write packets of any of the streams."""
        for packet in packets:
            track = self._by_stream.get(packet.stream_index)
            if track is not None:
                try:
                    track.write(packet)
                except (
                    av.error.InvalidDataError,
                    av.error.ArgumentError,
                    av.error.PatchWelcomeError,
                ) as error:
                    self._note_once(f"a packet of track {packet.stream_index} was left out: {reason(error)}")

    def finish(self) -> None:
        """Write what the tracks still hold back."""
        for track in self._by_stream.values():
            track.finish()

    def _open(
        self,
        container: OutputContainer,
        stream: Stream,
        sound: Treatment,
        shift: Fraction,
    ) -> Track | None:
        spec = self._spec
        name = f"{stream.type} track {stream.index} ({_codec_name(stream)})"
        if stream.type == "attachment" and spec.format == "matroska":
            container.add_stream_from_template(stream)
            return None
        if stream.type not in ("audio", "subtitle") or stream.codec_context is None:
            self.notes.append(f"{name} was left out: it is neither sound nor subtitles that can be read")
            return None
        treatment = sound if stream.type == "audio" else "copied"
        if treatment == "copied" and holds(spec, stream.codec_context.codec):
            track: Track = CopiedTrack(
                container, stream, shift, strict=spec.format not in ("matroska", "webm", "flv")
            )
        elif stream.type == "audio" and treatment != "none":
            try:
                track = EncodedTrack(container, stream, spec.sound, shift)
            except (av.FFmpegError, ValueError) as error:
                self.notes.append(f"{name} was left out: it cannot be encoded anew: {reason(error)}")
                return None
        else:
            self.notes.append(f"{name} was left out: a {spec.format} file cannot hold it")
            return None
        if stream.type == "audio":
            self._sound.append(track)
            if self.audio != "encoded":
                self.audio = "encoded" if isinstance(track, EncodedTrack) else "copied"
        return track

    def _note_once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


class CopiedTrack:
    """A stream whose packets come out as they went in."""

    def __init__(self, container: OutputContainer, stream: Stream, shift: Fraction, *, strict: bool) -> None:
        self.offset: Fraction | None = None
        self.begin: Fraction | None = None
        self.before_zero = False
        self._container = container
        self._stream = container.add_stream_from_template(stream)
        self._shift = shift
        self._step = 1 if strict else 0
        self._last: int | None = None
        _describe(self._stream, stream)

    def write(self, packet: av.Packet[Any]) -> None:
        """Mux a copy of `packet`: muxing changes times, and other sinks want this packet too."""
        times = self._times(packet)
        if times is None:
            return
        copy: av.Packet[Any] = av.Packet(packet)  # type: ignore[arg-type]  # it takes any buffer
        copy.stream, copy.time_base = self._stream, _tick(self._stream)
        copy.dts, copy.pts = times
        copy.duration = round((packet.duration or 0) * Fraction(packet.time_base) / _tick(self._stream))
        copy.is_keyframe = packet.is_keyframe
        for data in packet.iter_sidedata():
            copy.set_sidedata(data)
        self._container.mux(copy)

    def finish(self) -> None:
        """Nothing is held back."""

    def _times(self, packet: av.Packet[Any]) -> tuple[int, int] | None:
        """(dts, pts) in the output's ticks; dts never goes back, which muxers refuse."""
        decoded = packet.dts if packet.dts is not None else packet.pts
        if decoded is None or (packet.size == 0 and self._stream.type == "audio"):
            return None
        shown = packet.pts if packet.pts is not None else decoded
        before, tick = Fraction(packet.time_base), _tick(self._stream)
        dts, pts = (round((ticks * before + self._shift) / tick) for ticks in (decoded, shown))
        if self._last is not None:
            dts = max(dts, self._last + self._step)
        self._last = dts
        if self.offset is None:
            self.begin = shown * before
            self.offset = max(dts, pts) * tick - self.begin
            self.before_zero = dts < 0
        return dts, max(dts, pts)


class EncodedTrack:
    """A sound stream decoded and encoded again. Raises FFmpegError or ValueError where that cannot be."""

    def __init__(self, container: OutputContainer, stream: Stream, encoder: str, shift: Fraction) -> None:
        self.offset: Fraction | None = None
        self.begin: Fraction | None = None
        self.before_zero = False
        self._decoder = _own_decoder(stream)
        rate, layout = _sound_format(encoder, self._decoder.sample_rate, self._decoder.layout)
        self._container = container
        self._stream = cast(AudioStream, container.add_stream(encoder, rate=rate))
        self._encoder = self._stream.codec_context
        self._encoder.layout = layout
        if not encoder.startswith("pcm"):
            self._encoder.bit_rate = _BIT_RATE_PER_CHANNEL * self._encoder.channels
        self._shift = shift
        self._resampler: AudioResampler | None = None
        self._input: tuple[object, ...] = ()
        self._clock: Fraction | None = None
        _describe(self._stream, stream)

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
        self._mux(self._stream.encode(None))

    def _encode(self, frame: av.AudioFrame, skipped: int) -> None:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._input:
            self._resample(None)
            self._resampler = AudioResampler(
                self._encoder.format, self._encoder.layout, self._encoder.sample_rate
            )
            self._input = kind
        self._set_time(frame, skipped)
        self._resample(frame)

    def _resample(self, frame: av.AudioFrame | None) -> None:
        if self._resampler is not None:
            for resampled in self._resampler.resample(frame):
                if resampled is not None:
                    self._mux(self._stream.encode(resampled))

    def _mux(self, packets: Sequence[av.Packet[Any]]) -> None:
        self.before_zero = self.before_zero or any(
            packet.dts is not None and packet.dts < 0 for packet in packets
        )
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
    plain = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}.get(layout.nb_channels, "stereo")
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


def _tick(stream: Stream) -> Fraction:
    """Known from the moment the header is written."""
    return Fraction(stream.time_base or 1)


def _describe(target: Stream, source: Stream) -> None:
    target.metadata.update(
        {key: clean(source.metadata[key]) for key in _KEPT_METADATA if key in source.metadata}
    )
    target.disposition = source.disposition


def clean(text: str) -> str:
    """Return `text` with what is no Unicode replaced by question marks: muxers take nothing else."""
    return text.encode(errors="replace").decode()


def _codec_name(stream: Stream) -> str:
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else stream.name or "unknown"

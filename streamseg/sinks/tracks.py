"""Sound and subtitles: copied bit for bit where the container can hold them, else sound is encoded anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from io import BytesIO
from typing import Any, Literal, Protocol, TypeAlias

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import OutputContainer
from av.stream import Stream

from streamseg.errors import reason
from streamseg.frame import Tracks
from streamseg.sinks.containers import Container, holds
from streamseg.sinks.copied import CopiedTrack, tick_of
from streamseg.sinks.sound import EncodedTrack, unknown

Treatment: TypeAlias = Literal["copied", "encoded", "none"]
"""What became of sound, best first."""

_KEPT_METADATA = ("language", "title", "handler_name", "comment")

_SEGMENTS = {"hls": "mpegts"}
"""What the files of a format are that is more than one file."""


class Track(Protocol):
    """One stream on its way out."""

    offset: Fraction | None
    """Seconds by which its first packet moved; None before there was one."""
    begin: Fraction | None
    """Time of its first packet, as it came."""
    before_zero: Fraction
    """Seconds by which its first packet comes before time zero; 0 where it does not."""

    @property
    def empty(self) -> bool:
        """Nothing has come."""

    @property
    def stream(self) -> Stream:
        """The output's stream."""

    def write(self, packet: av.Packet[Any]) -> None:
        """Take a packet of the source's, which stays as it is."""

    def finish(self) -> None:
        """Write what is still held back."""


class TrackWriter:
    """All the streams beside the picture. Made before the header is written, fed after it."""

    def __init__(self, container: OutputContainer, spec: Container, tracks: Tracks, shift: Fraction) -> None:
        self._spec = spec
        self.notes: list[str] = []
        self._whys: dict[int, str] = {}
        """Why a track of sound is encoded anew."""
        self._names: dict[int, str] = {}
        self._by_stream: dict[int, Track] = {}
        for stream in tracks.streams:
            track = self._open(container, stream, shift)
            if track is not None:
                describe(track.stream, stream)
                self._names[stream.index] = _named(stream)
                self._by_stream[stream.index] = track
        self._sound = [track for track in self._by_stream.values() if track.stream.type == "audio"]

    @property
    def audio(self) -> Treatment:
        """What became of the sound that has come so far; "encoded" if that happened to any track of it."""
        tracks = [track for track in self._sound if not track.empty]
        if any(isinstance(track, EncodedTrack) for track in tracks):
            return "encoded"
        return "copied" if tracks else "none"

    @property
    def offset(self) -> Fraction | None:
        """Seconds by which the first sound track moved."""
        first = next((track for track in self._sound if track.offset is not None), None)
        if first is None or first.begin is None:
            return None
        return -first.begin if self._spec.from_zero else first.offset

    @property
    def before_zero(self) -> Fraction:
        """Seconds by which some track begins before time zero: a muxer that cannot hold that shifts
        everything."""
        return max((track.before_zero for track in self._by_stream.values()), default=Fraction(0))

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
        for index, track in self._by_stream.items():
            track.finish()
            if track.empty and track.stream.type == "audio":
                self.notes.append(f"{self._names[index]} brought no sound")
            elif index in self._whys:
                self.notes.append(f"{self._names[index]} was encoded anew: {self._whys[index]}")

    def _open(self, container: OutputContainer, stream: Stream, shift: Fraction) -> Track | None:
        spec, name = self._spec, _named(stream)
        if stream.type == "attachment" and spec.format == "matroska":
            container.add_stream_from_template(stream)
            return None
        if stream.type not in ("audio", "subtitle") or stream.codec_context is None:
            self.notes.append(f"{name} was left out: it is neither sound nor subtitles that can be read")
            return None
        why = f"{spec.format} cannot hold it"
        if holds(spec, stream.codec_context.codec):
            refused = _refusal(spec, stream)
            if refused is None:
                return CopiedTrack(container, stream, spec, shift)
            why = f"{spec.format} refuses it copied: {refused}"
        if stream.type != "audio":
            self.notes.append(f"{name} was left out: {why}")
            return None
        try:
            track = EncodedTrack(container, stream, spec, shift)
        except (av.FFmpegError, ValueError) as error:
            self.notes.append(f"{name} was left out: it cannot be encoded anew: {reason(error)}")
            return None
        self._whys[stream.index] = why
        return track

    def _note_once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _refusal(spec: Container, stream: Stream) -> str | None:
    """Why no header can be written with a copy of the track; None if one can. Libavformat names codecs as a
    container's own that its muxer refuses in some shape or at some rate: only trying tells. That the track is
    alone, in memory, tells its own faults from those of the others."""
    if spec.format == "rtsp":  # which has no header without a server
        return None
    context = stream.codec_context
    if spec.format == "mp4" and isinstance(context, AudioCodecContext) and unknown(context.layout):
        return f"nobody knows what its {context.layout.name} are"
    try:
        with av.open(BytesIO(), "w", _SEGMENTS.get(spec.format, spec.format)) as container:
            container.add_stream_from_template(stream)
            container.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        return reason(error)
    return None


def sound_begins(tracks: Tracks) -> Fraction | None:
    """Return the seconds at which the first track of sound begins; None without one, or where it is not
    known."""
    known = (each for each in tracks.streams if each.type == "audio" and each.start_time is not None)
    return next((Fraction(each.start_time or 0) * tick_of(each) for each in known), None)


def describe(target: Stream, source: Stream) -> None:
    """Give a stream the language, title and role of another."""
    target.metadata.update(
        {key: clean(source.metadata[key]) for key in _KEPT_METADATA if key in source.metadata}
    )
    target.disposition = source.disposition


def clean(text: str) -> str:
    """Return `text` with what is no Unicode replaced by question marks: muxers take nothing else."""
    return text.encode(errors="replace").decode()


def silent(holder: str, tracks: Tracks) -> list[str]:
    """Return a note of all that `holder`, which holds only pictures, leaves out."""
    names = [_named(stream) for stream in tracks.streams]
    if tracks.chapters:
        names.append(f"{len(tracks.chapters)} chapters")
    return [f"{holder} holds no sound; left out: {', '.join(names)}"] if names else []


def chapters_until(end: Fraction, tracks: Tracks, shift: Fraction) -> list[Any]:
    """Return the chapters that begin before `end` (s), as times in a file moved by `shift` (s)."""
    chapters = []
    for chapter in tracks.chapters:
        tick = Fraction(chapter["time_base"])
        begin, finish = (chapter[side] * tick + shift for side in ("start", "end"))
        if begin < end:
            times = {"start": round(begin / tick), "end": round(min(finish, end) / tick)}
            chapters.append({**chapter, **times, "metadata": _cleaned(chapter["metadata"])})
    return chapters


def _cleaned(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key: clean(text) for key, text in metadata.items()}


def _named(stream: Stream) -> str:
    context = stream.codec_context
    codec = context.codec.canonical_name if context is not None else stream.name or "unknown"
    return f"{stream.type} track {stream.index} ({codec})"

"""Media files, and whatever else PyAV muxes: pictures encoded, sound and subtitles beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer

from streamseg.errors import SinkClosed, SinkError, UsageError, reason, redacted
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.pictures import shape
from streamseg.sinks.base import Destination, Encoding, Sink
from streamseg.sinks.clock import common_timescale
from streamseg.sinks.codecs import (
    Encoder,
    chosen_encoder,
    default_encoder,
    lossless_encoder,
    pixel_formats,
    usable,
)
from streamseg.sinks.containers import Container, container_for
from streamseg.sinks.files import OutputFile, Target
from streamseg.sinks.hardware import NVENC, in_hardware, refusal_on_card
from streamseg.sinks.pipes import AT_ONCE, PipeWriter, writer_to
from streamseg.sinks.pixels import Conversion, best_format, lost_range
from streamseg.sinks.streaming import streamed
from streamseg.sinks.tracks import TrackWriter, chapters_until, clean, describe, silent, sound_begins
from streamseg.sinks.video import VideoTrack

_MUXER_METADATA = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})
"""What a container says of itself, not of its content."""

_NOTICEABLE_MS = 45
"""How far apart picture and sound may be before somebody sees it (ITU-R BT.1359)."""


class MediaSink(Sink):
    """A media file by its extension; sound and subtitles are copied where its container can hold them."""

    kind = "a video"
    encodes = True

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError or SinkError for what can be known before a frame is there."""
        extension = Path(destination.uri).suffix
        spec = container_for(extension)
        output = OutputFile(destination.uri, overwrite=destination.overwrite, inputs=destination.inputs)
        self._set_up(destination, spec, extension, output, f"file:{output.partial}")

    def _set_up(
        self, destination: Destination, spec: Container, extension: str, target: Target, address: str
    ) -> None:
        self.uri = redacted(destination.uri)
        self.notes = []
        self._spec, self._extension, self._shared = spec, extension, destination.shared
        self._encoding = destination.encoding
        self._leave_out(lambda encoding: chosen_encoder(encoding, spec, extension))
        self._asked = chosen_encoder(self._encoding, spec, extension)
        self._target, self._address = target, address
        self.takes_card = self._asked is not None and self._asked.name in NVENC
        self._container: OutputContainer | None = None
        self._pipe: PipeWriter | None = None

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:
        """Open encoder and container, and in it what it can hold of sound and subtitles."""
        if self._spec.silent:
            self.notes += silent(repr(self._extension), tracks)
            tracks = replace(tracks, streams=(), chapters=())
        self._source = tracks
        try:
            self._playable = video.spare_chroma or self._spec.live
            with self._failures():
                self._video = self._video_track(video, first)
                self._open_with(tracks)
        except (SinkError, UsageError):
            self.abort()
            raise

    def _open_with(self, tracks: Tracks) -> None:
        """Where the header is refused, the tracks are to blame until it is refused without any too."""
        try:
            self._open(tracks)
        except av.FFmpegError as error:
            if (
                isinstance(error, OSError) or not tracks.streams
            ):  # no place to write to, or no fault of theirs
                raise
            self._close_container()
            self._target.discard()
            self._open(replace(tracks, streams=()))
            why = f"{self._spec.format} refuses them together: {reason(error)}"
            self.notes.append(f"sound and subtitles were left out: {why}")

    def write(self, frame: Frame) -> None:
        """Encode one frame at its own time."""
        with self._failures():
            self._video.write(frame)
        self._check_times()

    def copy(self, packets: Sequence[av.Packet[Any]]) -> None:
        """Mux packets of sound and subtitles."""
        with self._failures():
            self._tracks.copy(packets)

    def close(self) -> None:
        """Flush the encoders, write the index and rename the file."""
        if self._container is None:
            return
        if not self._video.frames:
            self.abort()
            return
        try:
            with self._failures():
                self._video.finish()
                self._tracks.finish()
                self._write_chapters(self._container)
                self._container.close()
        except SinkError:
            self.abort()
            raise
        self._close_container()
        self._sum_up()
        self._let_go()
        self._target.commit()

    def abort(self) -> None:
        """Drop the unfinished file."""
        self._target.discard()  # before the trailer is written for nothing; not every system can
        self._close_container()
        self._let_go()
        self._target.discard()

    def _let_go(self) -> None:
        """Of the encoder, where pictures lay on the card: it knows addresses there that will be freed."""
        if self.takes_card:
            for name in ("_video", "_tracks"):
                vars(self).pop(name, None)

    def _video_track(self, video: VideoFormat, first: Frame) -> VideoTrack:
        encoder, format_name = self._choose(first.picture)
        if self._spec.live:
            encoder = streamed(encoder, first.size, video.rate, asked=self._encoding.bitrate)
        convert = Conversion(first.picture, format_name, encoder.name, tagging=self._spec.tagging)
        self.notes += lost_range(first.picture, format_name, self._spec.format, encoder.name)
        track = VideoTrack(self._spec, encoder, convert, video, first, sound=sound_begins(self._source))
        if self.takes_card:
            track.on_card = self.takes_card = self._stays(track, encoder, first)
        return track

    def _stays(self, track: VideoTrack, encoder: Encoder, first: Frame) -> bool:
        """Whether pictures like `first` are encoded on the card; a note where FFmpeg refuses."""
        refused = first.brought
        if track.fits(first.native):
            refused = refusal_on_card(encoder, first.native)
            if refused is None:
                return True
        if refused:
            self.notes.append(f"pictures come down from the card to be encoded: {refused}")
        return False

    def _choose(self, first: av.VideoFrame) -> tuple[Encoder, str]:
        """The encoder and pixel format for frames like `first`; UsageError if it loses alpha or class ids."""
        palette = first.format.has_palette
        name = "rgb24" if palette else first.format.name
        if palette:
            self._leave_out(lambda encoding: lossless_encoder(encoding, self._spec.palette))
            encoder = lossless_encoder(self._encoding, self._spec.palette)
        elif self._asked is not None:
            encoder = self._asked
        else:
            wanted = self._spec.alpha if shape(name).alpha else self._spec.codec
            if wanted is None:
                raise UsageError(f"{self._extension!r} cannot hold transparency; use .mov, .webm or %05d.png")
            self._leave_out(lambda encoding: default_encoder(encoding, wanted))
            encoder = default_encoder(self._encoding, wanted)
            if self._spec.live and self._encoding.crf is None and self._encoding.preset is None:
                encoder = in_hardware(encoder, self._encoding, first)
        offered = pixel_formats(encoder.name) or (name,)
        format_name = best_format(name, encoder.name, offered, exact=encoder.exact, playable=self._playable)
        if format_name is None:
            raise UsageError(
                f"codec {encoder.name!r} cannot hold transparency; use prores or png in .mov, vp9 in .webm"
            )
        return encoder, format_name

    def _leave_out(self, attempt: Callable[[Encoding], object]) -> None:
        """Keep of an encoding that other sinks have too what `attempt` takes, and note what it refuses."""
        if self._shared:
            before = self._encoding
            self._encoding, self.unused = usable(before, attempt)
            for option, why in self.unused.items():
                asked = f"{option} {getattr(before, option)!r}"
                self.notes.append(f"written without {asked}: {why.partition(';')[0]}")

    def _open(self, tracks: Tracks) -> None:
        options = dict(self._spec.options)
        if self._spec.iso:
            options["movie_timescale"] = str(common_timescale(self._video.clock, tracks))
        self._container = container = self._muxer(options)
        container.metadata.update(
            {key: clean(text) for key, text in tracks.metadata.items() if key.lower() not in _MUXER_METADATA}
        )
        self._video.open(container, self.uri)
        if tracks.picture is not None:
            describe(self._video.stream, tracks.picture)
        self._tracks = TrackWriter(container, self._spec, tracks, self._video.clock.shift)
        container.start_encoding()

    def _muxer(self, options: dict[str, str]) -> OutputContainer:
        """Open what pictures and sound are muxed into."""
        self._pipe = writer_to(self._address, lambda: self.interrupted)
        return av.open(
            self._pipe or self._address,
            "w",
            self._spec.format,
            container_options=options,
            buffer_size=AT_ONCE,
        )

    def _write_chapters(self, container: OutputContainer) -> None:
        """In the trailer, when the end of the picture is known: a later chapter would lengthen the file."""
        if self._spec.chapters:
            clock = self._video.clock
            container.set_chapters(chapters_until(self._video.end, self._source, clock.shift))
        elif self._source.chapters:
            self.notes.append(
                f"{len(self._source.chapters)} chapters were left out: {self._spec.format} cannot hold them"
            )

    @property
    def _shifted(self) -> Fraction:
        """Seconds by which the muxer moves everything, for the sake of packets before zero."""
        return Fraction(0) if self._spec.negative else self._tracks.before_zero

    def _check_times(self) -> None:
        self.pts_exact = self._video.pts_exact and not self._shifted

    def _sum_up(self) -> None:
        self._check_times()
        self.audio = self._tracks.audio
        self.notes += [*self._video.notes, *self._tracks.notes]
        if self._shifted:
            moved = f"all was moved by {float(self._shifted * 1000):+.3g} ms"
            self.notes.append(f"{self._spec.format} cannot begin before zero, as its sound does: {moved}")
        picture, sound = self._video.offset, self._tracks.offset
        if picture is not None and sound is not None:
            self.av_offset_ms = round(float(picture - sound) * 1000, 3)
            if abs(self.av_offset_ms) > _NOTICEABLE_MS:
                self.notes.append(
                    f"{self._extension!r} cannot start late: picture {self.av_offset_ms:+.0f} ms after sound"
                )

    def _close_container(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            with suppress(av.FFmpegError, OSError, ValueError):  # it is given up anyway
                container.close()
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what libav raises into one line."""
        try:
            yield
            if self._pipe is not None and self._pipe.lost:
                raise BrokenPipeError
        except (SinkError, UsageError):
            raise
        except BrokenPipeError as error:
            raise SinkClosed(f"nobody reads {self.uri!r} any more") from error
        except (av.FFmpegError, OSError, ValueError) as error:
            why = reason(error)
            if self._spec.iso and isinstance(error, av.PatchWelcomeError):  # 2^31 ticks
                why = f"its pictures pause longer than {self._extension!r} can hold; use .mkv"
            raise SinkError(f"cannot write {self.uri!r}: {why}") from error

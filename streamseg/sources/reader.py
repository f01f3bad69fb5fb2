"""Demuxing and decoding one video track: damage repaired, packets of the other tracks set aside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from streamseg.errors import reason
from streamseg.frame import Tracks
from streamseg.sources.hardware import CardDecoder
from streamseg.sources.losses import Losses, Segments, tolerance
from streamseg.sources.timing import Splices, Timed
from streamseg.sources.upright import copied

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these codecs drop the alpha plane."""


class Reader:
    """Reads a container once, on one thread. Whoever owns it closes the container."""

    until: Fraction | None = None
    """Seconds; packets of the other tracks from there on are left out."""
    keeping = True
    """Whether packets of the other tracks are set aside at all."""
    patience: float | None = None
    """Seconds without a picture after which a stream counts as stalled, whatever else it sends."""
    closed = False
    """Reading on from a closed container would crash the process."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        tracks: Tracks,
        *,
        live: bool,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock`: that of a broadcast, see Splices."""
        self.failure: Exception | None = None
        """Why demuxing stopped before the end; TimeoutError where nothing came."""
        self.segments = Segments() if container.format.name.startswith("hls") else None
        """How much of a playlist came; None where there is none."""
        self._splices = Splices(clock)
        self._stream = stream
        self._tracks = tracks
        self._decoder: VideoCodecContext | CardDecoder = _decoder_of(stream, live)
        self._losses = Losses()
        self._packets = self._demuxed(container)
        self._seen = self._repaired = self._kept = self._skipped = 0
        self._encrypted = False
        self._reached: dict[int, Fraction] = {}
        self._start = self._end = 0.0

    @property
    def on_card(self) -> bool:
        """Whether a graphics card decodes it; known with the first picture."""
        return isinstance(self._decoder, CardDecoder) and self._decoder.used

    def pictures(self) -> Iterator[Timed]:
        """Yield every picture and whether it repeats the last good one in place of a damaged one."""
        good: av.VideoFrame | None = None
        self._asked = time.monotonic()
        for picture in self._decoded():
            yield from self._repeats(good, self._losses.before(picture.pts))
            if picture.is_corrupt and good is not None:
                yield from self._repeats(good, [picture.pts])
                continue
            if picture.is_corrupt:  # shown for want of a better one
                self._kept += 1
            else:
                good = picture
            yield picture, False
            self._asked = time.monotonic()
        yield from self._repeats(good, self._losses.at_end())

    def _repeats(self, good: av.VideoFrame | None, lost: list[int | None]) -> Iterator[Timed]:
        if good is None:
            self._skipped += len(lost)
            return
        for pts in lost:
            try:
                picture = copied(good)
            except av.FFmpegError:  # it was on a card that failed
                self._skipped += 1
                continue
            picture.pts = pts
            self._repaired += 1
            yield picture, True

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets:
            if not packet.size:
                continue  # AVI's way to say that the last picture stays
            if not packet.is_discard:
                self._losses.sent(packet.pts)
            try:
                pictures = self._decoder.decode(packet)
            except (av.FFmpegError, EOFError):
                self._losses.failed(packet.pts)
                continue
            yield from pictures
        if self.closed:
            return
        with suppress(av.FFmpegError, EOFError):
            yield from self._decoder.decode(None)

    def _demuxed(self, container: InputContainer) -> Iterator[av.Packet[Any]]:
        """Yield the video packets and set the others aside, all with mended timestamps."""
        packets = container.demux(self._stream, *self._tracks.streams)
        while not self.closed:
            try:
                packet = next(packets, None)
            except av.ExitError:
                self.failure = TimeoutError("nothing came")
                return
            except av.FFmpegError as error:
                self.failure = error
                return
            if packet is None:
                return
            if self.patience is not None and time.monotonic() - self._asked > self.patience:
                self.failure = TimeoutError("no picture came")
                return
            if packet.pts is None and not packet.size:
                continue  # a mark at the end of every track, to flush its decoder
            self._splices.mend(packet)
            self._measure(packet)
            if packet.stream_index == self._stream.index:
                self._seen += 1
                if self.segments is not None:
                    self.segments.came(packet)
                self._encrypted = self._encrypted or packet.has_sidedata("encryption_info")
                yield packet
            elif self.keeping and not self._beyond(packet.stream_index):
                self._tracks.put(packet)

    def _beyond(self, track: int) -> bool:
        return self.until is not None and self._reached.get(track, self.until - 1) >= self.until

    def _measure(self, packet: av.Packet[Any]) -> None:
        """Note how far each track has come, and the length of the video, or of all if it declares none."""
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is None:
            return
        time_base = Fraction(packet.time_base)
        self._reached[packet.stream_index] = ticks * time_base
        if packet.stream_index == self._stream.index or not self._stream.duration:
            start, end = float(ticks * time_base), float((ticks + (packet.duration or 0)) * time_base)
            self._start, self._end = min(self._start, start), max(self._end, end)

    def finish_tracks(self) -> None:
        """Read on for the sound up to `until`, which may be stored behind its pictures."""
        sound = [stream.index for stream in self._tracks.streams if stream.type == "audio"]
        until = self.until or Fraction(0)
        while any(self._reached.get(index, Fraction(0)) < until for index in sound):
            if next(self._packets, None) is None or self._reached[self._stream.index] > until + 1:
                return

    def why_nothing(self) -> str:
        """Say why there was not one picture, and what to do."""
        if self.failure is not None:
            return f"{reason(self.failure)} before the first frame; it is damaged or was cut short"
        if self._encrypted:
            return f"it is encrypted: none of its {self._seen} frames could be decoded; decrypt it first"
        if not self._seen:
            return "it has a video track but no frames: only a header; join it to its media segments"
        why = "it starts without a keyframe, is damaged or was cut short"
        return f"none of its {self._seen} frames could be decoded; {why}"

    def close(self) -> None:
        """Read no further; called before the container is closed."""
        self.closed = True
        self._packets = iter(())  # it holds this reader

    @property
    def length(self) -> float:
        """Seconds of the stream read so far."""
        return self._end - self._start

    def findings(self, declared: float | None, *, told: bool = False) -> list[str]:
        """Say in one line each what was wrong so far; `declared` is how many seconds the header promised.
        With `told` somebody else says why reading stopped."""
        because = " (it is encrypted)" if self._encrypted else ""
        found = []
        if isinstance(self._decoder, CardDecoder) and self._decoder.failure is not None:
            found.append(f"the GPU failed while decoding ({self._decoder.failure}); the processor took over")
        if self._repaired:
            found.append(f"{_frames(self._repaired, 'damaged ')} replaced by the last good picture{because}")
        if self._kept:
            found.append(f"{_frames(self._kept, 'damaged ')} kept: no good one came before{because}")
        if self._skipped:
            found.append(f"{_frames(self._skipped, 'damaged ')} left out: no good one came before{because}")
        if self._splices.count:
            jumps = _times(self._splices.count)
            found.append(f"timestamps jumped back {jumps}; what followed was moved to go on")
        if self._splices.leaps:
            leaps = _times(self._splices.leaps)
            found.append(f"timestamps leapt ahead {leaps}; what followed was moved to go on")
        if self._splices.beyond:
            found.append("timestamps centuries from zero were moved to where the picture was")
        length = self.length
        if self.failure is not None and told:
            return found
        if self.failure is not None:
            found.append(f"reading stopped after {length:.1f} s: {reason(self.failure)}")
        elif declared is not None and self.segments is not None:
            found += self.segments.findings(declared)
        elif declared is not None and length < declared - tolerance(declared):
            found.append(f"it ends after {length:.1f} s where its header says {declared:.1f} s: cut short")
        return found


def _frames(count: int, kind: str = "") -> str:
    return f"{count} {kind}frame{'s were' if count > 1 else ' was'}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _decoder_of(stream: VideoStream, live: bool) -> VideoCodecContext | CardDecoder:
    decoder: VideoCodecContext = stream.codec_context
    says_alpha = {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode") == "1"
    if says_alpha and decoder.name in _WITH_ALPHA:
        decoder = _told(av.CodecContext.create(_WITH_ALPHA[decoder.name], "r"), decoder)
    # Threads that each decode a frame of their own hold back as many frames: too late for a live picture.
    # Each would also need a surface of its own on a card, which has few.
    decoder.thread_type = ThreadType.SLICE if live or decoder.is_hwaccel else ThreadType.AUTO
    return CardDecoder(decoder) if decoder.is_hwaccel else decoder


def _told(decoder: av.CodecContext, header: VideoCodecContext) -> VideoCodecContext:
    """The decoder with the colours the container's header names: its bitstream names fewer."""
    assert isinstance(decoder, VideoCodecContext)
    decoder.colorspace, decoder.color_range = header.colorspace, header.color_range
    decoder.color_primaries, decoder.color_trc = header.color_primaries, header.color_trc
    return decoder

"""Which tracks of a container are read, and what it says about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from streamseg.errors import SourceError
from streamseg.frame import Tracks
from streamseg.sources.timing import FURTHEST

_COVERS = Disposition.attached_pic | Disposition.timed_thumbnails
_PLAYLISTS = ("hls", "dash")
"""Formats whose tracks are the same film in several qualities."""


def video_of(container: InputContainer, shown: str) -> VideoStream:
    """Return the first track that is a video, no cover; of a playlist the best. Raises SourceError."""
    videos = [stream for stream in container.streams.video if not stream.disposition & _COVERS]
    if not videos:
        raise SourceError(f"cannot read {shown!r}: it has no video, only {_listed(container.streams)}")
    playlist = container.format.name in _PLAYLISTS
    video = max(videos, key=lambda stream: stream.width * stream.height) if playlist else videos[0]
    if video.codec_context is None:
        raise SourceError(
            f"cannot read {shown!r}: this FFmpeg has no decoder for its video; convert it to H.264"
        )
    return video


def tracks_beside(video: VideoStream, container: InputContainer) -> tuple[Tracks, list[str]]:
    """Return the tracks that travel beside the picture, and what is left out, in words.

    libavformat is told not to read the rest.
    """
    others = [stream for stream in container.streams if stream.index != video.index]
    kept = [stream for stream in others if stream.type in ("audio", "subtitle") and stream.codec_context]
    left_out = [_named(stream) for stream in others if stream not in kept]
    if container.format.name in _PLAYLISTS:
        sound = container.streams.best("audio", related=video)
        kept, left_out = [stream for stream in kept if sound and stream.index == sound.index], []
    for stream in others:
        if stream not in kept:
            stream.discard = Discard.all
    tracks = Tracks(
        streams=tuple(kept),
        metadata=dict(container.metadata),
        picture=video,
        chapters=tuple(container.chapters()),
    )
    return tracks, left_out


def rate_of(stream: VideoStream, *, guessed: bool) -> Fraction | None:
    """Return frames per second, on average, or, for streams without timestamps, as the codec says."""
    rates = stream.average_rate, stream.guessed_rate
    return next((Fraction(rate) for rate in (reversed(rates) if guessed else rates) if rate), None)


def declared_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the length of the video by its header, or, where that says nothing, that of the container.

    Lengths of centuries are those of nonsensical timestamps, and no lengths.
    """
    seconds = (container.duration or 0) / 1_000_000
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * Fraction(stream.time_base))
    return seconds if 0 < seconds < FURTHEST else None


def _named(stream: Stream) -> str:
    codec = stream.codec_context.name if stream.codec_context else "of an unknown kind"
    if stream.type == "video":
        cover = bool(stream.disposition & _COVERS)
        return "the cover picture" if cover else f"video track {stream.index} ({codec})"
    return f"{stream.type} track {stream.index} ({codec})"


def _listed(streams: Iterable[Stream]) -> str:
    kinds = Counter(
        "cover picture" if stream.type == "video" else f"{stream.type} track" for stream in streams
    )
    known = {kind: count for kind, count in kinds.items() if kind not in ("data track", "unknown track")}
    words = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in known.items()]
    return " and ".join(words) or "a header that was cut short or damaged"

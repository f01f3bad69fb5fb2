"""What the tests of the sinks share: driving one sink with made-up frames or with the frames of a clip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av

from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.sinks import Encoding, Sink, open_sink
from tests.clips import TICKS, picture


def made_frames(
    pts: Sequence[int],
    *,
    size: tuple[int, int] = (64, 48),
    pixel_format: str = "yuv420p",
    time_base: Fraction = TICKS,
    duration: int = 3000,
) -> list[Frame]:
    """A moving gradient at the given ticks."""
    frames = []
    for index, ticks in enumerate(pts):
        shown = picture(*size, index, pixel_format)
        shown.pts, shown.time_base, shown.duration = ticks, time_base, duration
        frames.append(Frame(shown, captured=0.0))
    return frames


def write_frames(
    uri: Path | str,
    frames: Iterable[Frame],
    *,
    encoding: Encoding | None = None,
    aspect: Fraction = Fraction(1),
    rate: Fraction | None = Fraction(30),
    overwrite: bool = False,
) -> Sink:
    """Open a sink, write all frames, close it; return it."""
    sink = open_sink(str(uri), encoding=encoding or Encoding(), overwrite=overwrite)
    frames = list(frames)
    time_base = Fraction(frames[0].picture.time_base or TICKS)
    sink.start(VideoFormat(*frames[0].size, time_base, rate, aspect), frames[0], Tracks())
    for frame in frames:
        sink.write(frame)
    sink.close()
    return sink


def copy_clip(source: Path, target: Path, *, encoding: Encoding | None = None) -> Sink:
    """Bring a clip with all its tracks through a sink, packets and frames in the order they were read."""
    with av.open(str(source)) as container:
        shown = container.streams.video[0]
        others = [stream for stream in container.streams if stream is not shown]
        sink = open_sink(str(target), encoding=encoding or Encoding())
        waiting: list[av.Packet] = []
        started = False
        for packet in container.demux():
            if packet.stream is not shown:
                waiting += [packet] if packet.size else []
                continue
            for decoded in packet.decode():
                frame = Frame(decoded, captured=0.0)
                if not started:
                    started = True
                    video = VideoFormat(decoded.width, decoded.height, Fraction(shown.time_base))
                    sink.start(video, frame, Tracks(others, dict(container.metadata)))
                sink.copy(waiting)
                waiting.clear()
                sink.write(frame)
        sink.copy(waiting)
        sink.close()
    return sink

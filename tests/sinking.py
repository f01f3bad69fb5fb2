"""What the tests of the sinks share: driving one sink with made-up frames or with the frames of a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.sinks import Encoding, Sink, open_sink
from streamseg.sources import open_source
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


def copy_source(source: Path, target: Path, *, duration: float | None = None) -> Sink:
    """Bring a clip through a sink as a run does, effects aside."""
    sink = open_sink(str(target))
    with open_source(str(source), duration=duration) as opened:
        for index, frame in enumerate(opened):
            if not index:
                sink.start(opened.video, frame, opened.tracks)
            sink.copy(opened.tracks.take())
            sink.write(frame)
        sink.copy(opened.tracks.take())
    sink.close()
    return sink


def copy_clip(source: Path, target: Path | str, *, encoding: Encoding | None = None) -> Sink:
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


def sound_clip(
    path: Path,
    codec: str,
    samples: np.ndarray,
    *,
    start: Fraction = Fraction(0),
    picture: Fraction = Fraction(0),
    rate: int = 48_000,
    layout: str = "stereo",
    gaps: Callable[[int], int] = lambda block: 0,
) -> Path:
    """Write 2 s of picture from `picture` on and sound that begins at `start`; `gaps` gives samples to skip
    before a block."""
    with av.open(str(path), "w", container_options={"avoid_negative_ts": "disabled"}) as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.time_base = 64, 48, TICKS
        video.codec_context.time_base = TICKS
        sound = container.add_stream(codec, rate=rate, layout=layout)
        first = int(picture / TICKS)
        for frame in made_frames(range(first, first + 180_000, 3000)):
            container.mux(video.encode(frame.picture))
        container.mux(video.encode(None))
        position, channels = round(start * rate), sound.codec_context.channels
        for block, begin in enumerate(range(0, len(samples), 1024)):
            chunk = np.tile(samples[begin : begin + 1024], (channels, 1)).astype(np.float32)
            shown = av.AudioFrame.from_ndarray(chunk, format="fltp", layout=layout)
            position += gaps(block)
            shown.sample_rate, shown.pts, shown.time_base = rate, position, Fraction(1, rate)
            position += chunk.shape[1]
            container.mux(sound.encode(shown))
        container.mux(sound.encode(None))
    return path


def beep(rate: int = 48_000, at: float = 0.5, seconds: float = 1.5) -> np.ndarray:
    """Silence, then from `at` on a loud tone."""
    time = np.arange(int(rate * seconds)) / rate
    return np.where(time >= at, 0.5 * np.sin(2 * np.pi * 1000 * time), 0)


def onset(path: Path) -> float:
    """When the tone begins, in seconds on the file's own clock."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray()
            full = 1 if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max
            if not frame.format.is_planar:
                samples = samples.reshape(-1, len(frame.layout.channels)).T
            loud = np.flatnonzero(np.abs(samples / full).max(axis=0) > 0.1)
            if loud.size:
                return float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate
    raise AssertionError("no tone at all")

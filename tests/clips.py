"""Synthetic clips for the tests: written with PyAV, read back with PyAV, nothing of streamseg in between."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

TICKS = Fraction(1, 90_000)


def gradient(width: int, height: int, index: int) -> NDArray[np.uint8]:
    """(H, W, 3) RGB picture that differs in every pixel and moves with `index`."""
    x = np.arange(width)[None, :] * 255 // max(width - 1, 1)
    y = np.arange(height)[:, None] * 255 // max(height - 1, 1)
    red = np.broadcast_to((x + 5 * index) % 256, (height, width))
    green = np.broadcast_to(y, (height, width))
    blue = (x + y + 3 * index) % 256
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def picture(width: int, height: int, index: int = 0, pixel_format: str = "yuv420p") -> av.VideoFrame:
    """A gradient in any pixel format."""
    return av.VideoFrame.from_ndarray(gradient(width, height, index), format="rgb24").reformat(
        format=pixel_format
    )


def make_clip(
    path: Path,
    *,
    size: tuple[int, int] = (160, 120),
    frames: int = 15,
    rate: int = 30,
    pts: Sequence[int] | None = None,
    time_base: Fraction = TICKS,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    audio: str | None = None,
    audio_rate: int = 48_000,
    options: dict[str, str] | None = None,
    sample_aspect_ratio: Fraction | None = None,
    rotation: int = 0,
    full_range: bool = False,
    container_options: dict[str, str] | None = None,
) -> list[Fraction]:
    """Write a moving gradient (and a 440 Hz tone of the same length); return the time of every frame, in
    seconds.

    `pts` are in `time_base` ticks; without them frames are spaced by `rate`.
    """
    width, height = size
    if pts is None:
        step = 1 / (rate * time_base)
        pts = [int(index * step) for index in range(frames)]
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.time_base = stream.codec_context.time_base = time_base
        if full_range:
            stream.codec_context.color_range = 2
        if sample_aspect_ratio is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect_ratio
        if rotation:
            stream.set_display_rotation(rotation)
        sound = container.add_stream(audio, rate=audio_rate) if audio else None
        for index, ticks in enumerate(pts):
            shown = picture(width, height, index, pixel_format)
            shown.pts, shown.time_base = ticks, time_base
            shown.color_range = 2 if full_range else shown.color_range
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
        if sound is not None:
            seconds = float((pts[-1] - pts[0]) * time_base) + 1 / rate
            _write_tone(container, sound, seconds)
    return [ticks * time_base for ticks in pts]


def make_noise(path: Path, *, seconds: int, size: tuple[int, int] = (640, 360)) -> Path:
    """Write what no encoder makes small, 25 frames a second; return the path."""
    width, height = size
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (5, height * 3 // 2, width), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25, width=width, height=height, pix_fmt="yuv420p")
        for index in range(seconds * 25):
            shown = av.VideoFrame.from_ndarray(pictures[index % len(pictures)], format="yuv420p")
            shown.pts, shown.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
    return path


def _write_tone(container: av.container.OutputContainer, sound: av.AudioStream, seconds: float) -> None:
    rate = sound.rate
    samples = 0
    while samples < seconds * rate:
        wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(samples, samples + 960) / rate)
        block = av.AudioFrame.from_ndarray(
            np.stack([wave, wave]).astype(np.float32), format="fltp", layout="stereo"
        )
        block.sample_rate, block.pts, block.time_base = rate, samples, Fraction(1, rate)
        container.mux(sound.encode(block))
        samples += 960
    container.mux(sound.encode(None))


def read_frames(path: Path | str, stream: int = 0) -> list[av.VideoFrame]:
    """Decode every frame of a clip with plain PyAV."""
    with av.open(str(path)) as container:
        return list(container.decode(video=stream))


def frame_times(path: Path | str) -> list[Fraction]:
    """The time in seconds of every frame of a clip, as plain PyAV reads it."""
    return [frame.pts * Fraction(frame.time_base) for frame in read_frames(path) if frame.pts is not None]


def packets_of(path: Path | str, kind: str = "audio") -> list[tuple[Fraction, bytes]]:
    """Time and bytes of every packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [
            (packet.pts * Fraction(packet.time_base), bytes(packet))
            for packet in container.demux(stream)
            if packet.pts is not None and packet.size
        ]

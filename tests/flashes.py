"""A clip in which every second begins with a flash and a beep, and where these are in what came of it."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

RATE = 25
_SOUND_RATE = 48_000
_BLOCK = 1024
_LENGTH = Fraction(1, 5)
"""Seconds a flash and a beep last."""


def make_flashes(
    path: Path,
    seconds: int,
    *,
    size: tuple[int, int] = (160, 120),
    gop: int = RATE,
    pictures: int | None = None,
) -> Path:
    """Write it: H.264 without B-frames, a keyframe each `gop` frames, and AAC; pictures may end before the
    sound does, after so many seconds."""
    dark, bright = (_plain(size, luma) for luma in (40, 220))
    with av.open(str(path), "w") as container:
        options = {"g": str(gop), "bf": "0", "preset": "ultrafast", "tune": "zerolatency"}
        video = container.add_stream("libx264", rate=RATE, options=options)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        sound = container.add_stream("aac", rate=_SOUND_RATE, layout="mono")
        samples = 0
        for index in range(seconds * RATE):
            picture = bright if Fraction(index, RATE) % 1 < _LENGTH else dark
            picture.pts, picture.time_base = index, Fraction(1, RATE)
            if pictures is None or index < pictures * RATE:
                container.mux(video.encode(picture))
            while samples * RATE < (index + 1) * _SOUND_RATE:
                container.mux(sound.encode(_tone(samples)))
                samples += _BLOCK
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


def _plain(size: tuple[int, int], luma: int) -> av.VideoFrame:
    planes = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
    planes[: size[1]] = luma
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def _tone(samples: int) -> av.AudioFrame:
    time = np.arange(samples, samples + _BLOCK)
    loud = time % _SOUND_RATE < _LENGTH * _SOUND_RATE
    wave = 0.5 * loud * np.sin(2 * np.pi * 1000 * time / _SOUND_RATE)
    block = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
    block.sample_rate, block.pts, block.time_base = _SOUND_RATE, samples, Fraction(1, _SOUND_RATE)
    return block


def flashes(path: Path | str) -> list[float]:
    """The times (s) at which the picture becomes bright, read with plain PyAV."""
    seen = [(float(frame.time), _light(frame)) for frame in _decoded(path, "video")]
    return [after[0] for before, after in pairwise(seen) if before[1] < 110 <= after[1]]


def beeps(path: Path | str) -> list[float]:
    """The times (s) at which the tone begins, within 5 ms."""
    found, quiet = [], False
    for frame in _decoded(path, "audio"):
        wave = np.abs(frame.to_ndarray()[0])
        step = frame.sample_rate // 200
        for start in range(0, len(wave), step):
            loud = wave[start : start + step].max() > 0.1
            if loud and quiet:
                found.append(float(frame.time) + start / frame.sample_rate)
            quiet = not loud and (quiet or wave[start : start + step].max() < 0.02)
    return found


def _light(frame: av.VideoFrame) -> float:
    return float(frame.reformat(format="gray").to_ndarray().mean())


def _decoded(path: Path | str, kind: str) -> list[av.VideoFrame | av.AudioFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(**{kind: 0}))

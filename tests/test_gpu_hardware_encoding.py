"""Encoding on a real card, where there is one. `pytest -m gpu`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import streamseg
from streamseg.pictures import planes
from streamseg.sinks import Encoding
from streamseg.sinks.codecs import default_encoder, without_delay
from streamseg.sinks.hardware import in_hardware
from tests.clips import picture, read_frames
from tests.sinking import made_frames, write_frames

pytestmark = pytest.mark.gpu

TICKS = range(0, 90_000, 3000)


@pytest.mark.parametrize("encoder", ["h264_nvenc", "hevc_nvenc", "av1_nvenc"])
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_nvenc_makes_files_that_play(encoder: str, extension: str, tmp_path: Path) -> None:
    """All frames at their own times, near the pictures that went in; quality follows crf."""
    sizes = []
    for crf in (20, 45):
        path, frames = tmp_path / f"{crf}{extension}", made_frames(TICKS, size=(640, 360))
        encoding = Encoding(codec=encoder, crf=crf, preset="p2")
        try:
            sink = write_frames(path, frames, encoding=encoding)
        except streamseg.SinkError as error:
            pytest.skip(f"needs a card with {encoder}: {error}")
        assert sink.pts_exact
        sizes.append(path.stat().st_size)
        for shown, frame in zip(read_frames(path), frames, strict=True):
            luma, wanted = (planes(each)[0].astype(int) for each in (shown, frame.picture))
            assert np.abs(luma - wanted).mean() < 8
    assert sizes[0] > sizes[1]


def test_a_stream_is_encoded_in_hardware_without_delay() -> None:
    """Each picture comes out at once."""
    shown = picture(1280, 720)
    found = in_hardware(default_encoder(Encoding(), "libx264"), Encoding(), shown)
    if found.name == "libx264":
        pytest.skip("needs an encoder in hardware")
    context = av.CodecContext.create(found.name, "w")
    context.width, context.height, context.pix_fmt = 1280, 720, "nv12"
    context.framerate, context.time_base = Fraction(30), Fraction(1, 30)
    context.options = dict(without_delay(found).options)
    for pts in range(30):
        frame = picture(1280, 720, pts, "nv12")
        frame.pts, frame.time_base = pts, Fraction(1, 30)
        assert [packet.pts for packet in context.encode(frame)] == [pts]

"""Encoding on a real card, where there is one. `pytest -m gpu`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import streamseg
from streamseg.errors import GpuFailure
from streamseg.pictures import planes
from streamseg.runtimes.upgrade import missing
from streamseg.sinks import Encoding, open_sink
from streamseg.sinks.codecs import default_encoder, without_delay
from streamseg.sinks.hardware import in_hardware
from streamseg.sources.hardware import card
from tests.clips import make_clip, picture, read_frames
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


@pytest.mark.parametrize("encoder", ["h264_nvenc", "hevc_nvenc", "av1_nvenc"])
def test_nvenc_reads_finished_pictures_where_they_lie(encoder: str, tmp_path: Path) -> None:
    """The file is that of the same run whose pictures come down, within what NVENC loses."""
    try:
        card()
    except GpuFailure as failure:
        pytest.skip(f"needs an NVIDIA card that FFmpeg decodes on: {failure}")
    reason = missing()
    if reason:
        pytest.skip(reason)
    make_clip(tmp_path / "in.mp4", size=(1280, 720), frames=60)
    shown = []
    for beside in ([], ["null:"]):
        path = tmp_path / f"{len(beside)}.mp4"
        with (
            streamseg.open_source(str(tmp_path / "in.mp4"), hwaccel="cuda") as source,
            streamseg.Segmenter("selfie", runtime="tensorrt") as segmenter,
            streamseg.open_compositor(streamseg.effect("blur")) as compositor,
        ):
            try:
                sinks = [open_sink(str(path), encoding=Encoding(codec=encoder)), *map(open_sink, beside)]
                report = streamseg.run(source, segmenter, compositor, sinks)
            except streamseg.SinkError as error:
                pytest.skip(f"needs a card with {encoder}: {error}")
        assert not report.failures
        assert not any("come down" in note for note in report.notes)
        shown.append(read_frames(path))
    assert len(shown[0]) == len(shown[1]) == 60
    for one, other in zip(*shown, strict=True):
        codes, wanted = (planes(each)[0].astype(int) for each in (one, other))
        assert np.abs(codes - wanted).mean() < 4


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

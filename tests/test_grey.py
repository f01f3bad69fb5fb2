"""Grey video of limited range: read, composited, converted and tagged as what it is, from file to file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import streamseg
from streamseg.colour import FULL, LIMITED, reading_of
from streamseg.compositors.convert import Converter
from streamseg.compositors.planes import Canvas
from streamseg.crop import Box
from streamseg.grey import readable
from streamseg.models.card import InputSpec
from streamseg.network_input import NetworkInput
from streamseg.pictures import planes
from tests.clips import read_frames
from tests.runs import run_uris

FORMATS = ["gray", "gray10le", "gray12le", "gray16le"]
RANGES = [0, LIMITED, FULL]
SPEC = InputSpec(name="picture", width=32, height=32)


def grey(pixel_format: str = "gray", tag: int = LIMITED, size: tuple[int, int] = (96, 64)) -> av.VideoFrame:
    """Limited range's black on the left, its white on the right."""
    made = av.VideoFrame(*size, pixel_format)
    (codes,) = planes(made)
    step = 1 << (made.format.components[0].bits - 8)
    codes[:] = 16 * step
    codes[:, size[0] // 2 :] = 235 * step
    made.color_range = tag
    made.pts, made.time_base = 0, Fraction(1, 25)
    return made


def grey_clip(path: Path, pixel_format: str = "gray", tag: int = LIMITED) -> Path:
    """Three frames of it in FFV1."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixel_format
        stream.codec_context.color_range = tag
        for index in range(3):
            shown = grey(pixel_format, tag)
            shown.pts = index
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
    return path


def ends(picture: av.VideoFrame) -> tuple[int, int]:
    """The left and the right end of a picture's brightness, 0..255, as its tags say it is to be read."""
    read = reading_of(picture)
    straight = readable(picture, read).reformat(
        format="rgb24", src_colorspace=read.matrix, src_color_range=read.range, dst_color_range=FULL
    )
    pixels = straight.to_ndarray()[32]
    return int(pixels[4].mean()), int(pixels[-4].mean())


@pytest.mark.parametrize("view", [None, Box(16, 8, 64, 48)])
@pytest.mark.parametrize("colour", ["rgb", "grey"])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_the_network_sees_black_and_white(pixel_format: str, colour: str, view: Box | None) -> None:
    """Grey tagged limited has black at 16 and white at 235, also where the network looks at a part of it;
    tagged full or not tagged it has them at 0 and 255, as FFmpeg and its players read it."""
    spec = InputSpec(name="picture", width=32, height=32, colour=colour)  # type: ignore[arg-type]
    for tag, expected in ((LIMITED, (0, 255)), (FULL, (16, 235)), (0, (16, 235))):
        tensor, _ = NetworkInput(spec)(grey(pixel_format, tag), view)
        row = tensor[0, 0, 16] * 255
        assert abs(row[2] - expected[0]) <= 1
        assert abs(row[-3] - expected[1]) <= 1


def test_limited_grey_reaches_the_network_as_the_same_yuv_does() -> None:
    """A gradient arrives as it does from YUV of the same luma codes, to a code."""
    luma = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8) + 40
    made = av.VideoFrame.from_ndarray(luma, format="gray")
    made.color_range = LIMITED
    neutral = av.VideoFrame(64, 48, "yuv420p")
    for plane, codes in zip(planes(neutral), (luma, 128, 128), strict=True):
        plane[:] = codes
    neutral.color_range = LIMITED
    np.testing.assert_allclose(
        NetworkInput(SPEC)(made)[0], NetworkInput(SPEC)(neutral)[0].copy(), atol=1 / 255
    )


@pytest.mark.parametrize("tag", RANGES)
@pytest.mark.parametrize("pixel_format", FORMATS[:3])
def test_a_lossless_run_keeps_codes_and_tag(tmp_path: Path, pixel_format: str, tag: int) -> None:
    """FFV1 in and out: the figure has the source's codes, the rest its range's white; the tag stays."""
    clip, target = grey_clip(tmp_path / "clip.mkv", pixel_format, tag), tmp_path / "out.mkv"
    recipe = streamseg.effect("replace", background="white")
    run_uris(str(clip), str(target), effect=recipe, encoding=streamseg.Encoding(codec="ffv1"))
    depth = av.VideoFormat(pixel_format).components[0].bits
    white = 235 << (depth - 8) if tag == LIMITED else (1 << depth) - 1
    for source, result in zip(read_frames(clip), read_frames(target), strict=True):
        before, after = planes(source)[0], planes(result)[0]
        assert (result.format.name, result.color_range) == (pixel_format, tag)
        assert np.array_equal(after[24:40, 36:60], before[24:40, 36:60])
        assert (after[:, 0] == white).all()


@pytest.mark.parametrize("tag", RANGES)
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("out.png", None), ("out.jpg", None), ("out.webp", None), ("out.tiff", None), ("out.bmp", None),
        ("out.gif", None), ("out.mp4", None), ("out.mp4", "h265"), ("out.webm", None), ("out.mov", "prores"),
        ("out.mov", "png"), ("out.mov", "qtrle"), ("out.mkv", "mjpeg"), ("out.mkv", "ffv1"),
        ("out.nut", "ffv1"), ("out.avi", "ffv1"),
        ("out.y4m", None),
    ],
)  # fmt: skip
def test_every_output_is_as_bright_as_the_source(
    tmp_path: Path, name: str, codec: str | None, tag: int
) -> None:
    """Whatever a file can hold, read by its own tags it has the source's black and white, to 3 codes."""
    sink = streamseg.open_sink(str(tmp_path / name), encoding=streamseg.Encoding(codec=codec))
    frame = streamseg.Frame(grey(tag=tag), captured=0.0)
    sink.start(streamseg.VideoFormat(96, 64, Fraction(1, 25)), frame, streamseg.frame.Tracks())
    sink.write(frame)
    sink.close()
    expected = (0, 255) if tag == LIMITED else (16, 235)
    np.testing.assert_allclose(ends(read_frames(tmp_path / name)[0]), expected, atol=3)


@pytest.mark.parametrize("canvas_format", ["yuv420p", "gray", "gbrp", "yuv420p10le"])
@pytest.mark.parametrize("canvas_tag", [LIMITED, FULL])
def test_a_background_of_limited_grey_keeps_black_and_white(canvas_format: str, canvas_tag: int) -> None:
    """Fitted behind a frame of any kind it is as bright as before."""
    front = av.VideoFrame(96, 64, canvas_format)
    front.color_range = canvas_tag
    np.testing.assert_allclose(ends(Converter().fill(Canvas.of(front), grey())), (0, 255), atol=2)


@pytest.mark.parametrize("tag", RANGES)
def test_a_cut_out_keeps_black_and_white(tmp_path: Path, tag: int) -> None:
    """Where the figure is opaque, a PNG with alpha made of grey is as bright as the grey was."""
    clip = grey_clip(tmp_path / "clip.mkv", tag=tag)
    run_uris(str(clip), str(tmp_path / "%02d.png"), effect=streamseg.effect("cutout"))
    pixels: NDArray[np.uint8] = read_frames(tmp_path / "01.png")[0].to_ndarray(format="rgba")
    assert (pixels[32, 40:56, 3] == 255).all()
    expected = (0, 255) if tag == LIMITED else (16, 235)
    np.testing.assert_allclose([pixels[32, 42, :3].mean(), pixels[32, 54, :3].mean()], expected, atol=2)

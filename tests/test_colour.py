"""How code values stand for colours: one answer for every part, and a colour asked for is the one seen."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.format import VideoFormat

import streamseg
from streamseg.colour import Reading, Tags, overlay_palette, reading, reading_of, tags_of
from streamseg.compositors.backdrop import fitted
from streamseg.compositors.convert import Converter
from streamseg.compositors.planes import Canvas
from streamseg.sinks.display import Display
from streamseg.sinks.pixels import Conversion
from tests.clips import make_clip, read_frames
from tests.runs import run_uris

ASKED = (0, 177, 64)
BT601, BT709, BT2020, UNSPECIFIED = 5, 1, 9, 2


@pytest.mark.parametrize(
    ("tags", "pixels", "height", "expected"),
    [
        (Tags(), "yuv420p", 719, Reading(BT601, full=False)),
        (Tags(), "yuv420p", 720, Reading(BT709, full=False)),
        (Tags(matrix=3), "yuv420p10le", 2160, Reading(BT709, full=False)),
        (Tags(matrix=6), "yuv420p", 1080, Reading(BT601, full=False)),
        (Tags(matrix=1, range=2), "nv12", 64, Reading(BT709, full=True)),
        (Tags(matrix=10, range=1), "yuv420p10le", 64, Reading(BT2020, full=False)),
        (Tags(range=1), "yuvj420p", 64, Reading(BT601, full=True)),
        (Tags(range=1), "gray", 64, Reading(BT601, full=False)),
        (Tags(), "ya8", 64, Reading(BT601, full=True)),
        (Tags(matrix=0, range=1), "gbrp", 64, Reading(BT601, full=True)),
        (Tags(), "pal8", 64, Reading(BT601, full=True)),
    ],
)
def test_what_is_not_said_follows_convention(tags: Tags, pixels: str, height: int, expected: Reading) -> None:
    """Tags come first; without them YUV is BT.601 below 720 lines, else BT.709; RGB and grey are full."""
    assert reading(tags, VideoFormat(pixels), height) == expected


def test_tags_can_be_read_back() -> None:
    """What is said of a picture is what is found on it."""
    said = Tags(matrix=9, range=1, primaries=9, transfer=16)
    picture = av.VideoFrame(16, 16, "yuv420p10le")
    said.put(picture)
    assert tags_of(picture) == said


def corner(rgb: np.ndarray) -> np.ndarray:
    """The colour of the upper left corner; GIF dithers, so it is a median."""
    return np.median(rgb[:16, :16].reshape(-1, 3), axis=0)


@pytest.mark.parametrize("size", [(1280, 720), (720, 576)], ids=["720p", "576p"])
@pytest.mark.parametrize(("out", "near"), [("out.png", 2), ("out.mov", 2), ("out.gif", 8)])
def test_the_colour_asked_for_is_the_colour_seen(
    tmp_path: Path, size: tuple[int, int], out: str, near: int
) -> None:
    """An untagged clip with a background of #00b140 has it in PNG and QuickTime, to 2 codes; in GIF to 8,
    whose palette has 256 colours for all of the picture."""
    clip = tmp_path / "clip.mp4"
    make_clip(clip, size=size, frames=1)
    assert tags_of(read_frames(clip)[0]).matrix == UNSPECIFIED
    encoding = streamseg.Encoding(codec="qtrle" if out == "out.mov" else None)
    recipe = streamseg.effect("replace", background="#00b140")
    run_uris(str(clip), str(tmp_path / out), effect=recipe, encoding=encoding)
    shown = read_frames(tmp_path / out)[0].to_ndarray(format="rgb24")
    np.testing.assert_allclose(corner(shown), ASKED, atol=near)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv422p10le", "gbrp", "rgb24"])
@pytest.mark.parametrize("size", [(1280, 720), (720, 576)], ids=["720p", "576p"])
def test_the_window_shows_the_colour_asked_for(size: tuple[int, int], pixels: str) -> None:
    """What the compositor paints on an untagged picture, the window shows, to 2 codes."""
    painted = Canvas.of(av.VideoFrame(*size, pixels)).flat(ASKED)
    np.testing.assert_allclose(corner(Display()(painted, size)[..., ::-1]), ASKED, atol=2)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_background_keeps_its_colours_whatever_is_cut_off(fit: str) -> None:
    """An untagged picture of 720 lines is BT.709 also where only a part of it is used: to 3 codes."""
    background = Canvas.of(av.VideoFrame(960, 720, "yuv420p")).flat(ASKED)
    for size in ((1280, 720), (1600, 900), (640, 360)):
        canvas = Canvas.of(av.VideoFrame(*size, "yuv420p"))
        made = fitted(background, canvas, fit, Converter())
        assert reading_of(made) == canvas.reading
        shown = Conversion(made, "rgb24", "png")(made).to_ndarray()[size[1] // 2, size[0] // 2]
        np.testing.assert_allclose(shown, ASKED, atol=3)


def test_classes_can_be_told_apart_by_their_colours() -> None:
    """In CIELAB, where 2.3 is just noticeable, any two of 21 classes differ by 20, neighbours by 60, any
    two of 40 by 10, and no two of 256 are the same."""
    seen = cv2.cvtColor(overlay_palette()[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
    apart = np.linalg.norm(seen[:, None] - seen, axis=-1)
    neighbours = apart.diagonal(offset=1)[:20].copy()
    np.fill_diagonal(apart, np.inf)
    assert apart[:21, :21].min() > 20
    assert neighbours.min() > 60
    assert apart[:40, :40].min() > 10
    assert apart.min() > 0

"""The walking figure and the portrait: any size, rate and length, always the same."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.errors import UsageError
from streamseg.pictures import Pool
from streamseg.sources import open_source, planes, portrait
from streamseg.sources.synthetic import parse
from streamseg.sources.timing import exact_rate


@pytest.mark.parametrize("kind", ["test", "demo"])
@pytest.mark.parametrize(
    ("spec", "width", "height", "rate", "frames"),
    [
        ("", 1280, 720, Fraction(30), 300),
        ("64x48", 64, 48, Fraction(30), 300),
        ("@25", 1280, 720, Fraction(25), 250),
        ("2s", 1280, 720, Fraction(30), 60),
        ("64x48@50,0.5s", 64, 48, Fraction(50), 25),
        ("64x48@30000/1001,2s", 64, 48, Fraction(30000, 1001), 60),
        ("64x48@29.97,2s", 64, 48, Fraction(30000, 1001), 60),
        ("64x48@12.5,2s", 64, 48, Fraction(25, 2), 25),
        ("64x48@1,0.1s", 64, 48, Fraction(1), 1),
    ],
)
def test_spec_is_followed(kind: str, spec: str, width: int, height: int, rate: Fraction, frames: int) -> None:
    """Size, rate and length are each optional and come out as asked, with one tick a frame."""
    with open_source(f"{kind}:{spec}") as source:
        assert (source.video.width, source.video.height, source.video.rate) == (width, height, rate)
        assert source.video.time_base == 1 / rate
        assert source.expected_frames == frames
        assert not source.live


def test_options_win_over_the_spec() -> None:
    """Size, rate and length given beside the URI replace those in it."""
    with open_source("test:64x48@30,10s", size=(32, 16), fps=59.94, duration=0.1) as source:
        frames = list(source)
    assert source.video.rate == Fraction(60000, 1001)
    assert [frame.picture.pts for frame in frames] == list(range(6))
    assert {frame.size for frame in frames} == {(32, 16)}


@pytest.mark.parametrize(
    "spec", ["axb", "640x", "640x480@", "@30fps", "10", "640x480,", "64x48@1/2/3", "-1x5"]
)
def test_nonsense_is_answered_with_an_example(spec: str) -> None:
    """A spec nobody understands is answered with one that works."""
    with pytest.raises(UsageError, match=r"write size, rate and length: test:1280x720@30,10s"):
        open_source(f"test:{spec}")


@pytest.mark.parametrize("spec", ["0x48", "99999x10", "@0", "@5000", "@1/0", "0s"])
def test_impossible_specs_are_refused(spec: str) -> None:
    """A size, rate or length that cannot be is refused."""
    with pytest.raises(UsageError):
        open_source(f"test:{spec}")


@given(width=st.integers(1, 70), height=st.integers(1, 70), kind=st.sampled_from(["test", "demo"]))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_every_size_can_be_drawn(width: int, height: int, kind: str) -> None:
    """Any size from 1x1 on, odd ones too, is drawn in native 4:2:0 with its colours tagged."""
    with open_source(f"{kind}:{width}x{height}@10,2s") as source:
        frames = list(source)
    assert len(frames) == 20
    for frame in frames:
        assert frame.size == (width, height)
        assert frame.picture.format.name == "yuv420p"
        assert (frame.picture.colorspace, frame.picture.color_range) == (1, 1)


@pytest.mark.parametrize("kind", ["test", "demo"])
def test_drawing_is_always_the_same(kind: str) -> None:
    """Two runs draw the same pixels."""
    runs = []
    for _ in range(2):
        with open_source(f"{kind}:160x90@10,1s") as source:
            runs.append([frame.picture.to_ndarray() for frame in source])
    assert all(np.array_equal(one, other) for one, other in zip(*runs, strict=True))


def test_figure_walks() -> None:
    """One figure of a person's proportions is on every frame, moves on steadily and stays inside."""
    with open_source("test:320x180@5,10s") as source:
        shown = [frame.picture.to_ndarray(format="rgb24").astype(np.int16) for frame in source]
    empty = np.median(shown[::3], axis=0)
    columns = []
    for picture in shown:
        figure = (np.abs(picture - empty).max(axis=2) > 24).astype(np.uint8)
        count, _, boxes, _ = cv2.connectedComponentsWithStats(figure)
        left, top, width, height, area = max(boxes[1:count], key=lambda box: box[4])
        assert 0.6 * 180 < height < 0.85 * 180
        assert width < height
        assert 0 < left < 320 - width and top > 0
        assert area > 0.25 * width * height
        columns.append(left + width / 2)
    assert max(columns) - min(columns) > 150
    assert max(abs(late - early) for early, late in pairwise(columns)) < 60


def test_portrait_is_small_and_moves_smoothly() -> None:
    """The portrait ships as a small file; it moves a little on every frame and comes back after its round."""
    assert Path(portrait.__file__).with_name("portrait.jpg").stat().st_size <= 120_000
    with open_source("demo:320x180@25,8.04s") as source:
        lumas = [frame.picture.to_ndarray()[:180].astype(int) for frame in source]
    assert np.array_equal(lumas[0], lumas[200])
    steps = [np.abs(late - early).mean() for early, late in pairwise(lumas)]
    assert min(steps) > 0.05 and max(steps) < 8


def test_colours_are_bt709() -> None:
    """RGB becomes limited range BT.709, and FFmpeg turns it back into what it was."""
    rgb = np.random.default_rng(3).integers(0, 256, (1, 9, 3), np.uint8).repeat(8, 0).repeat(8, 1)[:, :72]
    picture = planes.blank(72, 8, Pool())
    luma, *chroma = planes.from_rgb(rgb)
    for target, plane in zip(planes.views(picture), (luma, *map(planes.halved, chroma)), strict=True):
        target[:] = np.rint(plane)
    back = picture.to_ndarray(format="rgb24").astype(int)
    assert np.abs(back[:, 3::8] - rgb[:, 3::8]).max() <= 4


def test_live_drawing_is_paced() -> None:
    """A live test picture comes by the clock."""
    with open_source("test:16x16@100,0.05s", live=True) as source:
        assert source.live
        captured = [frame.captured for frame in source]
    assert captured[-1] - captured[0] > 0.0399


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("23.976", Fraction(24000, 1001)),
        ("30", Fraction(30)),
        ("29.97", Fraction(30000, 1001)),
        ("15.5", Fraction(31, 2)),
    ],
)
def test_rates_are_exact(text: str, rate: Fraction) -> None:
    """NTSC's rates are meant by their usual roundings; others are what they say."""
    assert exact_rate(text) == rate
    assert parse("test:", f"@{text}").rate == rate

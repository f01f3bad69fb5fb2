"""Mattes for frames the network does not see: the last one, moved to where its figure has gone."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import streamseg
from streamseg.carrying import Alternating, Carrier
from streamseg.frame import Frame, Matte
from streamseg.setups import Setup

SIZE = 320, 240


def texture(seed: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) of soft spots."""
    noise = np.random.default_rng(seed).integers(0, 256, (shape[0] // 8, shape[1] // 8)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


GROUND, FIGURE = texture(1, SIZE[::-1]), texture(2, (96, 64))


def scene(x: int, y: int) -> tuple[Frame, NDArray[np.bool_]]:
    """A textured figure before a textured ground, and its (H, W) mask."""
    grey = GROUND // 2
    mask = np.zeros(grey.shape, bool)
    mask[y : y + 96, x : x + 64] = True
    grey[y : y + 96, x : x + 64] = 96 + FIGURE // 2
    picture = av.VideoFrame.from_ndarray(grey, "gray").reformat(format="yuv420p")
    picture.pts, picture.time_base = 0, Fraction(1, 30)
    return Frame(picture, 0.0), mask


def overlap(matte: Matte, mask: NDArray[np.bool_]) -> float:
    """Intersection over union of a matte and a true mask."""
    found = cv2.resize(matte.alpha, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 127
    return float((found & mask).sum() / (found | mask).sum())


def matte_of(mask: NDArray[np.bool_], *, labels: bool = False) -> Matte:
    """The true matte, at a network's size."""
    codes = mask.astype(np.uint8)
    alpha = cv2.resize(codes * 255, (128, 128), interpolation=cv2.INTER_AREA)
    return Matte(np.asarray(alpha, np.uint8), codes if labels else None)


@pytest.mark.parametrize(("x", "y"), [(6, 0), (-6, 3), (0, -8), (10, 6)])
def test_the_matte_goes_where_its_figure_goes(x: int, y: int) -> None:
    """A figure that has moved is covered where it is now, better than by the matte from where it was."""
    before, mask = scene(120, 70)
    after, moved = scene(120 + x, 70 + y)
    carrier = Carrier()
    matte = matte_of(mask, labels=True)
    carrier.keep(before, matte)
    carried = carrier.carried(after)
    assert carried is not None
    assert overlap(carried, moved) > 0.9
    assert overlap(carried, moved) > overlap(matte, moved)
    assert carried.labels is not None
    assert (carried.labels == moved).mean() > 0.99
    assert set(np.unique(carried.labels)) == {0, 1}


def test_a_figure_that_stays_keeps_its_matte() -> None:
    """Without motion the matte is the same, to the code."""
    frame, mask = scene(120, 70)
    carrier = Carrier()
    matte = matte_of(mask)
    carrier.keep(frame, matte)
    carried = carrier.carried(scene(120, 70)[0])
    assert carried is not None
    assert np.abs(carried.alpha.astype(int) - matte.alpha).max() <= 1


def test_after_a_cut_the_network_looks() -> None:
    """What was seen before a cut says nothing of what comes after; nor does a frame of another size, a failed
    matte or a still."""
    frame, mask = scene(120, 70)
    dark = Frame(av.VideoFrame.from_ndarray(255 - GROUND, "gray").reformat(format="yuv420p"), 0.0)
    small = Frame(frame.picture.reformat(width=160, height=120), 0.0)
    carrier = Carrier()
    carrier.keep(frame, matte_of(mask))
    assert carrier.carried(dark) is None
    assert carrier.carried(small) is None
    carrier.keep(frame, Matte(matte_of(mask).alpha, failure="broken"))
    assert carrier.carried(frame) is None
    carrier.keep(Frame(frame.picture, 0.0, name="a.jpg"), matte_of(mask))
    assert carrier.carried(frame) is None


class Counting(streamseg.Segmenter):
    """Counts the frames it is shown."""

    seen = 0

    def __call__(self, frame: Frame) -> Matte:
        """Count, and segment."""
        self.seen += 1
        return super().__call__(frame)


def test_every_second_frame_is_the_networks() -> None:
    """On, it looks at every second one; off, at every one; another setup's first frame is its own."""
    alternating = Alternating()
    with (
        Counting("selfie", runtime="null") as segmenter,
        streamseg.open_compositor(streamseg.effect("mask")) as compositor,
        streamseg.open_compositor(streamseg.effect("blur")) as other,
    ):
        setup = Setup(segmenter, segmenter.choice, compositor)
        frames = [scene(100 + 2 * step, 70)[0] for step in range(10)]
        for frame in frames:
            alternating(frame, setup)
        assert segmenter.seen == 10
        alternating.on = True
        mattes = [alternating(frame, setup) for frame in frames]
        assert segmenter.seen == 15
        assert all(matte.alpha.any() for matte in mattes)
        alternating(frames[0], Setup(segmenter, segmenter.choice, other))
        alternating(frames[0], setup)
        assert segmenter.seen == 17


def test_nothing_is_carried_over_a_time_without_input() -> None:
    """Absent frames have nobody in them, and the frame after them is the network's own."""
    alternating = Alternating()
    alternating.on = True
    frame, _ = scene(100, 70)
    with (
        Counting("selfie", runtime="null") as segmenter,
        streamseg.open_compositor(streamseg.effect("mask")) as compositor,
    ):
        setup = Setup(segmenter, segmenter.choice, compositor)
        for count in (1, 2):  # an odd and an even number of frames before the outage
            for _ in range(count):
                assert alternating(frame, setup).alpha.any()
            for _ in range(3):
                assert not alternating(replace(frame, absent=True), setup).alpha.any()
            assert alternating(frame, setup).alpha.any()
        assert segmenter.seen == 1 + 3 + 1 + 0 + 3 + 1 + 1


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (1920, 1080), (31, 500)])
def test_any_size_can_be_carried(size: tuple[int, int]) -> None:
    """Also of frames smaller than what is compared."""
    picture = av.VideoFrame.from_ndarray(texture(3, (size[1] // 8 * 8 + 8, size[0] // 8 * 8 + 8)), "gray")
    frame = Frame(picture.reformat(width=size[0], height=size[1], format="yuv420p"), 0.0)
    carrier = Carrier()
    carrier.keep(frame, Matte(np.full((64, 64), 200, np.uint8)))
    carried = carrier.carried(frame)
    assert carried is not None
    assert (carried.alpha == 200).all()

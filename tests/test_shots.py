"""Cuts: noticed where they are, whatever the format; motion, however fast, is none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamseg.segmenter import Segmenter
from streamseg.shots import Shots
from tests import networks
from tests.test_network_input import FORMATS
from tests.test_segmenter import full_size, shown

SIZE = (640, 360)


def scene(seed: int, size: tuple[int, int] = (1280, 360)) -> np.ndarray:
    """(H, W, 3) clouds with as much detail as a landscape has."""
    rng = np.random.default_rng(seed)
    clouds = sum(
        cv2.resize(rng.normal(size=(side, 2 * side)), size, interpolation=cv2.INTER_CUBIC)
        for side in (4, 9, 20, 45)
    )
    grey = np.clip(128 + 30 * clouds, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(grey[..., None], (*grey.shape, 3)))


def panned(seed: int, start: int, speed: int, count: int) -> list[np.ndarray]:
    """Pictures of a camera that turns, `speed` pixels a picture."""
    wide = scene(seed)
    starts = range(start, start + count * speed, speed)
    return [np.ascontiguousarray(wide[:, x : x + SIZE[0]]) for x in starts]


def cuts(pictures: Iterable[np.ndarray], pixel_format: str = "yuv420p") -> list[int]:
    """Where cuts are noticed."""
    shots = Shots()
    made = (av.VideoFrame.from_ndarray(each, format="rgb24") for each in pictures)
    return [index for index, each in enumerate(made) if shots(each.reformat(format=pixel_format))]


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_a_cut_is_noticed_in_every_format(pixel_format: str) -> None:
    """The first picture of a new scene is told from those before and after it."""
    assert cuts(panned(1, 0, 2, 5) + panned(2, 0, 2, 5), pixel_format) == [5]


@pytest.mark.parametrize("repeats", [(1, 1), (2, 2), (2, 3)])
def test_a_whip_pan_is_no_cut(repeats: tuple[int, int]) -> None:
    """Its pictures differ as much as those of two scenes, time and again; film at 60 Hz repeats them, too."""
    pan = panned(1, 0, 30, 20)
    assert np.abs(pan[5].astype(int) - pan[4]).mean() > 20
    film = [each for index, each in enumerate(pan) for _ in range(repeats[index % 2])]
    assert cuts(film[repeats[0] - 1 :]) == []


def test_after_a_cut_nobody_is_chopped(tmp_path: Path) -> None:
    """The first matte after a cut is that of the whole frame, although the box holds half a person."""

    def person(left: int, right: int, floor: int) -> av.VideoFrame:
        drawn = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
        drawn[floor:] = 90
        drawn[80:320, left:right] = 255
        return av.VideoFrame.from_ndarray(drawn, format="rgb24").reformat(format="yuv420p")

    frames = [shown(person(300, 380, 330))] * 6 + [shown(person(200, 380, 100))] * 2
    mattes = {}
    for crop in ("off", "auto"):
        with Segmenter(networks.bright_two_classes(tmp_path), crop=crop, smooth=0) as segmenter:
            mattes[crop] = [full_size(segmenter(frame), SIZE) for frame in frames]
    assert np.abs(mattes["auto"][5] - mattes["off"][5]).max() > 0.1, "the box is in use before the cut"
    np.testing.assert_array_equal(mattes["auto"][6], mattes["off"][6])
    np.testing.assert_allclose(mattes["auto"][7].sum(), mattes["off"][7].sum(), rtol=0.02)

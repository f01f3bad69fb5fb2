"""What compositors promise of every effect: fail closed, keep time, own their memory, follow the stream."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from streamseg.compositors import open_compositor
from streamseg.effects import EFFECTS, effect
from streamseg.frame import Matte
from tests.compositing import PEOPLE, composed, frame_of, full_matte, furthest, noise, read


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("name", EFFECTS)
def test_a_failed_matte_shows_the_background_only(name: str, inverted: bool) -> None:
    """Inverted or not, a failed frame shows the background layer only, as an empty matte would; of inverted
    labels, where background is what counts, nothing."""
    recipe = effect(name, invert=inverted)
    failed = Matte(np.zeros((8, 8), np.uint8), failure="the network is gone")
    picture, other = noise(48, 32, "yuv420p", seed=1), noise(48, 32, "yuv420p", seed=2)
    made = composed(recipe, picture, failed)
    empty = Matte(np.zeros((8, 8), np.uint8), labels=np.zeros((32, 48), np.uint8))
    if name == "labels" and inverted:
        assert (read(made)[0] == 255).all()
    else:
        assert furthest(read(made), read(composed(effect(name), picture, empty))) == 0
    if recipe.hides and name != "blur":
        assert furthest(read(made), read(composed(recipe, other, failed))) == 0, "camera pixels were seen"
    if name in ("overlay", "outline"):
        assert furthest(read(made), read(picture)) == 0


def test_an_echo_does_not_outlive_a_failure() -> None:
    """A failed frame shows no trace of the figures before it."""
    picture = noise(32, 32, "yuv420p")
    with open_compositor(effect("trail"), classes=PEOPLE) as compositor:
        compositor(frame_of(picture), full_matte(255))
        made = compositor(frame_of(picture, 1), Matte(np.zeros((9, 16), np.uint8), failure="gone"))
    assert (read(made.picture)[0] == 255 - 20).all()


@pytest.mark.parametrize("name", EFFECTS)
def test_timing_and_colour_tags_are_carried(name: str) -> None:
    """pts, time base and duration come out as they went in, and so does what is said of the colours."""
    picture = noise(32, 32, "yuv420p10le")
    picture.colorspace, picture.color_range, picture.color_primaries, picture.color_trc = 9, 1, 9, 16
    picture.pict_type = 1
    frame = frame_of(picture, 12_345, 90_000)
    frame.picture.duration = 3003
    with open_compositor(effect(name), classes=PEOPLE) as compositor:
        made = compositor(frame, Matte(np.zeros((4, 4), np.uint8), np.zeros((32, 32), np.uint8))).picture
    assert (made.pts, made.time_base, made.duration) == (12_345, Fraction(1, 90_000), 3003)
    assert made.pict_type == 0
    if name not in ("mask", "labels"):
        assert (made.colorspace, made.color_range, made.color_primaries, made.color_trc) == (9, 1, 9, 16)


@pytest.mark.parametrize("name", EFFECTS)
def test_finished_pictures_stay_as_they_are(name: str) -> None:
    """Pictures handed on are not painted over by later frames, nor is the source's."""
    pictures = [noise(40, 30, "yuv420p", seed) for seed in range(5)]
    before = [read(picture) for picture in pictures]
    random = np.random.default_rng(0)
    with open_compositor(effect(name), classes=PEOPLE) as compositor:
        mattes = [random.integers(0, 256, (6, 8)).astype(np.uint8) for _ in pictures]
        labels = [random.integers(0, 2, (30, 40)).astype(np.uint8) for _ in pictures]
        made, copies = [], []
        for index, picture in enumerate(pictures):
            made.append(compositor(frame_of(picture, index), Matte(mattes[index], labels[index])).picture)
            copies.append(read(made[-1]))
    assert all(furthest(read(picture), copy) == 0 for picture, copy in zip(made, copies, strict=True))
    assert all(furthest(read(picture), copy) == 0 for picture, copy in zip(pictures, before, strict=True))


@pytest.mark.parametrize("name", EFFECTS)
def test_size_and_format_may_change_in_mid_stream(name: str) -> None:
    """Each frame is composited in its own format and size, as by a new compositor."""
    kinds = [
        (32, 18, "yuv420p"),
        (31, 17, "yuv420p"),
        (31, 17, "gbrp10le"),
        (64, 64, "gray"),
        (1, 1, "yuv444p"),
        (32, 18, "yuv420p"),
    ]
    with open_compositor(effect(name), classes=PEOPLE) as compositor:
        for index, (width, height, kind) in enumerate(kinds):
            picture = noise(width, height, kind)
            matte = Matte(np.full((4, 4), 200, np.uint8), np.ones((height, width), np.uint8))
            compositor.reset()
            made = compositor(frame_of(picture, index), matte).picture
            assert (made.width, made.height) == (width, height)
            assert furthest(read(made), read(composed(effect(name), picture, matte))) == 0

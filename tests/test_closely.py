"""Segmenters that look closely, and mattes that follow edges: with tiny networks, then on real pictures."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamseg.compositors import open_compositor
from streamseg.effects import effect
from streamseg.errors import UsageError
from streamseg.frame import Frame, Matte
from streamseg.models import find_model
from streamseg.segmenter import Segmenter
from tests import networks
from tests.clips import picture
from tests.test_crop import disc, grey
from tests.test_footage import overlap, pairs
from tests.test_segmenter import full_size, shown

SIZE = (320, 180)


def figure(middle: tuple[float, float], name: str | None = None, radius: float = 25) -> Frame:
    """A bright disc before black."""
    return shown(grey(disc(SIZE, middle, radius)), name)


def error(matte: Matte, middle: tuple[float, float], radius: float = 25) -> float:
    """Mean difference between a matte and the disc."""
    return float(np.abs(full_size(matte, SIZE) - (disc(SIZE, middle, radius) > 0.5)).mean())


def test_stills_know_nothing_of_each_other(tmp_path: Path) -> None:
    """A picture's matte is the same whatever came before, and better than one look would make it."""
    left, right = (70.0, 60.0), (250.0, 120.0)
    card = networks.bright_two_classes(tmp_path)
    with Segmenter(card) as after, Segmenter(card) as alone, Segmenter(card, crop="off") as once:
        after(figure(left, "a.jpg"))
        second, only = after(figure(right, "b.jpg")), alone(figure(right, "b.jpg"))
        plain = once(figure(right, "b.jpg"))
    np.testing.assert_array_equal(second.alpha, only.alpha)
    assert error(only, right) < 0.7 * error(plain, right)


def test_reset_and_another_size_forget_the_box(tmp_path: Path) -> None:
    """After them the whole frame is looked at first."""
    with Segmenter(networks.bright_two_classes(tmp_path)) as segmenter:
        shapes = [segmenter(figure((70, 60))).alpha.shape for _ in range(2)]
        segmenter.reset()
        shapes.append(segmenter(figure((70, 60))).alpha.shape)
        segmenter(figure((70, 60)))
        shapes.append(segmenter(shown(grey(disc((200, 300), (70, 60), 25)))).alpha.shape)
    network, close = shapes[0], shapes[1]
    assert network == (128, 128)
    assert close != network
    assert shapes[2:] == [network, network]


def test_large_figures_are_seen_as_without_crop(tmp_path: Path) -> None:
    """Where someone fills the frame, mattes are bit-identical to those with --crop off."""
    card = networks.bright_two_classes(tmp_path)
    with Segmenter(card) as auto, Segmenter(card, crop="off") as off:
        for x in range(120, 200, 10):
            frame = figure((x, 100), radius=90)
            np.testing.assert_array_equal(auto(frame).alpha, off(frame).alpha)


def test_labels_are_the_frame_s_from_every_look(tmp_path: Path) -> None:
    """A two-class label map has the frame's size and the figure in its place, cropped or not."""
    middle = (100.0, 80.0)
    with Segmenter(networks.bright_two_classes(tmp_path), labels=True) as segmenter:
        for _ in range(3):
            matte = segmenter(figure(middle))
            assert matte.labels is not None
            assert np.mean(matte.labels != (disc(SIZE, middle, 25) > 0.5)) < 0.01


@pytest.mark.parametrize("kind", ["recurrent", "many classes", "background"])
def test_some_networks_always_see_the_whole_frame(tmp_path: Path, kind: str) -> None:
    """Recurrent ones, those of more classes and mattes of the background: beyond a box nothing is known."""
    if kind == "recurrent":
        segmenter = Segmenter(networks.counting(tmp_path))
    elif kind == "many classes":
        classes = ("background", "cat", "person", "dog")
        card = networks.card(tmp_path, "none.onnx", classes=classes, foreground=("person",))
        segmenter = Segmenter(card, runtime="null")
    else:
        segmenter = Segmenter(networks.bright_two_classes(tmp_path), classes=["background"])
    with segmenter:
        network = (segmenter.card.input.height, segmenter.card.input.width)
        assert [segmenter(figure((70, 60))).alpha.shape for _ in range(5)] == [network] * 5


def test_smoothing_goes_on_when_the_box_moves(tmp_path: Path) -> None:
    """A figure that pulses faintly is steadied across the step from the whole frame to a box around it."""
    bright, dim = grey(disc(SIZE, (100, 80), 30)), grey(0.8 * disc(SIZE, (100, 80), 30))
    found = {}
    for strength in (0.0, 1.0):
        with Segmenter(networks.identity(tmp_path), smooth=strength) as segmenter:
            mattes = [full_size(segmenter(shown(each)), SIZE) for each in (bright, dim, dim)]
            found[strength] = [matte[70:90, 90:110].mean() for matte in mattes]
            assert segmenter(shown(dim)).alpha.shape != (32, 32)
    assert found[0.0][1] == pytest.approx(0.8, abs=0.02)
    assert 0.88 < found[1.0][2] < found[1.0][1] < 0.96


def test_an_echo_survives_another_look() -> None:
    """The trail of a figure stays when its matte changes resolution."""
    frames = [picture(64, 48, index) for index in range(2)]
    for index, made in enumerate(frames):
        made.pts, made.time_base = index, Fraction(1, 25)
    everywhere, nowhere = np.full((8, 8), 255, np.uint8), np.zeros((48, 64), np.uint8)
    with open_compositor(effect("trail", color="white", background="black")) as compositor:
        compositor(shown(frames[0]), Matte(everywhere))
        echo = compositor(shown(frames[1]), Matte(nowhere)).picture.reformat(format="gray").to_ndarray()
    assert echo.min() > 90


@pytest.mark.parametrize(("crop", "share"), [("off", 0.8), ("auto", 0.95)])
def test_refined_mattes_follow_the_picture(tmp_path: Path, crop: str, share: float) -> None:
    """On a coarse grid, refinement puts the edge where the picture has it."""
    middle, found = (100.0, 80.0), {}
    for refine in ("off", "guided"):
        card = networks.identity(tmp_path)
        with Segmenter(card, crop=crop, refine=refine) as segmenter:  # type: ignore[arg-type]
            found[refine] = [segmenter(figure(middle, radius=40)) for _ in range(3)][-1]
    assert error(found["guided"], middle, 40) < share * error(found["off"], middle, 40)


@pytest.mark.parametrize("option", ["crop", "refine"])
def test_unknown_ways_are_answered_with_the_list(option: str) -> None:
    """Whoever asks for something else is told what there is."""
    with pytest.raises(UsageError, match=f"no {option} 'on'; known: .*off"):
        Segmenter(find_model("selfie"), **{option: "on"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "part", "gain"),
    [
        ("dancer_alpha", "fullbody_porch", 0.12),
        ("dancer_alpha", "closeup_citypan", 0.03),
        ("walker_alpha", "walker_porch", 0.4),
    ],
)
def test_moving_people_are_found_better(data: Path, name: str, part: str, gain: float) -> None:
    """On real footage of people who do not fill the frame, the mean IoU rises by as much as was measured."""
    frames = pairs(data, name, part=part, most=30)
    mean = {}
    for crop in ("off", "auto"):
        with Segmenter(find_model("selfie"), crop=crop) as segmenter:  # type: ignore[arg-type]
            mean[crop] = np.mean([overlap(segmenter(shown(made)), truth) for made, truth in frames])
    assert mean["auto"] - mean["off"] > gain


@pytest.mark.parametrize("smooth", [0.0, 0.4])
def test_a_card_tells_how_far_a_matte_reaches(tmp_path: Path, smooth: float) -> None:
    """What is half opaque further from anything opaque than that is clear; the rest is as it was."""
    card = networks.identity(tmp_path)
    bounded = replace(card, output=replace(card.output, alpha_reach=4))
    seen = disc((320, 320), (100, 160), 60)
    seen[150:300, 200:310] = 0.5
    found = {}
    for each in (card, bounded):
        with Segmenter(each, crop="off", smooth=smooth) as segmenter:
            found[each.output.alpha_reach] = segmenter(shown(grey(seen))).alpha
    assert found[0][24, 26] == 128
    assert found[4][24, 26] == 0
    np.testing.assert_array_equal(found[4][10:22, 4:18], found[0][10:22, 4:18])

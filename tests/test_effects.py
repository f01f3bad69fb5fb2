"""Recipes: what each effect is made of, and which requests make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamseg.colour import Reading, find_colour, label_palette, parse_colour, yuv_codes
from streamseg.effects import (
    EFFECTS,
    TAKES,
    Backdrop,
    Camera,
    Colour,
    Echo,
    Feather,
    Invert,
    Outline,
    Threshold,
    effect,
)
from streamseg.errors import UsageError


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_has_a_recipe_of_its_name(name: str) -> None:
    """Each of the ten makes a recipe, and the same request makes an equal one: recipes are data."""
    assert effect(name).name == name
    assert effect(name, invert=True) == effect(name, invert=True) != effect(name)
    assert hash(effect(name)) == hash(effect(name))


def test_what_hides_the_background() -> None:
    """Effects that show the camera around the person don't hide; given a background they do."""
    open_ones = {name for name in EFFECTS if not effect(name).hides}
    assert open_ones == {"overlay", "outline", "spotlight"}
    assert effect("outline", background="white").hides


def test_default_colours() -> None:
    """A silhouette is black on white, a replaced background the green of chroma keying."""
    assert effect("silhouette").foreground == Colour((0, 0, 0))
    assert effect("silhouette").background == Colour((255, 255, 255))
    assert effect("replace").background == Colour((0, 177, 64))


def test_color_is_the_figure_and_background_what_is_behind() -> None:
    """`color` replaces the foreground, `background` the background, be it a colour or a file."""
    assert effect("silhouette", color="red").foreground == Colour((255, 0, 0))
    assert effect("silhouette", background="0,0,255").background == Colour((0, 0, 255))
    assert effect("replace", background="beach.jpg", background_fit="pad").background == Backdrop(
        "beach.jpg", "pad"
    )


def test_operations_come_in_an_order_that_makes_sense() -> None:
    """Threshold before feather, echo before inversion, an outline last."""
    assert effect("trail", threshold=0.5, feather=3, invert=True).operations == (
        Threshold(0.5),
        Feather(3),
        Echo(0.5, 0.4),
        Invert(),
    )
    assert effect("outline", invert=True, outline_width=4).operations == (Invert(), Outline(4))
    assert effect("cutout").operations == ()
    assert isinstance(effect("cutout").foreground, Camera)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"name": "sepia"},
            "no effect 'sepia'; there are: silhouette, cutout, replace, blur, overlay, outline,",
        ),
        (
            {"name": "silhouette", "color": "blurple"},
            "'blurple' is no colour; colours look like white, '#00b140'",
        ),
        (
            {"name": "silhouette", "color": "#12345"},
            "'#12345' is no colour; after # come 3 or 6 hexadecimal digits",
        ),
        ({"name": "replace", "background": "#xyzxyz"}, "'#xyzxyz' is no colour"),
        (
            {"name": "replace", "background": "1,2,300"},
            "'1,2,300' is no colour; red, green and blue go from 0 to 255",
        ),
        (
            {"name": "mask", "background": "red"},
            "effect 'mask' has no use for background; effects that have: silh",
        ),
        ({"name": "blur", "color": "red"}, "effect 'blur' has no use for color"),
        ({"name": "mask", "threshold": 1.5}, "threshold 1.5 is out of range; it goes from 0 to 1"),
        ({"name": "mask", "feather": -1}, "feather -1 is out of range"),
        ({"name": "mask", "feather": float("nan")}, "feather nan is out of range"),
        ({"name": "outline", "outline_width": 0}, "outline-width 0 is out of range"),
        ({"name": "blur", "blur_strength": 9999}, "blur-strength 9999 is out of range"),
        (
            {"name": "replace", "background_fit": "zoom"},
            "no background fit 'zoom'; there are: crop, pad, stretch",
        ),
    ],
)
def test_nonsense_is_answered_in_one_line(options: dict[str, Any], said: str) -> None:
    """What was asked, what is allowed; one line, a UsageError."""
    with pytest.raises(UsageError) as caught:
        effect(**options)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_options_an_effect_takes_are_real_options() -> None:
    """Every option in TAKES is taken by its effect without complaint."""
    values = {"background": "red", "color": "blue", "outline_width": 3.0, "blur_strength": 9.0}
    for name, options in TAKES.items():
        assert effect(name, **{option: values[option] for option in options}) != effect(name)


def test_colours_are_read_as_people_write_them() -> None:
    """Names in any case, short and long hexadecimal, three numbers; a file name is no colour."""
    assert parse_colour("Dark Grey") == (169, 169, 169)
    assert parse_colour("#0b4") == (0, 187, 68)
    assert parse_colour("#00B140") == (0, 177, 64)
    assert parse_colour(" 1, 2 ,3") == (1, 2, 3)
    assert find_colour("beach.jpg") is None


@pytest.mark.parametrize(
    ("rgb", "read", "depth", "codes"),
    [
        ((255, 255, 255), Reading(1, full=False), 8, (235, 128, 128)),
        ((255, 255, 255), Reading(9, full=False), 10, (940, 512, 512)),
        ((0, 0, 0), Reading(5, full=True), 12, (0, 2048, 2048)),
        ((255, 0, 0), Reading(5, full=False), 8, (81, 90, 240)),
        ((255, 0, 0), Reading(1, full=False), 8, (63, 102, 240)),
        ((0, 0, 255), Reading(1, full=True), 8, (18, 255, 116)),
    ],
)
def test_code_values_are_those_of_the_standards(
    rgb: tuple[int, int, int], read: Reading, depth: int, codes: tuple[int, ...]
) -> None:
    """BT.601 and BT.709 red, white and black as the colour bar tables of BT.801 and others list them."""
    assert yuv_codes(rgb, read, depth) == codes


def test_label_pictures_have_the_usual_colours() -> None:
    """Labels have the colours of Pascal VOC (person: 192,128,128); no two classes share one."""
    assert tuple(label_palette()[15]) == (192, 128, 128)
    assert len(np.unique(label_palette(), axis=0)) == 256

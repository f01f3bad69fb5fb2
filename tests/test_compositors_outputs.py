"""Cut-outs, label maps and legends."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.colour import label_palette, overlay_palette
from streamseg.compositors import open_compositor
from streamseg.compositors.convert import Converter
from streamseg.compositors.planes import Canvas
from streamseg.effects import Recipe, effect
from streamseg.errors import UsageError
from streamseg.frame import Frame, Matte
from tests.clips import make_clip, read_frames
from tests.compositing import noise, read
from tests.runs import run_uris

ANIMALS = ("background", "cat", "dog", "horse")
STREET = ("road", "car", "person")


def composed(
    recipe: Recipe,
    picture: av.VideoFrame,
    matte: Matte,
    classes: tuple[str, ...] = ANIMALS,
    foreground: tuple[str, ...] = (),
) -> av.VideoFrame:
    """One frame, composited."""
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    with open_compositor(recipe, classes=classes, foreground=foreground) as compositor:
        return compositor(Frame(picture, captured=0.0), matte).picture


ALPHA_KIN = {
    "yuv420p": "yuva420p",
    "yuvj422p": "yuva422p",
    "yuv444p12le": "yuva444p12le",
    "yuv422p10le": "yuva422p10le",
    "yuv420p16le": "yuva420p16le",
    "gbrp": "gbrap",
    "gbrp10le": "gbrap10le",
}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(ALPHA_KIN)), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_a_cutout_has_the_matte_the_colours_and_nothing_hidden(
    name: str, width: int, height: int, seed: int
) -> None:
    """Alpha is the matte; the source's bytes are kept where it is not zero; elsewhere all is black."""
    picture = noise(width, height, name, seed)
    alpha = np.random.default_rng(seed).choice(np.array([0, 1, 128, 255], np.uint8), (height, width))
    made = composed(effect("cutout"), picture, Matte(alpha))
    assert made.format.name == ALPHA_KIN[name]
    *colours, transparency = read(made)
    largest = (1 << picture.format.components[0].bits) - 1
    assert (transparency == np.rint(alpha / 255 * largest)).all()
    black = Canvas.of(picture).codes((0, 0, 0))
    for got, source, code in zip(colours, read(picture), black, strict=True):
        down, across = -(-height // got.shape[0]), -(-width // got.shape[1])
        padded = np.pad(alpha, ((0, got.shape[0] * down - height), (0, got.shape[1] * across - width)))
        shown = padded.reshape(got.shape[0], down, got.shape[1], across).max(axis=(1, 3)) > 0
        assert (got == np.where(shown, source, code)).all()


@pytest.mark.parametrize(
    ("name", "kin"), [("gray", "yuva444p"), ("yuv420p12le", "yuva420p16le"), ("yuv411p", "yuva444p")]
)
def test_a_cutout_of_a_format_that_has_no_alpha_kin(name: str, kin: str) -> None:
    """Grey, 12-bit 4:2:0 and the like go to the nearest format that has alpha, their luma unharmed."""
    picture = noise(32, 16, name)
    made = composed(effect("cutout"), picture, Matte(np.full((4, 4), 255, np.uint8)))
    assert made.format.name == kin
    shift = made.format.components[0].bits - picture.format.components[0].bits
    assert (read(made)[0] >> shift == read(picture)[0]).all()


@pytest.mark.parametrize("name", ["yuva420p", "gbrap", "rgba", "ya8", "yuva444p10le"])
def test_a_source_that_is_transparent_itself(name: str) -> None:
    """What the source hides stays hidden: its alpha is multiplied with the matte."""
    clear = av.VideoFrame.from_ndarray(np.full((16, 16, 4), (200, 100, 50, 64), np.uint8), format="rgba")
    made = composed(effect("cutout"), clear.reformat(format=name), Matte(np.full((4, 4), 128, np.uint8)))
    largest = (1 << made.format.components[0].bits) - 1
    assert np.abs(read(made)[3] / largest - 64 / 255 * 128 / 255).max() < 0.006


def test_a_failed_cutout_is_empty() -> None:
    """Everything is transparent, and black below."""
    picture = noise(16, 16, "yuv420p")
    made = read(
        composed(effect("cutout", invert=True), picture, Matte(np.zeros((4, 4), np.uint8), failure="gone"))
    )
    assert [int(plane.min()) for plane in made] == [int(plane.max()) for plane in made] == [16, 128, 128, 0]


def animals(width: int = 64, height: int = 48) -> Matte:
    """Stripes of background, cat, dog, horse."""
    labels = np.repeat(np.arange(4, dtype=np.uint8), width // 4)[None].repeat(height, axis=0)
    return Matte(np.zeros((4, 4), np.uint8), labels)


def test_label_pictures_hold_class_ids() -> None:
    """The indices are the label map, the palette that of Pascal VOC."""
    matte = animals()
    made = composed(effect("labels"), noise(64, 48, "yuv420p"), matte)
    ids, palette = made.to_ndarray()
    assert made.format.name == "pal8"
    assert (ids == matte.labels).all()
    assert (palette[:, 1:] == label_palette()).all()
    assert (palette[:, 0] == 255).all()


def test_label_pictures_hold_the_chosen_classes() -> None:
    """Classes not chosen become background, inverted the chosen ones; void where background itself is chosen,
    or is no class."""
    matte = animals()
    assert matte.labels is not None
    picture = noise(64, 48, "yuv420p")
    ids, _ = composed(effect("labels"), picture, matte, foreground=("dog",)).to_ndarray()
    assert (ids == np.where(matte.labels == 2, 2, 0)).all()
    ids, _ = composed(effect("labels", invert=True), picture, matte, foreground=("dog",)).to_ndarray()
    assert (ids == np.where(matte.labels == 2, 255, matte.labels)).all()
    ids, _ = composed(effect("labels"), picture, matte, foreground=("background", "dog")).to_ndarray()
    assert (ids == np.where(matte.labels % 2, 255, matte.labels)).all()
    streets = Matte(matte.alpha, matte.labels % 3)
    ids, _ = composed(effect("labels"), picture, streets, STREET, ("car",)).to_ndarray()
    assert (ids == np.where(streets.labels == 1, 1, 255)).all()
    failed = Matte(matte.alpha, failure="gone")
    ids, _ = composed(effect("labels"), picture, failed, STREET).to_ndarray()
    assert (ids == 255).all()


def test_an_inverted_label_picture_of_two_classes_shows_the_background() -> None:
    """Background is what counts now, so the person is void, not background too."""
    matte = Matte(np.zeros((4, 4), np.uint8), (animals().labels == 1).astype(np.uint8))
    ids, _ = composed(
        effect("labels", invert=True), noise(64, 48, "yuv420p"), matte, ANIMALS[:2]
    ).to_ndarray()
    assert (ids == np.where(matte.labels, 255, 0)).all()


def test_an_unknown_class_is_answered_with_the_list() -> None:
    """One line, as for every class a user may name."""
    with pytest.raises(
        UsageError, match="no class 'cow' in this model; it knows: background, cat, dog, horse"
    ):
        open_compositor(effect("overlay"), classes=ANIMALS, foreground=("cow",))


@pytest.mark.parametrize(
    ("name", "classes"), [("overlay", ANIMALS), ("labels", ANIMALS), ("labels", ANIMALS[:2])]
)
def test_a_missing_label_map_is_told(name: str, classes: tuple[str, ...]) -> None:
    """A matte without the label map that an effect paints by is a mistake of the caller's, not an empty
    picture."""
    matte = Matte(np.full((4, 4), 255, np.uint8))
    with pytest.raises(UsageError, match=f"effect '{name}' needs label maps; .* labels=True"):
        composed(effect(name), noise(64, 48, "yuv420p"), matte, classes)


@pytest.mark.parametrize("invert", [False, True])
def test_an_overlay_of_a_failed_frame_shows_the_picture(invert: bool) -> None:
    """With or without a label map, nothing is painted where the network failed."""
    picture = noise(64, 48, "yuv420p")
    for labels in (None, animals().labels):
        failed = Matte(np.zeros((4, 4), np.uint8), labels, failure="gone")
        made = composed(effect("overlay", invert=invert), picture, failed)
        assert all((got == source).all() for got, source in zip(read(made), read(picture), strict=True))


def test_an_overlay_paints_each_class_in_its_colour() -> None:
    """Half the picture, half the colour of the class, where a chosen class is; untouched elsewhere."""
    picture = noise(640, 480, "gbrp")
    matte = animals(640, 480)
    made = read(composed(effect("overlay"), picture, matte, foreground=("cat", "horse")))
    palette = overlay_palette().astype(int)
    for label, columns in ((1, slice(160, 320)), (3, slice(480, 640))):
        for plane, source, code in zip(made, read(picture), palette[label][[1, 2, 0]], strict=True):
            assert np.abs(plane[:10, columns] - (source[:10, columns] + code) / 2).max() <= 2
    for plane, source in zip(made, read(picture), strict=True):
        assert (plane[:10, 320:480] == source[:10, 320:480]).all()


@pytest.mark.parametrize("kind", ["yuv420p", "yuv411p", "gbrp10le", "gray"])
def test_an_overlay_names_the_classes_it_paints(kind: str) -> None:
    """A panel in the lower left corner, only as long as there is something to name and room for it."""
    picture = noise(321, 241, kind)
    matte = animals(320, 241)
    matte.labels = np.pad(matte.labels, ((0, 0), (0, 1)), mode="edge")
    dog = read(composed(effect("overlay"), picture, matte, foreground=("dog",)))[0]
    every = read(composed(effect("overlay"), picture, matte))[0]
    untouched = read(picture)[0]
    changed = dog[:, :100] != untouched[:, :100]
    rows = np.flatnonzero(changed.any(axis=1))
    assert 200 < rows.min() < rows.max() < 241, "one name, at the bottom"
    assert len(np.flatnonzero((every[:, 5:60] != untouched[:, 5:60]).any(axis=1))) > len(rows) + 20, (
        "three names"
    )
    nobody = Matte(matte.alpha, np.zeros_like(matte.labels))
    assert (read(composed(effect("overlay"), picture, nobody))[0] == untouched).all()


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (40, 200), (200, 20)])
def test_no_legend_where_there_is_no_room(size: tuple[int, int]) -> None:
    """Pictures too small for a name are painted all the same."""
    picture = noise(*size, "yuv420p")
    labels = np.full(size[::-1], 3, np.uint8)
    long = ("background", "a", "b", "a class with a very long name that fits nowhere")
    made = composed(effect("overlay"), picture, Matte(np.zeros((1, 1), np.uint8), labels), long)
    y = Canvas.of(picture).codes(tuple(int(code) for code in overlay_palette()[3]))[0]
    assert np.abs(read(made)[0] - (read(picture)[0] + y) / 2).max() <= 2


@pytest.mark.parametrize("out", ["out.png", "out.jpg", "out.mkv"])
def test_an_overlay_has_colour_over_grey_too(tmp_path: Path, out: str) -> None:
    """The figure in a grey picture gets its red; around it grey stays as it was."""
    clip = tmp_path / "grey.mkv"
    make_clip(clip, frames=1, codec="ffv1", pixel_format="gray")
    run_uris(str(clip), str(tmp_path / out), effect=effect("overlay", color="red"))
    (before,) = (frame.to_ndarray(format="rgb24").astype(int) for frame in read_frames(clip))
    (after,) = (frame.to_ndarray(format="rgb24").astype(int) for frame in read_frames(tmp_path / out))
    middle = np.s_[50:70, 70:90]
    assert np.abs(after[middle] - (before[middle] + (255, 0, 0)) / 2).mean() < 4
    assert np.abs(after[:12] - before[:12]).mean() < (0.01 if out == "out.png" else 4)


@pytest.mark.parametrize("kind", ["yuv420p10le", "yuv420p16le"])
def test_a_legend_looks_the_same_each_time(kind: str) -> None:
    """Panels this narrow, in more than 8 bits, came out differently now and then: swscale's threads raced."""
    panel = np.random.default_rng(0).integers(0, 256, (44, 40, 3)).astype(np.uint8)
    canvas = replace(Canvas.of(noise(64, 48, kind)), width=40, height=44)
    made = [
        read(Converter().fill(canvas, av.VideoFrame.from_ndarray(panel, format="rgb24"))) for _ in range(300)
    ]
    assert all(
        (plane == first).all() for planes in made for plane, first in zip(planes, made[0], strict=True)
    )

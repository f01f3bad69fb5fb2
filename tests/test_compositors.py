"""The CPU compositor: like the plain reference, exact where it must be, closed when segmentation fails."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.format import VideoFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamseg.compositors import open_compositor
from streamseg.compositors.merge import Merger, Sampler
from streamseg.compositors.planes import Canvas
from streamseg.effects import Colour, effect
from streamseg.errors import SourceError
from streamseg.frame import Frame, Matte
from tests.compositing import (
    PEOPLE,
    Reference,
    coloured,
    composed,
    frame_of,
    full_matte,
    furthest,
    noise,
    read,
)

YUV = ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv411p", "yuv440p", "yuv410p"]
DEEP = [
    "yuv420p9le",
    "yuv420p10le",
    "yuv422p10le",
    "yuv440p10le",
    "yuv444p12le",
    "yuv422p14le",
    "yuv420p16le",
]
GREY = ["gray", "gray9le", "gray10le", "gray12le", "gray16le"]
RGB = ["gbrp", "gbrp9le", "gbrp10le", "gbrp14le", "gbrp16le"]
PLANAR = YUV + DEEP + GREY + RGB
PACKED = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "p010le": "yuv420p10le",
    "p016le": "yuv420p16le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "y210le": "yuv422p10le",
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "rgba": "gbrp",
    "rgb48le": "gbrp16le",
    "x2rgb10le": "gbrp10le",
    "yuv420p10be": "yuv420p10le",
    "gray16be": "gray16le",
    "ya8": "gray",
}


@st.composite
def scenes(draw: st.DrawFn) -> tuple[av.VideoFrame, NDArray[np.uint8]]:
    """A noisy picture of any format, size, range and matrix, and a matte of any size."""
    width, height = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    picture = noise(width, height, draw(st.sampled_from(PLANAR)), draw(st.integers(0, 99)))
    picture.color_range, picture.colorspace = (
        draw(st.sampled_from([0, 1, 2])),
        draw(st.sampled_from([1, 2, 6, 9])),
    )
    size = draw(st.sampled_from([(1, 1), (7, 9), (16, 12), (height, width)]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    alpha = random.integers(0, 256, size)
    alpha = np.where(random.random(size) < 0.4, np.where(alpha > 127, 255, 0), alpha)
    return picture, alpha.astype(np.uint8)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(scenes(), st.sampled_from(["silhouette", "colour", "replace", "overlay", "tinted", "spotlight"]))
def test_like_the_reference(scene: tuple[av.VideoFrame, NDArray[np.uint8]], name: str) -> None:
    """Every format, size, range, matrix and matte: within one code value of the formulas."""
    picture, alpha = scene
    colours = {"color": "#d04020", "background": "#2090a0"}
    special = {"colour": effect("silhouette", **colours), "tinted": effect("overlay", **colours)}
    recipe = special.get(name) or effect(name)
    made = composed(recipe, picture, Matte(alpha))
    if recipe.name == "overlay":
        picture = coloured(picture)
    assert (made.format.name, made.width, made.height) == (picture.format.name, picture.width, picture.height)
    assert furthest(read(made), Reference(picture, alpha).composite(recipe)) <= 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(scenes(), st.sampled_from([5.0, 20.0, 100.0, 400.0]))
def test_blur_like_the_reference(scene: tuple[av.VideoFrame, NDArray[np.uint8]], strength: float) -> None:
    """The blurred layer is within one code value of the reference, so the picture is within two."""
    picture, alpha = scene
    recipe = effect("blur", blur_strength=strength)
    made = composed(recipe, picture, Matte(alpha))
    assert furthest(read(made), Reference(picture, alpha).composite(recipe)) <= 2
    closed = np.zeros((1, 1), np.uint8)
    behind = composed(recipe, picture, Matte(closed))
    assert furthest(read(behind), Reference(picture, closed).composite(recipe)) <= 1


@pytest.mark.parametrize("name", PLANAR)
def test_source_bytes_where_opaque_and_background_bytes_where_clear(name: str) -> None:
    """Away from the edge of a hard matte every byte is that of one layer."""
    picture = noise(38, 22, name)
    alpha = np.zeros((22, 38), np.uint8)
    alpha[:, 16:] = 255
    recipe = effect("replace", background="#336699")
    made = composed(recipe, picture, Matte(alpha))
    behind = composed(recipe, picture, full_matte(0))
    for got, source, background in zip(read(made), read(picture), read(behind), strict=True):
        edge = 16 * got.shape[1] // 38
        assert (got[:, edge + 1 :] == source[:, edge + 1 :]).all()
        assert (got[:, : edge - 1] == background[:, : edge - 1]).all()


@pytest.mark.parametrize(("name", "kin"), PACKED.items())
def test_packed_formats_become_their_planar_kin_without_loss(name: str, kin: str) -> None:
    """nv12, p010, packed RGB and the like come out planar, with every bit of what went in."""
    original = noise(32, 18, kin)
    made = composed(effect("replace"), original.reformat(format=name), full_matte(255))
    assert made.format.name == kin
    assert furthest(read(made), read(original)) == 0


@pytest.mark.parametrize(
    ("name", "kin"), {"yuva420p": "yuv420p", "yuva444p12le": "yuv444p12le", "gbrap10le": "gbrp10le"}.items()
)
def test_transparency_of_the_source_is_dropped(name: str, kin: str) -> None:
    """Opaque effects show the colours under a source's alpha, whatever it is."""
    original = noise(20, 14, name)
    made = composed(effect("spotlight"), original, full_matte(255))
    assert made.format.name == kin
    assert furthest(read(made), read(original)[:3]) == 0


@pytest.mark.parametrize("name", ["rgbaf32le", "yaf32le", "gray32be"])
def test_formats_nobody_can_convert_are_named(name: str) -> None:
    """One line says which pixel format it was; the process lives on."""
    with pytest.raises(SourceError, match=f"pixel format '{name}'.* cannot be"):
        composed(effect("replace"), av.VideoFrame(16, 16, name), full_matte(255))


def test_a_picture_stored_upside_down() -> None:
    """A flipped picture has its rows in memory backwards; what is read is what is shown."""
    graph = av.filter.Graph()
    entry = graph.add_buffer(width=16, height=8, format=VideoFormat("yuv420p"), time_base=Fraction(1, 25))
    flip, end = graph.add("vflip"), graph.add("buffersink")
    graph.link_nodes(entry, flip, end).configure()
    original = noise(16, 8, "yuv420p")
    original.pts, original.time_base = 0, Fraction(1, 25)
    entry.push(original)
    flipped = end.pull()
    assert isinstance(flipped, av.VideoFrame)
    assert flipped.planes[0].line_size < 0
    for name in ("spotlight", "cutout", "blur"):
        made = composed(effect(name), flipped, full_matte(255))
        assert furthest(read(made)[:3], [plane[::-1] for plane in read(original)]) == 0


def test_invert_swaps_the_layers() -> None:
    """An inverted effect is the effect of the inverted matte."""
    picture = noise(40, 30, "yuv422p")
    alpha = np.random.default_rng(0).integers(0, 256, (30, 40)).astype(np.uint8)
    for name in ("silhouette", "replace", "spotlight", "mask"):
        inverted = composed(effect(name, invert=True), picture, Matte(alpha))
        assert furthest(read(inverted), read(composed(effect(name), picture, Matte(255 - alpha)))) == 0


def test_two_colours_are_painted_as_layers_would_be() -> None:
    """The short way of flat colours and the general way agree within one code value."""
    for kind in ("yuv420p", "yuv420p12le", "gbrp"):
        picture = noise(61, 43, kind)
        alpha = np.random.default_rng(0).integers(0, 256, (17, 13)).astype(np.uint8)
        recipe = effect("silhouette", color="#d04020", background="#103060")
        flat = recipe.background
        assert isinstance(flat, Colour)
        canvas = Canvas.of(picture)
        general = Merger(canvas, Sampler(canvas))(
            canvas.flat(flat.rgb), canvas.flat((0xD0, 0x40, 0x20)), alpha
        )
        assert furthest(read(composed(recipe, picture, Matte(alpha))), read(general)) <= 1


def test_the_mask_is_the_matte() -> None:
    """At the frame's size the mask has exactly the matte's values, in grey of full range."""
    alpha = np.random.default_rng(0).integers(0, 256, (30, 41)).astype(np.uint8)
    made = composed(effect("mask"), noise(41, 30, "yuv420p10le"), Matte(alpha))
    assert made.format.name == "gray"
    assert made.color_range == 2
    assert (read(made)[0] == alpha).all()


def test_threshold_and_feather_speak_of_the_frame() -> None:
    """A thresholded matte is hard but for a pixel at the edge; a feathered one slopes to both sides."""
    picture = noise(200, 100, "gray")
    alpha = np.zeros((10, 20), np.uint8)
    alpha[:, 10:] = 255
    hard = read(composed(effect("mask", threshold=0.5), picture, Matte(alpha)))[0][50]
    soft = read(composed(effect("mask", threshold=0.5, feather=20), picture, Matte(alpha)))[0][50]
    assert np.count_nonzero((hard > 0) & (hard < 255)) <= 2
    assert 25 <= np.count_nonzero((soft > 5) & (soft < 250)) <= 50


def test_an_outline_follows_the_contour() -> None:
    """A line as wide as asked, on a picture of 1080 lines; the picture is untouched elsewhere."""
    picture = noise(200, 1080, "gray")
    alpha = np.zeros((1080, 200), np.uint8)
    alpha[:, 100:] = 255
    made = read(composed(effect("outline", color="white", outline_width=20), picture, Matte(alpha)))[0][500]
    assert (made[92:108] == 255).all()
    assert (made[:85] == read(picture)[0][500, :85]).all()
    assert (made[115:] == read(picture)[0][500, 115:]).all()


def test_an_echo_fades_by_the_clock() -> None:
    """A trace begins at half opacity and halves every 0.4 s, at any frame rate."""
    picture = noise(16, 16, "gray")
    figure, nobody = full_matte(255), full_matte(0)
    for rate in (10, 50):
        with open_compositor(
            effect("trail", color="white", background="black"), classes=PEOPLE
        ) as compositor:
            seen = [
                int(
                    read(compositor(frame_of(picture, pts, rate), nobody if pts else figure).picture)[0][0, 0]
                )
                for pts in range(rate + 1)
            ]
        assert seen[0] == 255
        assert seen[rate * 4 // 10] == pytest.approx(255 / 4, abs=2)
        assert seen[rate * 8 // 10] == pytest.approx(255 / 8, abs=2)


def test_stills_have_no_past() -> None:
    """Pictures with names of their own leave no echo in one another."""
    picture = noise(16, 16, "gray")
    with open_compositor(effect("trail")) as compositor:
        compositor(Frame(frame_of(picture).picture, captured=0.0, name="a.png"), full_matte(255))
        made = compositor(Frame(frame_of(picture, 1).picture, captured=0.0, name="b.png"), full_matte(0))
    assert (read(made.picture)[0] == 255).all()


def test_no_halo_around_a_figure_before_a_blurred_background() -> None:
    """A white figure before black leaves the blurred background black."""
    picture = noise(320, 240, "gray")
    light = np.zeros((240, 320), np.uint8)
    light[60:, 120:200] = 255
    picture.planes[0].update(np.pad(light, ((0, 0), (0, picture.planes[0].line_size - 320))).tobytes())
    made = read(composed(effect("blur", blur_strength=60), picture, Matte(light)))[0]
    assert made[light == 0].max() <= 2
    assert (made[light == 255] == 255).all()

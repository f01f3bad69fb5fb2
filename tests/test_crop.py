"""Parts of frames: cut exactly, put back exactly, from any pixel format; and mattes made of them."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.crop import Box, Cutter, grain, moved, placed
from streamseg.errors import RuntimeFailure
from streamseg.frame import Matte
from streamseg.models.card import InputSpec
from streamseg.segmenter import Segmenter
from tests import networks
from tests.clips import picture
from tests.test_network_input import FORMATS
from tests.test_segmenter import bright_box, full_size, shown

SIZES = st.tuples(st.integers(60, 500), st.integers(60, 500))


@st.composite
def boxes(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    """A frame's size (W, H) and a box in it, aligned as boxes are."""
    size = draw(SIZES)
    spans = []
    for side in size:
        start = draw(st.integers(0, (side - 24) // 4)) * 4
        end = draw(st.integers(start // 4 + 4, -(-side // 4))) * 4
        spans.append((start, min(end, side) - start))
    return size, Box(spans[0][0], spans[1][0], spans[0][1], spans[1][1])


def disc(size: tuple[int, int], middle: tuple[float, float], radius: float) -> np.ndarray:
    """(H, W) 0..1, a disc with soft edges around a place given in pixels."""
    x, y = (np.arange(side) + 0.5 - place for side, place in zip(size, middle, strict=True))
    return 1 / (1 + np.exp((np.hypot(x, y[:, None]) - radius) / 2))


def centre(matte: Matte, size: tuple[int, int]) -> list[float]:
    """Where the middle of what a matte shows lies in the frame, in pixels."""
    sampled = full_size(matte, size)
    sampled[sampled < 0.02] = 0  # swscale makes 1 of black
    return [(sampled.sum(axis) * (np.arange(size[axis]) + 0.5)).sum() / sampled.sum() for axis in (0, 1)]


def grey(codes: np.ndarray) -> av.VideoFrame:
    """A grey picture of shares of full brightness."""
    return av.VideoFrame.from_ndarray(np.rint(255 * codes).astype(np.uint8), format="gray")


@given(placement=boxes(), pixel_format=st.sampled_from(FORMATS))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_parts_are_cut_where_they_are(placement: tuple[tuple[int, int], Box], pixel_format: str) -> None:
    """A box cut out of a picture of any format and size shows what the picture shows there."""
    size, box = placement
    made = picture(*size, pixel_format=pixel_format)
    part = Cutter()(made, box)
    assert (part.width, part.height, part.format.name) == (box.width, box.height, pixel_format)
    whole, cut = (each.reformat(format="gray").to_ndarray().astype(int) for each in (made, part))
    expected = whole[box.y : box.y + box.height, box.x : box.x + box.width]
    assert np.abs(cut - expected).max() <= 1  # dithering counts from the corner


def test_the_next_part_may_be_another() -> None:
    """Box, size and format may change from picture to picture; what was cut before stays as it was."""
    cutter = Cutter()
    asked = [((64, 48), "gray", Box(8, 4, 20, 16)), ((64, 48), "gray", Box(0, 0, 64, 20))]
    asked += [((80, 60), "nv12", Box(8, 4, 20, 16)), ((64, 48), "rgb24", Box(8, 4, 20, 16))]
    made = [(picture(*size, pixel_format=kind), box) for size, kind, box in asked]
    parts = [cutter(whole, box) for whole, box in made]
    for part, (whole, box) in zip(parts, made, strict=True):
        luma = whole.reformat(format="gray").to_ndarray()
        expected = luma[box.y : box.y + box.height, box.x : box.x + box.width]
        assert np.abs(part.reformat(format="gray").to_ndarray().astype(int) - expected).max() <= 1


def test_a_box_outside_the_picture_is_a_failure_of_one_line() -> None:
    """What libavfilter refuses is reported with the format; the next picture is cut as if nothing was."""
    cutter = Cutter()
    with pytest.raises(RuntimeFailure, match="cannot cut a gray picture for the network: "):
        cutter(picture(64, 48, pixel_format="gray"), Box(0, 0, 100, 100))
    assert cutter(picture(64, 48, pixel_format="gray"), Box(0, 0, 20, 20)).width == 20


@given(placement=boxes(), grid=st.tuples(st.integers(16, 300), st.integers(16, 300)), across=st.booleans())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_mattes_are_put_where_the_box_is(
    placement: tuple[tuple[int, int], Box], grid: tuple[int, int], across: bool
) -> None:
    """A slope in the box's matte is, sampled for the frame, the same slope at every pixel of the frame."""
    size, box = placement
    extent, cells, start = (box.width, grid[0], box.x) if across else (box.height, grid[1], box.y)
    slope = 40 + 170 * (np.arange(cells) + 0.5) / cells
    alpha = np.rint(np.broadcast_to(slope if across else slope[:, None], grid[::-1])).astype(np.uint8)
    step = grain(box, size, grid)
    matte = placed(alpha, box, size, step)
    assert matte.shape == (size[1] // step[1], size[0] // step[0])
    sampled = cv2.resize(matte, size).astype(float)
    pixels = np.arange(start, start + extent)
    expected = 40 + 170 * (pixels + 0.5 - start) / extent
    edge = max(step) + -(-extent // cells)  # there bilinear sampling mixes in what is beyond
    inside = np.s_[edge : extent - edge]
    middle = (box.y + box.height // 2, box.x + box.width // 2)
    line = sampled[middle[0], :] if across else sampled[:, middle[1]]
    np.testing.assert_allclose(line[pixels][inside], expected[inside], atol=2)
    outside = np.ones(size[::-1], bool)
    outside[max(box.y - 4, 0) : box.y + box.height + 4, max(box.x - 4, 0) : box.x + box.width + 4] = False
    assert not sampled[outside].any()


def test_what_is_remembered_moves_with_the_box() -> None:
    """A plane of one box, read for another, shows the same places of the frame; beyond it nothing."""
    slope = np.broadcast_to((np.arange(100, dtype=np.float32) + 0.5) / 100 * 200 + 40, (50, 100))
    seen = moved(slope, Box(40, 0, 200, 100), Box(100, 20, 100, 50))
    np.testing.assert_allclose(seen[25], 100 + np.arange(100) + 0.5, atol=0.6)
    beyond = moved(slope, Box(40, 0, 200, 100), Box(300, 0, 200, 100))
    assert not beyond.any()
    assert moved(slope, Box(1, 2, 3, 4), Box(1, 2, 3, 4)) is slope


@pytest.mark.parametrize("middle", [(61.0, 70.5), (150.3, 82.7), (200.9, 120.2)])
@pytest.mark.parametrize("size", [(260, 186), (1001, 401)])
def test_edges_stay_where_they_are_whether_cropped_or_not(
    tmp_path: Path, middle: tuple[float, float], size: tuple[int, int]
) -> None:
    """A network that repeats what it sees gives a disc its place in the frame; closely to 0.1 pixels."""
    truth = disc(size, middle, 40)
    found = {}
    for crop in ("off", "auto"):
        with Segmenter(networks.identity(tmp_path), crop=crop, smooth=0) as segmenter:
            found[crop] = [segmenter(shown(grey(truth))) for _ in range(4)][-1]
    assert found["auto"].alpha.shape != found["off"].alpha.shape
    for crop, error, shift in (("off", 0.04, 0.6), ("auto", 0.01, 0.1)):
        assert np.abs(full_size(found[crop], size) - truth).mean() < error
        assert centre(found[crop], size) == pytest.approx(middle, abs=shift)


@given(
    size=st.tuples(st.integers(150, 500), st.integers(150, 500)),
    corner=st.tuples(st.floats(0, 0.6), st.floats(0, 0.6)),
    pixel_format=st.sampled_from(["yuv420p", "nv12", "yuv422p10le", "yuv411p", "gray", "bgr24", "p010le"]),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_small_things_are_found_precisely(
    folder: Path, size: tuple[int, int], corner: tuple[float, float], pixel_format: str
) -> None:
    """From every format, at every size, a small box is found where it is, better than without cropping."""
    box = (*corner, corner[0] + 0.25, corner[1] + 0.3)
    frame = bright_box(size, box, pixel_format)
    truth = np.zeros(size[::-1])
    x, y = (
        [round(share * side) for share in pair]
        for pair, side in zip((box[::2], box[1::2]), size, strict=True)
    )
    truth[y[0] : y[1], x[0] : x[1]] = 1
    errors = {}
    for crop in ("off", "auto"):
        spec = InputSpec(name="picture", width=128, height=128)
        with Segmenter(networks.bright_two_classes(folder, input=spec), crop=crop, labels=True) as segmenter:
            for _ in range(3):
                matte = segmenter(frame)
        assert matte.labels is not None
        assert matte.labels.shape == size[::-1]
        errors[crop] = np.abs(full_size(matte, size) - truth).mean(), np.mean(matte.labels != truth)
    assert errors["auto"][0] < 0.006
    assert errors["auto"][1] < 0.006
    assert errors["auto"][0] <= errors["off"][0] + 0.001


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests leave networks."""
    return tmp_path_factory.mktemp("networks")

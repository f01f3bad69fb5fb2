"""What reaches the network: the right colours, in the right order and place, from every pixel format."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.errors import RuntimeFailure
from streamseg.models.card import InputSpec
from streamseg.network_input import NetworkInput, place
from tests.clips import picture

SPEC = InputSpec(name="picture", width=32, height=32)
COLOUR = (200, 60, 90)
MATRICES = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}
FORMATS = [
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuv444p",
    "yuv410p",
    "yuv411p",
    "yuv440p",
    "yuva420p",
    "nv12",
    "nv21",
    "nv16",
    "yuyv422",
    "p010le",
    "p016le",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p12le",
    "yuv420p16le",
    "yuv444p16le",
    "rgb24",
    "bgr24",
    "rgba",
    "bgr0",
    "gbrp",
    "gbrap",
    "gbrp10le",
    "gbrp16le",
    "rgb48le",
    "gray",
    "gray10le",
    "gray12le",
    "gray16le",
    "gray16be",
    "ya8",
]


def plain(matrix: str, *, full: bool, size: tuple[int, int] = (64, 64), tag: int = 2) -> av.VideoFrame:
    """A yuv420p picture of COLOUR, encoded by the textbook."""
    red, green, blue = (code / 255 for code in COLOUR)
    kr, kb = MATRICES[matrix]
    y = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - y) / (2 * (1 - kb)), (red - y) / (2 * (1 - kr))
    luma, chroma, black = (255, 255, 0) if full else (219, 224, 16)
    codes = [round(black + luma * y), round(128 + chroma * cb), round(128 + chroma * cr)]
    made = av.VideoFrame(*size, "yuv420p")
    for plane, code in zip(made.planes, codes, strict=True):
        plane.update(bytes([code]) * plane.buffer_size)
    made.colorspace, made.color_range = tag, 2 if full else 1
    return made


def middle(made: av.VideoFrame, spec: InputSpec = SPEC) -> np.ndarray:
    """The codes the network sees in the middle of a picture."""
    tensor, _ = NetworkInput(spec)(made)
    return tensor[0, :, 16, 16] * 255


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "tag"), [("601", 5), ("601", 6), ("709", 1), ("2020", 9)])
def test_tagged_colours_arrive(matrix: str, tag: int, full: bool) -> None:
    """The matrix and the range a picture is tagged with are honoured, to 2 codes."""
    np.testing.assert_allclose(middle(plain(matrix, full=full, tag=tag)), COLOUR, atol=2)


@pytest.mark.parametrize("tag", [2, 3, 8])
@pytest.mark.parametrize(("matrix", "size"), [("601", (64, 64)), ("709", (1280, 720))])
def test_untagged_colours_follow_convention(matrix: str, size: tuple[int, int], tag: int) -> None:
    """Without a tag, or with one nobody can use, small pictures are BT.601 and large ones BT.709."""
    np.testing.assert_allclose(middle(plain(matrix, full=False, size=size, tag=tag)), COLOUR, atol=2)


def test_constant_luminance_counts_as_bt2020() -> None:
    """BT.2020 with constant luminance is read as ordinary BT.2020, not as BT.601."""
    np.testing.assert_allclose(middle(plain("2020", full=False, tag=10)), COLOUR, atol=2)


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_every_pixel_format_gives_the_same_picture(pixel_format: str) -> None:
    """A gradient arrives the same from every format, as its brightness from grey ones, whatever the size."""
    tensor, _ = NetworkInput(SPEC)(picture(97, 61, pixel_format="rgb24"))
    converted = picture(97, 61, pixel_format="rgb24").reformat(format=pixel_format)
    if pixel_format.startswith(("gray", "ya")):
        tensor = np.broadcast_to(np.tensordot([0.299, 0.587, 0.114], tensor[0], 1), (1, 3, 32, 32))
    found, _ = NetworkInput(SPEC)(converted)
    assert np.abs(found - tensor).mean() < 0.03


def test_palettes_are_looked_up() -> None:
    """A picture of indices arrives in its palette's colours."""
    palette = np.zeros((256, 4), np.uint8)
    palette[7] = (255, *COLOUR)
    made = av.VideoFrame.from_ndarray((np.full((40, 40), 7, np.uint8), palette), format="pal8")
    np.testing.assert_allclose(middle(made), COLOUR, atol=2)


def test_colours_come_in_the_card_s_order_and_layout() -> None:
    """rgb or bgr, channels first or last: the same numbers elsewhere."""
    made = picture(80, 60)
    rgb = NetworkInput(SPEC)(made)[0]
    np.testing.assert_array_equal(NetworkInput(replace(SPEC, colour="bgr"))(made)[0], rgb[:, ::-1])
    np.testing.assert_array_equal(
        NetworkInput(replace(SPEC, layout="nhwc"))(made)[0], np.moveaxis(rgb, 1, -1)
    )
    grey = NetworkInput(replace(SPEC, colour="grey"))(made)[0]
    np.testing.assert_allclose(grey[0, 0], np.tensordot([0.299, 0.587, 0.114], rgb[0], 1), atol=0.02)


@pytest.mark.parametrize("tag", [1, 5, 9])
@pytest.mark.parametrize("codes", [(16, 128, 128), (235, 128, 128), (120, 128, 128), (81, 90, 240)])
def test_grey_of_yuv_is_its_luma(codes: tuple[int, int, int], tag: int) -> None:
    """Whatever its matrix, to half a code: black is 0, white 255, and colours no screen shows keep theirs."""
    made = plain("709", full=False, tag=tag)
    for plane, code in zip(made.planes, codes, strict=True):
        plane.update(bytes([code]) * plane.buffer_size)
    seen = middle(made, replace(SPEC, colour="grey"))
    np.testing.assert_allclose(seen, (codes[0] - 16) * 255 / 219, atol=0.51)


def test_values_are_normalised_as_the_card_says() -> None:
    """value = (code * scale - mean) / std, channel by channel."""
    made = picture(80, 60)
    codes = NetworkInput(SPEC)(made)[0] * 255
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found = NetworkInput(replace(SPEC, mean=mean, std=std))(made)[0]
    shape = (1, 3, 1, 1)
    np.testing.assert_allclose(
        found, (codes / 255 - np.reshape(mean, shape)) / np.reshape(std, shape), atol=1e-5
    )
    signed = NetworkInput(replace(SPEC, scale=1 / 127.5, mean=(1.0,)))(made)[0]
    np.testing.assert_allclose(signed, codes / 127.5 - 1, atol=1e-5)


def test_areas_are_averaged() -> None:
    """Every pixel of a large picture counts: a fine checkerboard arrives as grey, not black or white."""
    board = (np.indices((480, 640)).sum(0) % 2 * 255).astype(np.uint8)
    tensor, _ = NetworkInput(SPEC)(av.VideoFrame.from_ndarray(board, format="gray"))
    assert 0.45 < tensor.min() <= tensor.max() < 0.55


@pytest.mark.parametrize(("size", "area"), [((640, 320), (0, 8, 32, 16)), ((50, 100), (8, 0, 16, 32))])
def test_a_letterbox_keeps_the_shape_and_pads_with_black(
    size: tuple[int, int], area: tuple[int, int, int, int]
) -> None:
    """The picture sits in the middle; what it leaves is black, also after a picture of another shape."""
    scale = NetworkInput(replace(SPEC, fit="letterbox", mean=(0.5,)))
    scale(picture(100, 100))
    white = av.VideoFrame.from_ndarray(np.full((*size[::-1], 3), 255, np.uint8), format="rgb24")
    tensor, placement = scale(white)
    x, y, width, height = area
    assert (placement.x, placement.y, placement.width, placement.height) == area
    expected = np.full((1, 3, 32, 32), -0.5)
    expected[:, :, y : y + height, x : x + width] = 0.5
    np.testing.assert_allclose(tensor, expected, atol=1e-6)


@given(
    size=st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)),
    network=st.tuples(st.integers(1, 600), st.integers(1, 600)),
)
@settings(max_examples=200, derandomize=True)
def test_a_letterbox_lies_within_the_network_s_input(size: tuple[int, int], network: tuple[int, int]) -> None:
    """Whatever the shapes, the picture is not empty, lies inside, and touches two opposite sides."""
    spec = InputSpec(name="picture", width=network[0], height=network[1], fit="letterbox")
    placement = place(spec, size)
    assert 1 <= placement.width <= network[0] - placement.x
    assert 1 <= placement.height <= network[1] - placement.y
    assert placement.x >= 0
    assert placement.y >= 0
    assert placement.width == network[0] or placement.height == network[1]


def test_a_format_nobody_can_scale_is_a_failure_of_one_line() -> None:
    """What swscale refuses is reported with the picture's size and format."""
    with pytest.raises(RuntimeFailure, match="cannot scale a 16x16 rgb4 picture for the network: "):
        NetworkInput(SPEC)(av.VideoFrame(16, 16, "rgb4"))

"""The network's input, made on the card: like the plain definition, and like what swscale gives the CPU."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamseg.compositors.convert import Converter
from streamseg.compositors.planes import Canvas
from streamseg.crop import Box
from streamseg.gpu.network_input import CardInput
from streamseg.gpu.surface import positions, upload
from streamseg.models import find_model
from streamseg.models.card import InputSpec
from streamseg.network_input import NetworkInput, place
from streamseg.pictures import planes
from streamseg.runtimes import load_runtime
from streamseg.scores import ScoreReader
from streamseg.sources import open_source
from tests.clips import picture
from tests.compositing import area, linear, noise, read
from tests.emulator.card import Card
from tests.emulator.slots import bench

PLANAR = ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv411p", "yuv440p", "yuv420p10le", "yuv444p12le"]
PLANAR += ["yuv420p16le", "gray", "gray10le", "gray16le", "gbrp", "gbrp10le", "gbrp16le"]
NATIVE = ["nv12", "nv21", "nv16", "p010le", "p016le", "p210le", "yuyv422", "uyvy422"]
NATIVE += ["rgb24", "bgr24", "rgba", "bgra", "rgb0", "bgr0", "yuva420p", "gbrap10le", "rgb48le", "ya8"]
LUMA = {1: (0.2126, 0.0722), 4: (0.3, 0.11), 5: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}


def on_the_card(
    spec: InputSpec, shown: av.VideoFrame, view: Box | None = None, *, half: bool = False, seed: int = 0
) -> NDArray[Any]:
    """The tensor, filled by the kernel."""
    readable = shown if positions(shown.format.name) else Converter().planar(shown)
    with bench(Card(seed=seed)) as on:

        def work() -> NDArray[Any]:
            fill = CardInput(spec, half=half)
            tensor = on.slot.memory("tensor", fill.size)
            fill(on.slot, upload(on.slot, "frame", readable), tensor, view)
            return on.get(tensor, spec.shape, np.float16 if half else np.float32)

        return on.device.run(work)


def resized(plane: NDArray[Any], columns: int, rows: int) -> NDArray[np.float64]:
    """Areas averaged where it shrinks, linear between samples where it grows, in double precision."""
    weights = []
    for fewer, count in ((rows, plane.shape[0]), (columns, plane.shape[1])):
        places = (np.arange(fewer) + 0.5) * count / fewer - 0.5
        weights.append(area(fewer, count) if count >= fewer else linear(places, count))
    return weights[0] @ plane @ weights[1].T


def plain(spec: InputSpec, shown: av.VideoFrame, view: Box | None) -> NDArray[np.float64]:
    """The tensor by the textbook, (channels, height, width)."""
    canvas = Canvas.of(shown)
    box = view or Box(0, 0, shown.width, shown.height)
    placed = place(spec, (box.width, box.height))
    parts = []
    for index, plane in enumerate(read(shown)):
        across, down = canvas.shape.step if index else (1, 1)
        rows = slice(box.y // down, box.y // down - (-box.height // down))
        columns = slice(box.x // across, box.x // across - (-box.width // across))
        parts.append(resized(plane[rows, columns].astype(float), placed.width, placed.height))
    rgb = colours(parts, canvas)
    red, blue = LUMA[5]
    grey = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
    if not canvas.shape.rgb:
        grey = colours(parts[:1], canvas)[0]  # luma
    channels = {"rgb": rgb, "bgr": rgb[::-1], "grey": grey[None]}[spec.colour]
    tensor = np.zeros((spec.channels, spec.height, spec.width))
    tensor[:, placed.y : placed.y + placed.height, placed.x : placed.x + placed.width] = channels.clip(0, 255)
    mean, std = (np.resize(values, spec.channels)[:, None, None] for values in (spec.mean, spec.std))
    return (tensor * spec.scale - mean) / std


def colours(parts: list[NDArray[np.float64]], canvas: Canvas) -> NDArray[np.float64]:
    """(3, h, w) red, green, blue in 0..255, unclipped."""
    held = canvas.shape
    if held.rgb:
        green, blue, red = (part * 255 / held.largest for part in parts)
        return np.stack([red, green, blue])
    step, middle = 1 << (held.depth - 8), 1 << (held.depth - 1)
    luma = parts[0] / held.largest if canvas.reading.full else (parts[0] / step - 16) / 219
    if len(parts) == 1:
        return np.stack(3 * [255 * luma])
    largest = held.largest if canvas.reading.full else 224 * step
    cb, cr = ((part - middle) / largest for part in parts[1:])
    kr, kb = LUMA[canvas.reading.matrix]
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    return 255 * np.stack([red, (luma - kr * red - kb * blue) / (1 - kr - kb), blue])


@st.composite
def specs(draw: st.DrawFn) -> InputSpec:
    """Inputs of all kinds."""
    colour = draw(st.sampled_from(["rgb", "bgr", "grey"]))
    return InputSpec(
        name="picture",
        width=draw(st.integers(1, 40)),
        height=draw(st.integers(1, 40)),
        colour=colour,
        layout=draw(st.sampled_from(["nchw", "nhwc"])),
        scale=draw(st.sampled_from([1 / 255, 1.0, 1 / 127.5])),
        mean=(0.485, 0.456, 0.406) if colour != "grey" and draw(st.booleans()) else (0.5,),
        std=draw(st.sampled_from([(1.0,), (0.25,)])),
        fit=draw(st.sampled_from(["stretch", "letterbox"])),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    specs(),
    st.sampled_from(PLANAR),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([1, 2, 4, 6, 7, 9]),
    st.booleans(),
    st.integers(0, 99),
)
def test_like_the_definition(
    spec: InputSpec, name: str, size: tuple[int, int], tagged: int, matrix: int, half: bool, seed: int
) -> None:
    """Every format, size, range, matrix, channel order, layout, fit and precision; any part of a frame.

    Rounded to codes of 255, before gain and bias.
    """
    shown = noise(*size, name, seed)
    shown.color_range, shown.colorspace = tagged, matrix
    view = None
    if seed % 2 and min(size) > 8:
        view = Box(4, 8, size[0] - 4 - seed % 4, size[1] - 8)
    found = on_the_card(spec, shown, view, half=half, seed=seed)[0].astype(float)
    if spec.layout == "nhwc":
        found = np.moveaxis(found, -1, 0)
    wanted = plain(spec, shown, view)
    unit = spec.scale / np.resize(spec.std, spec.channels)[:, None, None]  # a code of 255
    rounding = np.abs(wanted) * 2**-11 if half else 0  # of float16
    assert (np.abs(found - wanted) / unit).max() <= 0.52 + np.max(rounding / unit)


@pytest.mark.parametrize("size", [(640, 360), (321, 241), (100, 50)])
@pytest.mark.parametrize("name", [*PLANAR, *NATIVE])
def test_like_swscale(name: str, size: tuple[int, int]) -> None:
    """At most two codes from what the CPU shows the network, half a one on average, a tenth in 8-bit YUV."""
    shown = picture(*size, 7).reformat(format=name)
    for colour in ("rgb", "bgr", "grey"):
        spec = InputSpec(name="picture", width=128, height=128, colour=colour, scale=1.0)  # type: ignore[arg-type]
        apart = np.abs(on_the_card(spec, shown) - NetworkInput(spec)(shown)[0])
        assert apart.max() <= 2
        assert apart.mean() <= (0.1 if name in ("yuv420p", "nv12") and colour != "grey" else 0.6)


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv420p10le", "yuvj420p", "gray16le"])
@pytest.mark.parametrize("matrix", [1, 5, 9])
def test_grey_like_swscale(name: str, matrix: int) -> None:
    """Grey networks see luma, whatever the matrix, also of colours that no screen can show."""
    spec = InputSpec(name="picture", width=128, height=128, colour="grey", scale=1.0)
    shown = picture(640, 360, 7).reformat(format=name)
    for plane, codes in zip(planes(shown)[1:], planes(noise(640, 360, name, 3))[1:], strict=True):
        plane[:] = codes
    shown.colorspace = matrix
    assert np.abs(on_the_card(spec, shown) - NetworkInput(spec)(shown)[0]).max() <= 2


@pytest.mark.parametrize("colour", ["rgb", "bgr", "grey"])
@pytest.mark.parametrize(("transfer", "primaries"), [(16, 9), (18, 9), (18, 1), (1, 9)])
def test_high_dynamic_range_like_the_cpu(transfer: int, primaries: int, colour: Any) -> None:
    """PQ and HLG, of wide primaries or not, become the ordinary codes the CPU makes of them."""
    shown = picture(160, 90, 7, "rgb24").reformat(format="p010le", dst_colorspace=9)
    shown.colorspace, shown.color_range, shown.color_trc, shown.color_primaries = 9, 1, transfer, primaries
    spec = InputSpec(name="picture", width=64, height=48, colour=colour, scale=1.0, fit="letterbox")
    apart = np.abs(on_the_card(spec, shown) - NetworkInput(spec)(shown)[0])
    assert apart.mean() <= 0.5
    assert np.quantile(apart, 0.99) <= 3  # a code of PQ may be several of ordinary video


def test_the_mask_is_that_of_the_cpus_input() -> None:
    """The embedded network finds the same person in both, IoU at least 0.999, frame by frame."""
    card = find_model("selfie")
    prepare, reader = NetworkInput(card.input), ScoreReader(card)
    with closing(load_runtime(card)) as runtime, open_source("demo:") as source:

        def mask(tensor: NDArray[Any]) -> NDArray[np.bool_]:
            scores = reader.scores(runtime({card.input.name: tensor})[card.output.name])
            return reader.alpha(scores, place(card.input, (1, 1)), [1]) > 0.5

        for index, frame in enumerate(source):
            ours, theirs = mask(on_the_card(card.input, frame.picture)), mask(prepare(frame.picture)[0])
            assert theirs.mean() > 0.1
            overlap = (ours & theirs).sum() / (ours | theirs).sum()
            assert overlap >= 0.999
            if index == 3:
                break

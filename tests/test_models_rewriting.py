"""Imported networks are rewritten to cost less and compute the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from streamseg.models import find_model
from streamseg.models.tflite_import import convert
from tests.network_files import PICTURE, RANDOM, Array, TFLiteFile, run

Build = Callable[[TFLiteFile, int], tuple[int, list[str]]]
"""Adds operators on a picture to a file; returns the output and the kinds of nodes its ONNX should have."""

LARGE = (1, 12, 16)
"""Twice PICTURE; what a Resize gives unless a test says otherwise."""


def resized(file: TFLiteFile, source: int, shape: tuple[int, ...] = (*LARGE, 3), **flags: bool) -> int:
    """Add a bilinear Resize; half-pixel centres by default."""
    target = file.tensor(f"resized{source}", shape)
    size, flags = file.constant(np.array(shape[1:3], np.int32)), flags or {"HalfPixelCenters": True}
    file.operator("RESIZE_BILINEAR", [source, size], [target], options="ResizeBilinearOptions", **flags)
    return target


def convolved(
    file: TFLiteFile, source: int, shape: tuple[int, ...], *, kernel: int = 1, stride: int = 1, relu: int = 0
) -> int:
    """Add a convolution from three channels to `shape`; relu: TFLite's fused activation."""
    weights = (RANDOM.random((shape[3], kernel, kernel, 3)) - 0.5).astype(np.float32)
    bias = file.constant(RANDOM.random(shape[3], np.float32) - np.float32(0.5))
    target = file.tensor(f"convolved{source}", shape)
    strides = {"StrideH": stride, "StrideW": stride, "FusedActivationFunction": relu}
    inputs = [source, file.constant(weights), bias]
    file.operator("CONV_2D", inputs, [target], options="Conv2DOptions", **strides)
    return target


def simple(file: TFLiteFile, kind: str, sources: list[int], shape: tuple[int, ...], **options: Any) -> int:
    """Add an operator with one output."""
    target = file.tensor(f"{kind.lower()}{sources[0]}", shape)
    file.operator(kind, sources, [target], **options)
    return target


def mean(file: TFLiteFile, source: int, axes: list[int], shape: tuple[int, ...]) -> int:
    """Add a MEAN that keeps its axes."""
    over = file.constant(np.array(axes, np.int32))
    return simple(file, "MEAN", [source, over], shape, options="ReducerOptions", KeepDims=True)


def pooled(file: TFLiteFile, source: int, window: tuple[int, int], shape: tuple[int, ...]) -> int:
    """Add an AVERAGE_POOL_2D without padding."""
    sizes = {"FilterHeight": window[0], "FilterWidth": window[1], "StrideH": 1, "StrideW": 1, "Padding": 1}
    return simple(file, "AVERAGE_POOL_2D", [source], shape, options="Pool2DOptions", **sizes)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Array]:
    """Runs a file on PICTURE as it was before there were rewrites."""

    def without(path: Path) -> Array:
        with monkeypatch.context() as patch:
            patch.setattr("streamseg.models.tflite_import.rewrite", lambda writer, shapes: None)
            return run(path)

    return without


def built(build: Build, tmp_path: Path) -> tuple[Path, list[str], list[str]]:
    """Write what `build` adds to a picture; return the path, the kinds of nodes found, and those expected."""
    file = TFLiteFile()
    picture = file.tensor("picture", PICTURE.shape)
    output, expected = build(file, picture)
    path = file.write(tmp_path / "net.tflite", inputs=[picture], outputs=[output])
    model = onnx.load_from_string(convert(path).onnx)
    onnx.checker.check_model(model, full_check=True)
    return path, [node.op_type for node in model.graph.node], expected


def half_pixel(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """Fewer channels after doubling."""
    return convolved(file, resized(file, picture), (*LARGE, 2)), ["Conv", "Resize"]


def align_corners(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """As many channels after enlarging unevenly."""
    large = resized(file, picture, (1, 11, 15, 3), AlignCorners=True)
    return convolved(file, large, (1, 11, 15, 3)), ["Conv", "Resize"]


def fused_activation(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """The activation stays last."""
    return convolved(file, resized(file, picture), (*LARGE, 3), relu=1), ["Conv", "Resize", "Relu"]


def two_convolutions(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """Both go before the Resize."""
    first = convolved(file, resized(file, picture), (*LARGE, 3))
    return convolved(file, first, (*LARGE, 2)), ["Conv", "Conv", "Resize"]


def two_resizes(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """The convolution goes before both."""
    larger = resized(file, resized(file, picture), (1, 24, 32, 3))
    return convolved(file, larger, (1, 24, 32, 2)), ["Conv", "Resize", "Resize"]


def gate_second(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """A squeeze by MEAN, the gate as second factor."""
    gate = simple(file, "LOGISTIC", [mean(file, picture, [1, 2], (1, 1, 1, 3))], (1, 1, 1, 3))
    product = simple(file, "MUL", [picture, gate], PICTURE.shape, options="MulOptions")
    return product, ["GlobalAveragePool", "Sigmoid", "Resize", "Mul"]


def gate_first(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """A squeeze by AVERAGE_POOL_2D, the gate as first factor."""
    gate = pooled(file, picture, (6, 8), (1, 1, 1, 3))
    product = simple(file, "MUL", [gate, picture], PICTURE.shape, options="MulOptions")
    return product, ["GlobalAveragePool", "Resize", "Mul"]


@pytest.mark.parametrize(
    "build",
    [
        half_pixel,
        align_corners,
        fused_activation,
        two_convolutions,
        two_resizes,
        gate_second,
        gate_first,
    ],
)
def test_a_rewritten_network_computes_the_same(
    build: Build, plain: Callable[[Path], Array], tmp_path: Path
) -> None:
    """Convolutions go before the Resize, gates get the picture's size, means one node; results stay."""
    path, kinds, expected = built(build, tmp_path)
    assert kinds == expected
    np.testing.assert_allclose(run(path), plain(path), atol=1e-6)


def activated_before(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """An activation between the two."""
    active = simple(file, "RELU", [resized(file, picture)], (*LARGE, 3))
    return convolved(file, active, (*LARGE, 3)), ["Resize", "Relu", "Conv"]


def read_twice(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """The enlarged picture has another reader."""
    large = resized(file, picture)
    both = [large, convolved(file, large, (*LARGE, 3))]
    return simple(file, "ADD", both, (*LARGE, 3), options="AddOptions"), ["Resize", "Conv", "Add"]


def wide_window(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """A 3x3 convolution sees the enlarged neighbours."""
    return convolved(file, resized(file, picture), (*LARGE, 3), kernel=3), ["Resize", "Conv"]


def stepping(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """A convolution that leaves out cells."""
    return convolved(file, resized(file, picture), (1, 6, 8, 3), stride=2), ["Resize", "Conv"]


def depthwise(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """A convolution in groups."""
    kernel = file.constant(RANDOM.random((1, 1, 1, 3), np.float32))
    options: dict[str, Any] = {"options": "DepthwiseConv2DOptions", "StrideH": 1, "StrideW": 1}
    inputs = [resized(file, picture), kernel, -1]
    return simple(file, "DEPTHWISE_CONV_2D", inputs, (*LARGE, 3), **options), ["Resize", "Conv"]


def more_channels(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """The Resize would have more channels to enlarge."""
    return convolved(file, resized(file, picture), (*LARGE, 4)), ["Resize", "Conv"]


def shrinking(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """The convolution would see more cells."""
    return convolved(file, resized(file, picture, (1, 3, 4, 3)), (1, 3, 4, 3)), ["Resize", "Conv"]


def gate_of_one_channel(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """One factor for all channels."""
    gate = mean(file, picture, [1, 2, 3], (1, 1, 1, 1))
    product = simple(file, "MUL", [picture, gate], PICTURE.shape, options="MulOptions")
    return product, ["ReduceMean", "Mul"]


def gate_of_rows(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """A factor for each row."""
    gate = mean(file, picture, [2], (1, 6, 1, 3))
    product = simple(file, "MUL", [picture, gate], PICTURE.shape, options="MulOptions")
    return product, ["ReduceMean", "Mul"]


def constant_gate(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """A factor the file holds."""
    gate = file.constant(RANDOM.random((1, 1, 1, 3), np.float32))
    return simple(file, "MUL", [picture, gate], PICTURE.shape, options="MulOptions"), ["Mul"]


def gate_added(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """A sum, no gate."""
    gate = pooled(file, picture, (6, 8), (1, 1, 1, 3))
    total = simple(file, "ADD", [picture, gate], PICTURE.shape, options="AddOptions")
    return total, ["GlobalAveragePool", "Add"]


def part_of_the_picture(file: TFLiteFile, picture: int) -> tuple[int, list[str]]:
    """A mean over most of the picture."""
    return pooled(file, picture, (6, 7), (1, 1, 2, 3)), ["AveragePool"]


@pytest.mark.parametrize(
    "build",
    [
        activated_before,
        read_twice,
        wide_window,
        stepping,
        depthwise,
        more_channels,
        shrinking,
        gate_of_one_channel,
        gate_of_rows,
        constant_gate,
        gate_added,
        part_of_the_picture,
    ],
)
def test_what_would_compute_something_else_or_cost_more_stays(build: Build, tmp_path: Path) -> None:
    """Other windows, steps, groups and readers, activations between, gates of other shapes are left alone."""
    _, kinds, expected = built(build, tmp_path)
    assert kinds == expected


def test_a_network_that_reads_itself_is_no_endless_rewrite(tmp_path: Path) -> None:
    """A damaged file whose Resize reads the convolution that reads it ends in an answer."""
    file = TFLiteFile()
    picture, small = file.tensor("picture", PICTURE.shape), file.tensor("small", PICTURE.shape)
    large = resized(file, small, PICTURE.shape)
    weights = file.constant(np.ones((3, 1, 1, 3), np.float32))
    file.operator("CONV_2D", [large, weights, -1], [small], options="Conv2DOptions", StrideH=1, StrideW=1)
    path = file.write(tmp_path / "loop.tflite", inputs=[picture], outputs=[small])
    assert convert(path).channels == 3


@pytest.mark.parametrize("name", ["selfie", "selfie-landscape"])
def test_the_embedded_networks_are_rewritten(name: str) -> None:
    """No mean but whole ones, no gate that is broadcast, no 1x1 convolution of an enlarged picture."""
    model = onnx.shape_inference.infer_shapes(onnx.load(find_model(name).verified_weights()))
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in model.graph.value_info
    }
    makers = {output: node for node in model.graph.node for output in node.output}
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("GlobalAveragePool") == 10
    assert not {"AveragePool", "ReduceMean"} & set(kinds)
    for node in model.graph.node:
        if node.op_type == "Mul":
            assert shapes[node.input[0]] == shapes[node.input[1]]
        if node.op_type == "Resize" and node.input[0] in makers:
            assert makers[node.input[0]].op_type in {"Conv", "Sigmoid"}

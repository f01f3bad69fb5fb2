"""TFLite operators that look at neighbouring cells: convolutions, pooling, resizing."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.network_files import PICTURE, RANDOM, Array, TFLiteFile, run, single


@pytest.mark.parametrize(("stride", "dilation", "size"), [(1, 1, (6, 8)), (2, 1, (3, 4)), (1, 2, (6, 8))])
@pytest.mark.parametrize("depthwise", [False, True], ids=["full", "depthwise"])
def test_convolutions_pad_as_tensorflow_does(
    stride: int, dilation: int, size: tuple[int, int], depthwise: bool, tmp_path: Path
) -> None:
    """SAME padding puts the odd cell after; depthwise channels multiply in TFLite's order."""
    shape = (1, 3, 3, 6) if depthwise else (5, 3, 3, 3)
    weights, bias = RANDOM.random(shape, np.float32), RANDOM.random(shape[3 if depthwise else 0], np.float32)
    name = "DepthwiseConv2D" if depthwise else "Conv2D"
    extra = {"DepthMultiplier": 2} if depthwise else {}
    path = single(
        tmp_path,
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        (1, *size, bias.size),
        (weights, bias),
        options=f"{name}Options",
        StrideH=stride,
        StrideW=stride,
        DilationHFactor=dilation,
        DilationWFactor=dilation,
        **extra,
    )
    full = np.zeros((bias.size, 3, 3, 3), np.float32)
    if depthwise:
        for channel in range(6):
            full[channel, :, :, channel // 2] = weights[0, :, :, channel]
    else:
        full = weights
    expected = convolved(PICTURE, full, size, stride, dilation) + bias
    np.testing.assert_allclose(run(path, PICTURE), expected, atol=1e-5)


def convolved(picture: Array, weights: Array, size: tuple[int, int], stride: int, dilation: int) -> Array:
    """Return a SAME convolution of an NHWC picture with OHWI weights, cell by cell."""
    result = np.zeros((1, *size, len(weights)), np.float32)
    before = []
    for axis, out in enumerate(size, 1):
        reach = 2 * dilation + 1
        before.append(max((out - 1) * stride + reach - picture.shape[axis], 0) // 2)
    for y, x, i, j in np.ndindex(*size, 3, 3):
        row = y * stride + i * dilation - before[0]
        column = x * stride + j * dilation - before[1]
        if 0 <= row < picture.shape[1] and 0 <= column < picture.shape[2]:
            result[0, y, x] += weights[:, i, j] @ picture[0, row, column]
    return result


@pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pooling_ignores_what_lies_outside(kind: str, tmp_path: Path) -> None:
    """A 3x3 window at the border pools the cells there are."""
    path = single(
        tmp_path,
        kind,
        (1, 3, 4, 3),
        options="Pool2DOptions",
        FilterHeight=3,
        FilterWidth=3,
        StrideH=2,
        StrideW=2,
    )
    pool = np.mean if kind == "AVERAGE_POOL_2D" else np.max
    expected = np.zeros((1, 3, 4, 3), np.float32)
    for y, x in np.ndindex(3, 4):
        expected[0, y, x] = pool(PICTURE[0, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3], axis=(0, 1))
    np.testing.assert_allclose(run(path, PICTURE), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["TRANSPOSE_CONV", "Convolution2DTransposeBias"])
def test_transposed_convolution_doubles_the_size(kind: str, tmp_path: Path) -> None:
    """TFLite's own and MediaPipe's operator spread each cell over a 2x2 block and add the bias."""
    weights, bias = RANDOM.random((2, 2, 2, 3), np.float32), RANDOM.random(2, np.float32)
    file = TFLiteFile()
    picture = file.tensor("picture", PICTURE.shape)
    kernel, offset = file.constant(weights), file.constant(bias)
    scores = file.tensor("scores", (1, 12, 16, 2))
    if kind == "TRANSPOSE_CONV":
        shape = file.constant(np.array([1, 12, 16, 2], np.int32))
        file.operator(
            kind,
            [shape, kernel, picture, offset],
            [scores],
            options="TransposeConvOptions",
            StrideH=2,
            StrideW=2,
        )
    else:
        file.operator(kind, [picture, kernel, offset], [scores], custom=struct.pack("<3i", 1, 2, 2))
    path = file.write(tmp_path / "one.tflite", inputs=[picture], outputs=[scores])
    expected = np.einsum("bhwc,oijc->bhiwjo", PICTURE, weights).reshape(1, 12, 16, 2) + bias
    np.testing.assert_allclose(run(path, PICTURE), expected, atol=1e-6)


@pytest.mark.parametrize("flags", [{}, {"AlignCorners": True}, {"HalfPixelCenters": True}], ids=str)
@pytest.mark.parametrize("kind", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_resizing_puts_cells_where_its_flags_say(kind: str, flags: dict[str, bool], tmp_path: Path) -> None:
    """Both kinds of resize agree with TensorFlow's three ways to place cells."""
    name = "ResizeBilinearOptions" if kind == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    file = TFLiteFile()
    picture = file.tensor("picture", PICTURE.shape)
    resized, scores = file.tensor("resized", (1, 15, 12, 3)), file.tensor("scores", (1, 15, 12, 3))
    size = file.constant(np.array([15, 12], np.int32))
    file.operator(kind, [picture, size], [resized], options=name, **flags)
    file.operator("RELU", [resized], [scores])
    path = file.write(tmp_path / "two.tflite", inputs=[picture], outputs=[scores])
    rows, columns = positions(15, 6, **flags), positions(12, 8, **flags)
    if kind == "RESIZE_BILINEAR":
        expected = interpolated(interpolated(PICTURE, rows, 1), columns, 2)
    else:
        nearest = [nearest_cells(15, 6, **flags), nearest_cells(12, 8, **flags)]
        expected = PICTURE[:, nearest[0]][:, :, nearest[1]]
    np.testing.assert_allclose(run(path, PICTURE), np.maximum(expected, 0), atol=1e-5)


def positions(out: int, size: int, *, AlignCorners: bool = False, HalfPixelCenters: bool = False) -> Array:
    """Return where each output cell lies in the input."""
    index = np.arange(out)
    if AlignCorners:
        return index * (size - 1) / (out - 1)
    return (index + 0.5) * size / out - 0.5 if HalfPixelCenters else index * size / out


def nearest_cells(
    out: int, size: int, *, AlignCorners: bool = False, HalfPixelCenters: bool = False
) -> Array:
    """Return the input cell of each output cell, as TensorFlow rounds."""
    index = np.arange(out)
    if AlignCorners:
        return np.floor(index * (size - 1) / (out - 1) + 0.5).astype(int)
    shift = 0.5 if HalfPixelCenters else 0
    return np.minimum(np.floor((index + shift) * size / out), size - 1).astype(int)


def interpolated(values: Array, at: Array, axis: int) -> Array:
    """Return values at fractional positions along an axis."""
    at = np.clip(at, 0, values.shape[axis] - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    share = (at - low).reshape([-1 if number == axis else 1 for number in range(4)])
    return np.take(values, low, axis) * (1 - share) + np.take(values, high, axis) * share

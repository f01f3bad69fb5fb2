"""Each TFLite operator against what it is defined to compute, in NHWC numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.errors import ModelError
from streamseg.models.tflite_import import convert
from tests.network_files import PICTURE, RANDOM, Array, TFLiteFile, run, single

ELEMENTWISE: dict[str, tuple[Callable[[Array], Array], dict[str, Any]]] = {
    "RELU": (lambda x: np.maximum(x, 0), {}),
    "RELU6": (lambda x: np.clip(x, 0, 6), {}),
    "TANH": (np.tanh, {}),
    "LOGISTIC": (lambda x: 1 / (1 + np.exp(-x)), {}),
    "HARD_SWISH": (lambda x: x * np.clip(x + 3, 0, 6) / 6, {}),
    "ELU": (lambda x: np.where(x < 0, np.exp(x) - 1, x), {}),
    "LEAKY_RELU": (lambda x: np.where(x < 0, x * 0.25, x), {"options": "LeakyReluOptions", "Alpha": 0.25}),
    "SOFTMAX": (
        lambda x: np.exp(2 * x) / np.exp(2 * x).sum(-1, keepdims=True),
        {"options": "SoftmaxOptions", "Beta": 2.0},
    ),
}


@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_elementwise_operators_compute_what_tflite_does(kind: str, tmp_path: Path) -> None:
    """Operators on single values agree with their definition."""
    reference, options = ELEMENTWISE[kind]
    found = run(single(tmp_path, kind, PICTURE.shape, **options), PICTURE)
    np.testing.assert_allclose(found, reference(PICTURE), atol=1e-6)


ARITHMETIC: dict[str, Callable[[Array, Array], Array]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": np.divide,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
}


@pytest.mark.parametrize("kind", ARITHMETIC)
@pytest.mark.parametrize("shape", [(3,), (), (1, 6, 8, 3), (8, 1)])
def test_arithmetic_broadcasts_from_the_last_axis(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """A constant of fewer axes meets a picture channels last, as in TFLite."""
    other = (RANDOM.random(shape) + 0.5).astype(np.float32)
    found = run(single(tmp_path, kind, PICTURE.shape, (np.asarray(other),)), PICTURE)
    np.testing.assert_allclose(found, ARITHMETIC[kind](PICTURE, other), atol=1e-6)


@pytest.mark.parametrize(
    ("code", "low", "high"), [(1, 0, np.inf), (2, -1, 1), (3, 0, 6)], ids=["relu", "relu_n1_to_1", "relu6"]
)
def test_a_fused_activation_follows_its_operator(code: int, low: float, high: float, tmp_path: Path) -> None:
    """Fused activations clip the operator's result."""
    four = np.array([4], np.float32)
    path = single(tmp_path, "MUL", PICTURE.shape, (four,), options="MulOptions", FusedActivationFunction=code)
    np.testing.assert_allclose(run(path, PICTURE), np.clip(PICTURE * 4, low, high), atol=1e-6)


def test_a_fused_tanh_follows_its_operator(tmp_path: Path) -> None:
    """The one fused activation that does not clip."""
    path = single(
        tmp_path,
        "MUL",
        PICTURE.shape,
        (np.ones(1, np.float32),),
        options="MulOptions",
        FusedActivationFunction=4,
    )
    np.testing.assert_allclose(run(path, PICTURE), np.tanh(PICTURE), atol=1e-6)


REDUCTIONS: dict[str, tuple[Callable[..., Array], list[int]]] = {
    "MEAN": (np.mean, [1, 2]),
    "SUM": (np.sum, [2]),
}


@pytest.mark.parametrize("kind", REDUCTIONS)
def test_reductions_go_over_tflites_axes(kind: str, tmp_path: Path) -> None:
    """Height and width stay height and width."""
    reduce, axes = REDUCTIONS[kind]
    expected = reduce(PICTURE, axis=tuple(axes), keepdims=True)
    path = single(
        tmp_path, kind, expected.shape, (np.array(axes, np.int32),), options="ReducerOptions", KeepDims=True
    )
    np.testing.assert_allclose(run(path, PICTURE), expected, atol=1e-5)


def test_concatenation_and_padding_keep_their_axis(tmp_path: Path) -> None:
    """Channels are joined with channels; rows and columns are padded as rows and columns."""
    amounts = np.array([[0, 0], [1, 2], [3, 0], [0, 0]], np.int32)
    file = TFLiteFile()
    picture = file.tensor("picture", PICTURE.shape)
    joined, padded = file.tensor("joined", (1, 6, 8, 6)), file.tensor("padded", (1, 9, 11, 6))
    file.operator("CONCATENATION", [picture, picture], [joined], options="ConcatenationOptions", Axis=-1)
    file.operator("PAD", [joined, file.constant(amounts)], [padded])
    path = file.write(tmp_path / "two.tflite", inputs=[picture], outputs=[padded])
    expected = np.pad(np.concatenate([PICTURE, PICTURE], -1), amounts)
    np.testing.assert_allclose(run(path, PICTURE), expected)


def test_reshapes_and_transposes_see_tflites_order(tmp_path: Path) -> None:
    """Cells are counted channels last."""
    file = TFLiteFile()
    picture = file.tensor("picture", PICTURE.shape)
    flat = file.tensor("flat", (8, 18))
    square, turned = file.tensor("square", (1, 9, 4, 4)), file.tensor("turned", (1, 4, 4, 9))
    file.operator("RESHAPE", [picture, file.constant(np.array([8, 18], np.int32))], [flat])
    file.operator("RESHAPE", [flat, file.constant(np.array([1, 9, 4, 4], np.int32))], [square])
    file.operator("TRANSPOSE", [square, file.constant(np.array([0, 2, 3, 1], np.int32))], [turned])
    path = file.write(tmp_path / "three.tflite", inputs=[picture], outputs=[turned])
    np.testing.assert_allclose(run(path, PICTURE), PICTURE.reshape(1, 9, 4, 4).transpose(0, 2, 3, 1))


@pytest.mark.parametrize("flat", [False, True])
def test_fully_connected_works_on_vectors_and_on_cells(flat: bool, tmp_path: Path) -> None:
    """On four axes it is the same product at every cell; on two it needs a reshape before and after."""
    weights, bias = RANDOM.random((5, 3), np.float32), RANDOM.random(5, np.float32)
    file = TFLiteFile()
    picture = file.tensor("picture", PICTURE.shape)
    kernel, offset = file.constant(weights), file.constant(bias)
    scores = file.tensor("scores", (1, 6, 8, 5))
    source, target = picture, scores
    if flat:
        source, target = file.tensor("cells", (48, 3)), file.tensor("products", (48, 5))
        file.operator("RESHAPE", [picture], [source])
    file.operator("FULLY_CONNECTED", [source, kernel, offset], [target], options="FullyConnectedOptions")
    if flat:
        file.operator("RESHAPE", [target], [scores])
    path = file.write(tmp_path / "one.tflite", inputs=[picture], outputs=[scores])
    np.testing.assert_allclose(run(path, PICTURE), PICTURE @ weights.T + bias, atol=1e-6)


def test_prelu_and_depth_to_space(tmp_path: Path) -> None:
    """Slopes are per channel; blocks are unpacked channels last."""
    slopes = np.array([[[0.5, 0.25, 0.125, 0]]], np.float32)
    file = TFLiteFile()
    picture = file.tensor("picture", (1, 6, 8, 1))
    wide, bent = file.tensor("wide", (1, 6, 8, 4)), file.tensor("bent", (1, 6, 8, 4))
    scores = file.tensor("scores", (1, 12, 16, 1))
    file.operator("CONCATENATION", [picture] * 4, [wide], options="ConcatenationOptions", Axis=3)
    file.operator("PRELU", [wide, file.constant(slopes)], [bent])
    file.operator("DEPTH_TO_SPACE", [bent], [scores], options="DepthToSpaceOptions", BlockSize=2)
    path = file.write(tmp_path / "three.tflite", inputs=[picture], outputs=[scores])
    cells = np.where(PICTURE[..., :1] < 0, PICTURE[..., :1] * slopes, PICTURE[..., :1])
    expected = cells.reshape(1, 6, 8, 2, 2).transpose(0, 1, 3, 2, 4).reshape(1, 12, 16, 1)
    np.testing.assert_allclose(run(path, PICTURE[..., :1]), expected, atol=1e-6)


def test_a_quantised_network_becomes_float_and_saturates_where_it_did(tmp_path: Path) -> None:
    """Codes and weights turn into the values they stand for; a sum beyond the output's range is clipped."""
    file = TFLiteFile()
    picture = file.tensor("picture", (1, 6, 8, 3), "UINT8", quantised=(1 / 128, 128))
    other = file.constant(np.full((3,), 228, np.uint8), (0.01, 128))
    scores = file.tensor("scores", (1, 6, 8, 3), "UINT8", quantised=(1 / 128, 128))
    file.operator("ADD", [picture, other], [scores])
    path = file.write(tmp_path / "quantised.tflite", inputs=[picture], outputs=[scores])
    spec = convert(path).input
    assert (spec.scale, spec.mean, spec.std) == (1 / 128, (1.0,), (1.0,))
    np.testing.assert_allclose(run(path, PICTURE), np.clip(PICTURE + 1, -1, 127 / 128), atol=1e-6)


def test_float16_weights_are_stored_as_they_are_and_computed_in_float32(tmp_path: Path) -> None:
    """A dequantised float16 constant costs two bytes a value."""
    weights = RANDOM.random((64, 1, 1, 3)).astype(np.float16)
    file = TFLiteFile()
    picture = file.tensor("picture", PICTURE.shape)
    half, full = file.constant(weights), file.tensor("weights", weights.shape)
    scores = file.tensor("scores", (1, 6, 8, 64))
    file.operator("DEQUANTIZE", [half], [full])
    file.operator("CONV_2D", [picture, full, -1], [scores], options="Conv2DOptions", StrideH=1, StrideW=1)
    path = file.write(tmp_path / "half.tflite", inputs=[picture], outputs=[scores])
    assert len(convert(path).onnx) < weights.nbytes + 400
    expected = PICTURE @ weights[:, 0, 0].astype(np.float32).T
    np.testing.assert_allclose(run(path, PICTURE), expected, atol=1e-6)


UNSUPPORTED: dict[str, Callable[[Path], Path]] = {
    "operator CUMSUM is not supported": lambda path: single(path, "CUMSUM", PICTURE.shape),
    "operator Mystery is not supported": lambda path: single(path, "Mystery", PICTURE.shape),
    "fused activation 5 is not supported": lambda path: single(
        path, "ADD", PICTURE.shape, (PICTURE,), options="AddOptions", FusedActivationFunction=5
    ),
    "SUM over one of height and width": lambda path: single(
        path, "SUM", (1, 8, 3, 1), (np.array([1], np.int32),), options="ReducerOptions"
    ),
    "FULLY_CONNECTED from 4 to 2 axes": lambda path: chain_to_two_axes(path),
    "it gives (48, 3), expected scores": lambda path: single(path, "RESHAPE", (48, 3)),
}


def chain_to_two_axes(path: Path) -> Path:
    """Write a network that flattens its picture inside a fully connected operator."""
    file = TFLiteFile()
    picture, flat = file.tensor("picture", PICTURE.shape), file.tensor("flat", (1, 16))
    scores = file.tensor("scores", (1, 4, 4, 1))
    weights = file.constant(np.zeros((16, 144), np.float32))
    file.operator("FULLY_CONNECTED", [picture, weights, -1], [flat], options="FullyConnectedOptions")
    file.operator("RESHAPE", [flat], [scores])
    return file.write(path / "flat.tflite", inputs=[picture], outputs=[scores])


@pytest.mark.parametrize("message", UNSUPPORTED)
def test_what_cannot_be_converted_is_named(message: str, tmp_path: Path) -> None:
    """The error names the file and the operator, in one line."""
    path = UNSUPPORTED[message](tmp_path)
    with pytest.raises(ModelError, match="cannot import") as caught:
        convert(path)
    assert message in str(caught.value)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)

"""Tiny networks made by the tests, and the cards that describe them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from streamseg.models.card import InputSpec, ModelCard, OutputSpec, StateSpec

FLOAT, FLOAT16, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8


def card(folder: Path, file: str, **changes: object) -> ModelCard:
    """A card for a weights file, of a one-channel probability network unless `changes` say otherwise."""
    weights = folder / file
    plain = ModelCard(
        name=weights.stem,
        title="made by a test",
        licence="Apache-2.0",
        source="made by a test",
        weights=file,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else "0" * 64,
        input=InputSpec(name="picture", width=32, height=32),
        output=OutputSpec(name="scores", kind="probability"),
        classes=("background", "person"),
        foreground=("person",),
        path=folder,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, Sequence[int]]],
    outputs: Sequence[tuple[str, Sequence[int]]],
    constants: dict[str, np.ndarray] | None = None,
    dtype: int = FLOAT,
) -> Path:
    """Write a network of these nodes."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def bright_two_classes(folder: Path, *, size: int = 128, channels: int = 3, **changes: object) -> ModelCard:
    """A softmax over two classes: person where the picture is bright. The shape of the project's ancestor."""
    weights = np.zeros((2, channels, 1, 1), np.float32)
    weights[1] = 40 / channels
    save(
        folder / "bright.onnx",
        [
            helper.make_node("Conv", ["picture", "weights", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
        ],
        [("picture", [1, channels, size, size])],
        [("scores", [1, 2, size, size])],
        {"weights": weights, "bias": np.array([0, -20], np.float32)},
    )
    spec = InputSpec(name="picture", width=size, height=size, colour="rgb" if channels == 3 else "grey")
    return card(folder, "bright.onnx", **{"input": spec, **changes})


def identity(folder: Path, dtype: int = FLOAT) -> ModelCard:
    """A grey network whose probability is its input, float32, float16 or uint8."""
    node = helper.make_node("Identity", ["picture"], ["scores"])
    shape = [1, 1, 32, 32]
    save(folder / "identity.onnx", [node], [("picture", shape)], [("scores", shape)], dtype=dtype)
    scale = 1.0 if dtype == UINT8 else 1 / 255
    spec = InputSpec(name="picture", width=32, height=32, colour="grey", scale=scale)
    return card(folder, "identity.onnx", input=spec)


def brightness(folder: Path) -> ModelCard:
    """A network whose probability is the mean of red, green and blue."""
    node = helper.make_node("Conv", ["picture", "weights"], ["scores"])
    weights = {"weights": np.full((1, 3, 1, 1), 1 / 3, np.float32)}
    save(
        folder / "brightness.onnx",
        [node],
        [("picture", [1, 3, 32, 32])],
        [("scores", [1, 1, 32, 32])],
        weights,
    )
    return card(folder, "brightness.onnx")


def reciprocal(folder: Path) -> ModelCard:
    """A grey network whose probability is 0 / its input: not a number where the picture is black."""
    nodes = [
        helper.make_node("Mul", ["picture", "zero"], ["nothing"]),
        helper.make_node("Div", ["nothing", "picture"], ["scores"]),
    ]
    shape, zero = [1, 1, 32, 32], np.zeros(1, np.float32)
    save(folder / "reciprocal.onnx", nodes, [("picture", shape)], [("scores", shape)], {"zero": zero})
    return card(
        folder, "reciprocal.onnx", input=InputSpec(name="picture", width=32, height=32, colour="grey")
    )


def counting(folder: Path) -> ModelCard:
    """A recurrent grey network: its state, and its probability, grow by 0.1 times the picture each run."""
    shape = [1, 1, 32, 32]
    nodes = [
        helper.make_node("Mul", ["picture", "tenth"], ["step"]),
        helper.make_node("Add", ["before", "step"], ["after"]),
        helper.make_node("Identity", ["after"], ["scores"]),
    ]
    constants = {"tenth": np.array([0.1], np.float32)}
    inputs, outputs = [("picture", shape), ("before", shape)], [("scores", shape), ("after", shape)]
    save(folder / "counting.onnx", nodes, inputs, outputs, constants)
    return card(
        folder,
        "counting.onnx",
        input=InputSpec(name="picture", width=32, height=32, colour="grey"),
        states=(StateSpec(input="before", output="after", shape=tuple(shape)),),
    )

"""Convolutions in 8-bit integers: the Q/DQ nodes that say so, and for which of them.

The usual way quantises every convolution. On the embedded network that left masks with an IoU of 0.85 to 0.90
to full precision at worst (the demo portrait; ONNX Runtime's own quantiser and this one alike), because a few
cannot bear it. So `calibrating.py` finds those that do: 34 of 55 there keep an IoU of 0.99.

Symmetric, as TensorRT wants it: zero points are 0, activations have one scale, weights one for each channel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Watch = Callable[[str, float], None]
"""Told which phase is at work and how much of it is done, 0..1."""
Array = NDArray[np.float32]

TARGET = 0.99
"""IoU that masks of the quantised network must keep to those of full precision, over the clip."""

_OPSET = 19
"""The first in which scales may be float16."""
_LEVELS = 127
_SMALLEST = np.float32(1e-6)
"""Scale; below it float16 has too few digits."""
CONVOLUTIONS = ("Conv", "ConvTranspose")
_PARTS = ("scale", "zero", "codes", "scales", "zeros", "quantised", "input", "kernel")
"""Suffixes of the tensors that are added for a convolution."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found; enough to build the same plan again without the clip."""

    network: str
    """sha256 of the weights it is for."""
    ranges: dict[str, float]
    """Convolution, by the name of its output -> largest absolute value of its input that is told apart."""
    convolutions: int
    """How many the network has; those without a range stay in half precision."""
    iou: float
    """Of masks with and without, over the frames that were compared."""
    clip: str
    frames: int

    def to_json(self) -> bytes:
        """Return the calibration as a file's content."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Calibration:
        """Read what `to_json` wrote. Raises ValueError, KeyError and TypeError."""
        return cls(**json.loads(content))


def quantised(model: Any, calibration: Calibration) -> Any:
    """Return the network with Q/DQ nodes before its calibrated convolutions and quantised weights in them."""
    from onnx import helper, numpy_helper

    model = _modern(model)
    graph = model.graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes: list[Any] = []
    stored: dict[str, NDArray[Any]] = {}
    for node in graph.node:
        if node.output[0] in calibration.ranges and node.op_type in CONVOLUTIONS:
            axis, scales, codes = _codes(node, weights[node.input[1]])
            names = {part: f"{node.output[0]}_{part}" for part in _PARTS}
            stored[names["scale"]] = _scales(np.array(calibration.ranges[node.output[0]]))
            stored[names["zero"]] = np.array(0, np.int8)
            stored[names["codes"]], stored[names["scales"]] = codes, scales
            stored[names["zeros"]] = np.zeros(len(scales), np.int8)
            step, kernel = [names["scale"], names["zero"]], [names["codes"], names["scales"], names["zeros"]]
            nodes += [
                helper.make_node("QuantizeLinear", [node.input[0], *step], [names["quantised"]]),
                helper.make_node("DequantizeLinear", [names["quantised"], *step], [names["input"]]),
                helper.make_node("DequantizeLinear", kernel, [names["kernel"]], axis=axis),
            ]
            node.input[0], node.input[1] = names["input"], names["kernel"]
        nodes.append(node)
    _replace(graph, nodes, [numpy_helper.from_array(value, name) for name, value in stored.items()])
    return model


def _modern(model: Any) -> Any:
    """Return the network in an operator set whose scales may be float16."""
    from onnx import version_converter

    if model.opset_import[0].version >= _OPSET:
        return model
    return version_converter.convert_version(model, _OPSET)


def _codes(node: Any, kernel: Array) -> tuple[int, Array, NDArray[np.int8]]:
    """Return the axis of a kernel's output channels, a scale for each and the 8-bit codes."""
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    axis = 1 if node.op_type == "ConvTranspose" and groups == 1 else 0
    others = tuple(other for other in range(kernel.ndim) if other != axis)
    scales = _scales(np.abs(kernel).max(axis=others))
    steps = np.expand_dims(scales, others)
    return axis, scales, np.clip(np.rint(kernel / steps), -_LEVELS, _LEVELS).astype(np.int8)


def _scales(largest: NDArray[Any]) -> Array:
    """Return scales that float16 holds exactly, so that full and half precision mean the same codes."""
    return np.asarray(np.maximum(largest / _LEVELS, _SMALLEST), np.float16).astype(np.float32)


def _replace(graph: Any, nodes: Sequence[Any], added: Sequence[Any]) -> None:
    """Give a graph other nodes and more weights; weights nothing reads any longer go."""
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    graph.initializer.extend(added)

"""The ONNX graph being written for a TFLite graph: names, constants, fused activations, saturation.

Pictures are (N, H, W, C) in TFLite and (N, C, H, W) here: every tensor of four axes is stored that way round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from streamseg.errors import ModelError
from streamseg.models.onnx_writer import OnnxWriter
from streamseg.models.tflite_graph import Array, Graph, Operator, Tensor

Step: TypeAlias = tuple[str, list[str], dict[str, Any]]
"""An ONNX node: kind, inputs, attributes."""

TO_NCHW = (0, 3, 1, 2)
TO_NHWC = (0, 2, 3, 1)

_SATURATING = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "ADD", "SUB", "MUL"}
"""Where a quantised output clips on purpose: converters hide ReLU and ReLU6 in its range."""


class Translation:
    """The ONNX graph being written for a TFLite graph."""

    def __init__(self, graph: Graph, writer: OnnxWriter) -> None:
        self.graph, self.writer = graph, writer
        self.names: dict[int, str] = {}
        """ONNX names of tensors that keep the file's own: inputs and outputs."""

    def tensor(self, index: int) -> Tensor:
        """Return a tensor by its index."""
        return self.graph.tensors[index]

    def name(self, index: int) -> str:
        """Return the ONNX name of a tensor."""
        return self.names.get(index, f"t{index}")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the file's tensors by ONNX name, pictures as (N, C, H, W)."""
        return {self.name(index): _shape(tensor.shape) for index, tensor in enumerate(self.graph.tensors)}

    def constant(self, index: int) -> Array:
        """Return a tensor's constant values in TFLite's own layout. Raises ModelError if it is computed."""
        values = self.tensor(index).constant
        if values is None:
            raise ModelError(f"tensor {self.tensor(index).name!r} is computed, expected a constant")
        return values

    def value(self, index: int, axes: int | None = None) -> str:
        """Return the ONNX name of a tensor, writing it first if it is constant.

        axes: of the result it is broadcast to, so that a constant (C,) meets (N, C, H, W) as (C, 1, 1).
        """
        tensor = self.tensor(index)
        if tensor.constant is None:
            if axes == 4 and len(tensor.shape) not in {0, 4}:
                raise ModelError(f"tensor {tensor.name!r} of shape {tensor.shape} meets one of four axes")
            return self.name(index)
        values = tensor.constant
        if values.ndim and axes == 4:
            values = values.reshape((1,) * (4 - values.ndim) + values.shape)
        return self.writer.constant(self.name(index), _channels_first(values))

    def weight(self, index: int, order: Sequence[int]) -> str:
        """Write a constant with its axes in another order and return its ONNX name."""
        return self.writer.constant(self.name(index), self.constant(index).transpose(order))

    def bias(self, operator: Operator, position: int) -> list[str]:
        """Return the ONNX name of an optional bias, as a list to append to a node's inputs."""
        given = len(operator.inputs) > position and operator.inputs[position] >= 0
        return [self.value(operator.inputs[position])] if given else []

    def emit(
        self, operator: Operator, kind: str, inputs: Sequence[str], activation: int = 0, **attributes: Any
    ) -> None:
        """Write the node that computes an operator's first output, then its fused activation."""
        steps = [(kind, list(inputs), attributes)]
        if activation:
            steps.append(self._activation(activation))
        bounds = self.tensor(operator.outputs[0]).bounds
        if bounds and operator.kind in _SATURATING:
            steps.append(("Clip", [self.writer.number(bound) for bound in bounds], {}))
        self.chain(operator, steps)

    def chain(self, operator: Operator, steps: Sequence[Step]) -> None:
        """Write nodes in a row; each but the first takes the one before it as its first input."""
        target = self.name(operator.outputs[0])
        previous: list[str] = []
        for number, (kind, inputs, attributes) in enumerate(steps, 1):
            output = target if number == len(steps) else f"{target}_{number}"
            previous = [self.writer.node(kind, previous + inputs, output, **attributes)]

    def _activation(self, code: int) -> Step:
        import tflite

        kinds = tflite.ActivationFunctionType
        if code == kinds.RELU:
            return "Relu", [], {}
        if code == kinds.TANH:
            return "Tanh", [], {}
        bounds = {kinds.RELU6: (0, 6), kinds.RELU_N1_TO_1: (-1, 1)}
        if code not in bounds:
            raise ModelError(f"fused activation {code} is not supported")
        return "Clip", [self.writer.number(bound) for bound in bounds[code]], {}


Rule: TypeAlias = Callable[[Translation, Operator], None]
"""Writes one operator."""


def _channels_first(values: Array) -> Array:
    return values.transpose(TO_NCHW) if values.ndim == 4 else values


def _shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in TO_NCHW) if len(shape) == 4 else shape


def onnx_axis(axis: int, axes: int) -> int:
    """Return where an axis of a TFLite tensor lies in ONNX."""
    axis %= axes
    return TO_NHWC[axis] if axes == 4 else axis

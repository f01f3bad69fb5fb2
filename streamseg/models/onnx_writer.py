"""Writes an ONNX file node by node, to the same bytes whichever version of the onnx package does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 17
IR_VERSION = 8
"""What ONNX Runtime reads from 1.12 and TensorRT from 10."""


class OnnxWriter:
    """Collects nodes and constants; `serialised` turns them into a file."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        """In the order they run."""
        self.constants: dict[str, Any] = {}
        """By the names nodes read them under."""

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant once and return its name; float16 is stored as it is, computed with as float32."""
        from onnx import TensorProto, numpy_helper

        if name not in self.constants:
            half = values.dtype == np.float16
            stored = f"{name}_half" if half else name
            # Not ascontiguousarray: it adds an axis to scalars.
            self.constants[name] = numpy_helper.from_array(np.array(values, order="C"), stored)
            if half:
                self.node("Cast", [stored], name, to=TensorProto.FLOAT)
        return name

    def number(self, value: float) -> str:
        """Add a float32 scalar and return its name."""
        return self.constant(f"number_{float(value)!r}", np.array(value, np.float32))

    def serialised(
        self,
        *,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
    ) -> bytes:
        """Return the file: float32 inputs and outputs with these shapes by name."""
        from onnx import TensorProto, helper

        def infos(shapes: dict[str, tuple[int, ...]]) -> list[Any]:
            return [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in shapes.items()
            ]

        constants = list(self.constants.values())
        graph = helper.make_graph(self.nodes, "network", infos(inputs), infos(outputs), constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="streamseg"
        )
        serialised: bytes = model.SerializeToString(deterministic=True)
        return serialised

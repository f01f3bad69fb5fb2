"""Half precision, computed on a processor that has none.

ONNX Runtime takes float16 networks, but computes them in float32 from end to end: only stored weights are
ever rounded. So networks are rewritten: float32 throughout, each operation's result rounded to the 11 bits of
float16. Sums stay exact within an operation, as tensor cores keep them. Nothing overflows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_SPLIT = 8193.0
"""2 ** 13 + 1: x * 8193 - (x * 8193 - x) has the upper 11 of float32's 24 bits of x, rounded to nearest."""

_MOVING = {"Clip", "Concat", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Relu", "Reshape", "Slice"}
_MOVING |= {"Split", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators whose results are among what they are given: there is nothing to round."""


def rounded(network: bytes) -> bytes:
    """Return a network in half precision as one in float32 that rounds; one without float16 as it is."""
    model = onnx.load_from_string(network)
    halves = _halves(model)
    if not halves:
        return network
    graph = model.graph
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        assert not any(attribute.HasField("g") for attribute in node.attribute), "branches are not rewritten"
        computed = [name for name in node.output if name in halves and node.op_type not in _MOVING]
        _widen(node)
        for index, name in enumerate(node.output):
            node.output[index] = f"{name}_exact" if name in computed else name
        nodes.append(node)
        for name in computed:
            nodes += _rounding(f"{name}_exact", name)
    nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    for tensor in graph.initializer:
        tensor.CopyFrom(_wide(tensor))
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    graph.initializer.append(numpy_helper.from_array(np.float32(_SPLIT), "split"))
    return bytes(model.SerializeToString())


def _halves(model: Any) -> set[str]:
    """Names of all tensors in half precision."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = [*graph.input, *graph.output, *graph.value_info]
    found = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT16}
    return found | {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}


def _widen(node: Any) -> None:
    """Have a node make float32 where it made float16."""
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
            attribute.i = TensorProto.FLOAT
        elif attribute.type == onnx.AttributeProto.TENSOR:
            attribute.t.CopyFrom(_wide(attribute.t))


def _wide(tensor: Any) -> Any:
    if tensor.data_type != TensorProto.FLOAT16:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)


def _rounding(exact: str, name: str) -> list[Any]:
    return [
        helper.make_node("Mul", [exact, "split"], [f"{name}_upper"]),
        helper.make_node("Sub", [f"{name}_upper", exact], [f"{name}_lower"]),
        helper.make_node("Sub", [f"{name}_upper", f"{name}_lower"], [name]),
    ]

"""A TFLite file as plain data: tensors with their constant values as floats, operators with their options."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import ModelError

Array = NDArray[Any]

DAMAGE = (struct.error, LookupError, ArithmeticError, TypeError, ValueError, AttributeError, MemoryError)
"""What reading a damaged flatbuffer ends in: its offsets lead anywhere."""


@dataclass(slots=True)
class Tensor:
    """A value in the graph; pictures are (N, H, W, C)."""

    name: str
    shape: tuple[int, ...]
    floating: bool
    """It holds float16 or float32, not quantised or whole numbers."""
    constant: Array | None
    """Its values where the file has them: dequantised to float32 if quantised, float16 left as it is."""
    code_scale: float | None
    """Quantised: value = (code - code_zero) * code_scale."""
    code_zero: int
    code_range: tuple[int, int]
    """Smallest and largest code."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The smallest and largest value a quantised tensor can hold."""
        if self.code_scale is None:
            return None
        low, high = ((code - self.code_zero) * self.code_scale for code in self.code_range)
        return low, high


@dataclass(frozen=True, slots=True)
class Operator:
    """One step of the graph; tensors by index, -1 where an optional input is left out."""

    kind: str
    """TFLite's name, or the custom operator's own."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any
    """The flatbuffer table of this kind's options, None where it has none."""
    custom_options: bytes


@dataclass(frozen=True, slots=True)
class Graph:
    """The first subgraph of a TFLite file, operators in the order they run."""

    tensors: list[Tensor]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def maker(self, tensor: int) -> Operator | None:
        """Return the operator that computes a tensor, None for inputs and constants."""
        return next((operator for operator in self.operators if tensor in operator.outputs), None)


def read_graph(path: Path) -> Graph:
    """Read a .tflite file. Raises ModelError if it is none, one of DAMAGE if it is damaged, OSError."""
    import tflite

    buffer = path.read_bytes()
    if not tflite.Model.ModelBufferHasIdentifier(buffer, 0):
        raise ModelError("not a TFLite file")
    return _read_model(tflite.Model.GetRootAsModel(buffer, 0))


def _read_model(model: Any) -> Graph:
    subgraph = model.Subgraphs(0)
    tensors = [_read_tensor(model, subgraph.Tensors(i)) for i in range(subgraph.TensorsLength())]
    operators = [_read_operator(model, subgraph.Operators(i)) for i in range(subgraph.OperatorsLength())]
    return Graph(tensors, operators, _indices(subgraph.InputsAsNumpy()), _indices(subgraph.OutputsAsNumpy()))


def _indices(vector: Any) -> tuple[int, ...]:
    return () if isinstance(vector, int) else tuple(int(index) for index in vector)


def _names(enumeration: type) -> dict[int, str]:
    """Return a flatbuffer enumeration's names by value."""
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _read_operator(model: Any, operator: Any) -> Operator:
    import tflite

    code = model.OperatorCodes(operator.OpcodeIndex())
    # Files older than schema 3a hold the kind in the deprecated field only.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    custom = number == tflite.BuiltinOperator.CUSTOM
    kind = code.CustomCode().decode() if custom else _names(tflite.BuiltinOperator)[number]
    options = None
    if not custom and operator.BuiltinOptions() is not None:
        table = operator.BuiltinOptions()
        options = getattr(tflite, _names(tflite.BuiltinOptions)[operator.BuiltinOptionsType()])()
        options.Init(table.Bytes, table.Pos)
    blob = operator.CustomOptionsAsNumpy()
    return Operator(
        kind=kind,
        inputs=_indices(operator.InputsAsNumpy()),
        outputs=_indices(operator.OutputsAsNumpy()),
        options=options,
        custom_options=b"" if isinstance(blob, int) else blob.tobytes(),
    )


def _read_tensor(model: Any, tensor: Any) -> Tensor:
    dtype = _dtype(tensor)
    shape = _indices(tensor.ShapeAsNumpy())
    quantisation = tensor.Quantization()
    quantised = quantisation is not None and quantisation.ScaleLength() > 0
    codes = np.iinfo(dtype) if dtype.kind in "iu" else None
    constant = None
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    if not isinstance(data, int):
        constant = np.frombuffer(data.tobytes(), dtype).reshape(shape)
        if quantised and codes is not None:
            constant = _dequantised(constant, quantisation)
    return Tensor(
        name=tensor.Name().decode(),
        shape=shape,
        floating=dtype.kind == "f",
        constant=constant,
        code_scale=float(quantisation.Scale(0)) if quantised and codes is not None else None,
        code_zero=int(quantisation.ZeroPoint(0)) if quantised and quantisation.ZeroPointLength() else 0,
        code_range=(int(codes.min), int(codes.max)) if codes is not None else (0, 0),
    )


def _dtype(tensor: Any) -> np.dtype[Any]:
    import tflite

    name = _names(tflite.TensorType)[tensor.Type()]
    try:
        return np.dtype(name.lower())
    except TypeError:
        raise ValueError(f"tensor {tensor.Name().decode()!r} has type {name}") from None


def _dequantised(codes: Array, quantisation: Any) -> Array:
    """Return float32 values of per-tensor or per-channel codes."""
    scale = quantisation.ScaleAsNumpy().astype(np.float32)
    zero = np.zeros_like(scale)
    if quantisation.ZeroPointLength():
        zero = quantisation.ZeroPointAsNumpy().astype(np.float32)
    shape = [1] * codes.ndim
    if scale.size > 1:
        shape[quantisation.QuantizedDimension()] = -1
    values: Array = (codes.astype(np.float32) - zero.reshape(shape)) * scale.reshape(shape)
    return values

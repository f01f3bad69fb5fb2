"""TFLite and ONNX files written operator by operator, and running what TFLite files are converted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamseg.models.tflite_import import convert

Array = NDArray[Any]

RANDOM = np.random.default_rng(1)
PICTURE = RANDOM.random((1, 6, 8, 3), np.float32) * 2 - 1
"""NHWC."""


@dataclass
class TFLiteFile:
    """A TFLite network under construction: tensors by index, operators in the order they run."""

    _tensors: list[tuple[str, Sequence[int], int, Array | None, tuple[float, int] | None]] = field(
        default_factory=list
    )
    _operators: list[tuple[str, list[int], list[int], str | None, dict[str, Any], bytes]] = field(
        default_factory=list
    )

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "FLOAT32",
        values: Array | None = None,
        quantised: tuple[float, int] | None = None,
    ) -> int:
        """Add a tensor and return its index; quantised: scale and zero point."""
        self._tensors.append((name, shape, getattr(tflite.TensorType, dtype), values, quantised))
        return len(self._tensors) - 1

    def constant(self, values: Array, quantised: tuple[float, int] | None = None) -> int:
        """Add a constant tensor and return its index."""
        name = f"c{len(self._tensors)}"
        return self.tensor(name, values.shape, values.dtype.name.upper(), values, quantised)

    def operator(
        self,
        kind: str,
        inputs: list[int],
        outputs: list[int],
        *,
        options: str | None = None,
        custom: bytes = b"",
        **values: Any,
    ) -> None:
        """Add an operator, builtin or custom; options: the name of its table, values: that table's fields."""
        self._operators.append((kind, inputs, outputs, options, values, custom))

    def write(self, path: Path, *, inputs: Sequence[int], outputs: Sequence[int]) -> Path:
        """Write the file and return its path."""
        builder = flatbuffers.Builder(1024)
        buffers = [_buffer(builder, None), *(_buffer(builder, tensor[3]) for tensor in self._tensors)]
        tensors = [_tensor(builder, number, *tensor) for number, tensor in enumerate(self._tensors, 1)]
        codes = [_code(builder, operator[0]) for operator in self._operators]
        operators = [_operator(builder, number, *rest) for number, (_, *rest) in enumerate(self._operators)]
        subgraph = _table(
            builder,
            "SubGraph",
            Tensors=_offsets(builder, tflite.SubGraphStartTensorsVector, tensors),
            Inputs=_integers(builder, inputs),
            Outputs=_integers(builder, outputs),
            Operators=_offsets(builder, tflite.SubGraphStartOperatorsVector, operators),
        )
        model = _table(
            builder,
            "Model",
            Version=3,
            OperatorCodes=_offsets(builder, tflite.ModelStartOperatorCodesVector, codes),
            Subgraphs=_offsets(builder, tflite.ModelStartSubgraphsVector, [subgraph]),
            Buffers=_offsets(builder, tflite.ModelStartBuffersVector, buffers),
        )
        builder.Finish(model, b"TFL3")
        path.write_bytes(builder.Output())
        return path


def _table(builder: Any, kind: str, **values: Any) -> int:
    """Write a flatbuffer table; values are numbers or offsets, None is left out."""
    getattr(tflite, f"{kind}Start")(builder)
    for key, value in values.items():
        if value is not None:
            getattr(tflite, f"{kind}Add{key}")(builder, value)
    return int(getattr(tflite, f"{kind}End")(builder))


def _integers(builder: Any, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.array(values, np.int32)))


def _offsets(builder: Any, start: Any, offsets: Sequence[int]) -> int:
    start(builder, len(offsets))
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _buffer(builder: Any, values: Array | None) -> int:
    data = None if values is None else builder.CreateByteVector(values.tobytes())
    return _table(builder, "Buffer", Data=data)


def _tensor(
    builder: Any,
    buffer: int,
    name: str,
    shape: Sequence[int],
    dtype: int,
    _values: Array | None,
    quantised: tuple[float, int] | None,
) -> int:
    text, shape_vector, quantisation = builder.CreateString(name), _integers(builder, shape), None
    if quantised:
        scale = builder.CreateNumpyVector(np.array(quantised[:1], np.float32))
        zero = builder.CreateNumpyVector(np.array(quantised[1:], np.int64))
        quantisation = _table(builder, "QuantizationParameters", Scale=scale, ZeroPoint=zero)
    return _table(
        builder,
        "Tensor",
        Shape=shape_vector,
        Type=dtype,
        Buffer=buffer,
        Name=text,
        Quantization=quantisation,
    )


def _code(builder: Any, kind: str) -> int:
    number = getattr(tflite.BuiltinOperator, kind, tflite.BuiltinOperator.CUSTOM)
    custom = builder.CreateString(kind) if number == tflite.BuiltinOperator.CUSTOM else None
    return _table(
        builder,
        "OperatorCode",
        DeprecatedBuiltinCode=min(number, 127),
        BuiltinCode=number,
        CustomCode=custom,
    )


def _operator(
    builder: Any,
    code: int,
    inputs: list[int],
    outputs: list[int],
    options: str | None,
    values: dict[str, Any],
    custom: bytes,
) -> int:
    return _table(
        builder,
        "Operator",
        BuiltinOptions=_table(builder, options, **values) if options else None,
        CustomOptions=builder.CreateByteVector(custom) if custom else None,
        Inputs=_integers(builder, inputs),
        Outputs=_integers(builder, outputs),
        BuiltinOptionsType=getattr(tflite.BuiltinOptions, options) if options else None,
        OpcodeIndex=code,
    )


def single(
    tmp_path: Path, kind: str, shape: tuple[int, ...], constants: tuple[Array, ...] = (), **options: Any
) -> Path:
    """Write a TFLite network of one operator on PICTURE, with an output of this shape."""
    file = TFLiteFile()
    picture = file.tensor("picture", PICTURE.shape)
    inputs = [picture, *(file.constant(values) for values in constants)]
    scores = file.tensor("scores", shape)
    file.operator(kind, inputs, [scores], **options)
    return file.write(tmp_path / "one.tflite", inputs=[picture], outputs=[scores])


def run(path: Path, picture: Array = PICTURE) -> Array:
    """Convert a TFLite network, run it on an NHWC picture and return its NHWC output."""
    import onnxruntime

    conversion = convert(path)
    session = onnxruntime.InferenceSession(conversion.onnx, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {conversion.input.name: picture.transpose(0, 3, 1, 2)})
    found: Array = scores.transpose(0, 2, 3, 1)
    return found


def write_onnx(
    path: Path,
    nodes: Sequence[Any],
    *,
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    constants: Mapping[str, Array] | None = None,
    types: Mapping[str, int] | None = None,
) -> Path:
    """Write an ONNX file of `helper.make_node` nodes and return its path; float32 unless `types` differs."""

    def infos(shapes: Mapping[str, Sequence[int | str]]) -> list[Any]:
        kinds = types or {}
        return [
            helper.make_tensor_value_info(key, kinds.get(key, TensorProto.FLOAT), list(shape))
            for key, shape in shapes.items()
        ]

    arrays = [numpy_helper.from_array(values, name) for name, values in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "test", infos(inputs), infos(outputs), arrays)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path

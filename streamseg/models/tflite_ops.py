"""TFLite operators as ONNX nodes: one small function for each, named in OPERATORS."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from streamseg.errors import ModelError
from streamseg.models.tflite_graph import Operator
from streamseg.models.tflite_translation import TO_NCHW, TO_NHWC, Step, Translation, onnx_axis

_SAME = 0  # tflite.Padding; the other is VALID


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding before and after an axis of `size` cells."""
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _pads(
    padding: int,
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int] = (1, 1),
) -> list[int]:
    """Return ONNX pads [top, left, bottom, right]."""
    if padding != _SAME:
        return [0, 0, 0, 0]
    vertical, horizontal = (
        same_padding(*axis) for axis in zip(sizes, kernel, strides, dilations, strict=True)
    )
    return [vertical[0], horizontal[0], vertical[1], horizontal[1]]


def _convolution(to: Translation, operator: Operator) -> None:
    picture, weights = operator.inputs[:2]
    options = operator.options
    depthwise = operator.kind == "DEPTHWISE_CONV_2D"
    sizes, channels = to.tensor(picture).shape[1:3], to.tensor(picture).shape[3]
    shape = to.constant(weights).shape
    order = (3, 0, 1, 2) if depthwise else TO_NCHW
    strides = [options.StrideH(), options.StrideW()]
    dilations = [options.DilationHFactor(), options.DilationWFactor()]
    to.emit(
        operator,
        "Conv",
        [to.value(picture), to.weight(weights, order), *to.bias(operator, 2)],
        options.FusedActivationFunction(),
        group=channels if depthwise else channels // shape[3],
        kernel_shape=shape[1:3],
        strides=strides,
        dilations=dilations,
        pads=_pads(options.Padding(), sizes, shape[1:3], strides, dilations),
    )


def _transposed(
    to: Translation,
    operator: Operator,
    *,
    picture: int,
    bias: list[str],
    same: bool,
    strides: tuple[int, int],
    activation: int = 0,
) -> None:
    """Write a transposed convolution whose weights are the operator's input 1."""
    kernel = to.constant(operator.inputs[1]).shape[1:3]
    sizes, wanted = to.tensor(picture).shape[1:3], to.tensor(operator.outputs[0]).shape[1:3]
    pads = [
        (size - 1) * stride + reach - out if same else 0
        for size, stride, reach, out in zip(sizes, strides, kernel, wanted, strict=True)
    ]
    if min(pads) < 0:
        raise ModelError(f"transposed convolution from {sizes} to {wanted} is not supported")
    before = [pad // 2 for pad in pads]
    after = [pad - half for pad, half in zip(pads, before, strict=True)]
    inputs = [to.value(picture), to.weight(operator.inputs[1], (3, 0, 1, 2)), *bias]
    pads = before + after
    to.emit(operator, "ConvTranspose", inputs, activation, kernel_shape=kernel, strides=strides, pads=pads)


def _transpose_conv(to: Translation, operator: Operator) -> None:
    options = operator.options
    _transposed(
        to,
        operator,
        picture=operator.inputs[2],
        bias=to.bias(operator, 3),
        same=options.Padding() == _SAME,
        strides=(options.StrideH(), options.StrideW()),
        activation=options.FusedActivationFunction(),
    )


def _mediapipe_transpose_conv(to: Translation, operator: Operator) -> None:
    # The options are TFLite's C struct TfLiteTransposeConvParams; its padding 1 is SAME.
    padding, stride_width, stride_height = struct.unpack_from("<3i", operator.custom_options)
    _transposed(
        to,
        operator,
        picture=operator.inputs[0],
        bias=to.bias(operator, 2),
        same=padding == 1,
        strides=(stride_height, stride_width),
    )


def _pool(kind: str, **attributes: int) -> Rule:
    def write(to: Translation, operator: Operator) -> None:
        options = operator.options
        kernel = [options.FilterHeight(), options.FilterWidth()]
        strides = [options.StrideH(), options.StrideW()]
        sizes = to.tensor(operator.inputs[0]).shape[1:3]
        to.emit(
            operator,
            kind,
            [to.value(operator.inputs[0])],
            options.FusedActivationFunction(),
            kernel_shape=kernel,
            strides=strides,
            pads=_pads(options.Padding(), sizes, kernel, strides),
            **attributes,
        )

    return write


def _simple(kind: str, **attributes: Any) -> Rule:
    """Return the rule of an operator that ONNX has under another name, whatever the axes."""

    def write(to: Translation, operator: Operator) -> None:
        to.emit(operator, kind, [to.value(index) for index in operator.inputs], **attributes)

    return write


def _arithmetic(kind: str) -> Rule:
    """Return the rule of an operator on two tensors that broadcast."""

    def write(to: Translation, operator: Operator) -> None:
        axes = max(len(to.tensor(index).shape) for index in operator.inputs)
        fused = getattr(operator.options, "FusedActivationFunction", None)
        inputs = [to.value(index, axes) for index in operator.inputs]
        to.emit(operator, kind, inputs, fused() if fused else 0)

    return write


def _relu6(to: Translation, operator: Operator) -> None:
    to.emit(operator, "Clip", [to.value(operator.inputs[0]), to.writer.number(0), to.writer.number(6)])


def _prelu(to: Translation, operator: Operator) -> None:
    picture, slope = operator.inputs
    to.emit(operator, "PRelu", [to.value(picture), to.value(slope, len(to.tensor(picture).shape))])


def _leaky_relu(to: Translation, operator: Operator) -> None:
    to.emit(operator, "LeakyRelu", [to.value(operator.inputs[0])], alpha=operator.options.Alpha())


def _softmax(to: Translation, operator: Operator) -> None:
    inputs = [to.value(operator.inputs[0])]
    beta = operator.options.Beta()
    axis = onnx_axis(-1, len(to.tensor(operator.inputs[0]).shape))
    scale: list[Step] = [("Mul", [*inputs, to.writer.number(beta)], {})] if beta != 1 else []
    to.chain(operator, [*scale, ("Softmax", [] if scale else inputs, {"axis": axis})])


def _mean(to: Translation, operator: Operator) -> None:
    picture, axes = operator.inputs
    rank = len(to.tensor(picture).shape)
    reduced = sorted(axis % rank for axis in to.constant(axes).reshape(-1).tolist())
    keep = bool(operator.options.KeepDims())
    if rank == 4 and not keep and len(reduced) == 1 and reduced[0] in {1, 2}:
        raise ModelError("MEAN over one of height and width is not supported")
    mapped = sorted(onnx_axis(axis, rank) for axis in reduced)
    to.emit(operator, "ReduceMean", [to.value(picture)], axes=mapped, keepdims=int(keep))


def _concatenation(to: Translation, operator: Operator) -> None:
    options = operator.options
    axis = onnx_axis(options.Axis(), len(to.tensor(operator.outputs[0]).shape))
    inputs = [to.value(index) for index in operator.inputs]
    to.emit(operator, "Concat", inputs, options.FusedActivationFunction(), axis=axis)


def _pad(to: Translation, operator: Operator) -> None:
    amounts = to.constant(operator.inputs[1])
    if len(amounts) == 4:
        amounts = amounts[list(TO_NCHW)]
    pads = to.writer.constant(to.name(operator.inputs[1]), amounts.T.reshape(-1).astype(np.int64))
    fill = [to.value(operator.inputs[2])] if len(operator.inputs) > 2 else []
    to.emit(operator, "Pad", [to.value(operator.inputs[0]), pads, *fill])


def _resize(mode: str) -> Rule:
    def write(to: Translation, operator: Operator) -> None:
        options = operator.options
        if options.AlignCorners():
            transform = "align_corners"
        else:
            transform = "half_pixel" if options.HalfPixelCenters() else "asymmetric"
        rounding = "floor" if transform == "asymmetric" else "round_prefer_ceil"
        batch, height, width, channels = to.tensor(operator.outputs[0]).shape
        sizes = np.array([batch, channels, height, width], np.int64)
        wanted = to.writer.constant(f"{to.name(operator.outputs[0])}_sizes", sizes)
        # The empty names are Resize's optional region of interest and scales.
        inputs = [to.value(operator.inputs[0]), "", "", wanted]
        attributes: dict[str, Any] = {"nearest_mode": rounding} if mode == "nearest" else {}
        to.emit(operator, "Resize", inputs, mode=mode, coordinate_transformation_mode=transform, **attributes)

    return write


def _reshape(to: Translation, operator: Operator) -> None:
    target = to.tensor(operator.outputs[0]).shape
    steps: list[Step] = []
    inputs = [to.value(operator.inputs[0])]
    if len(to.tensor(operator.inputs[0]).shape) == 4:
        steps.append(("Transpose", inputs, {"perm": TO_NHWC}))
        inputs = []
    shape = to.writer.constant(f"{to.name(operator.outputs[0])}_shape", np.array(target, np.int64))
    steps.append(("Reshape", [*inputs, shape], {}))
    if len(target) == 4:
        steps.append(("Transpose", [], {"perm": TO_NCHW}))
    to.chain(operator, steps)


def _fully_connected(to: Translation, operator: Operator) -> None:
    options = operator.options
    if len(to.tensor(operator.inputs[0]).shape) != 2 or options.KeepNumDims():
        raise ModelError("FULLY_CONNECTED on more than (N, C) is not supported")
    inputs = [to.value(operator.inputs[0]), to.weight(operator.inputs[1], (0, 1)), *to.bias(operator, 2)]
    to.emit(operator, "Gemm", inputs, options.FusedActivationFunction(), transB=1)


def _depth_to_space(to: Translation, operator: Operator) -> None:
    inputs = [to.value(operator.inputs[0])]
    to.emit(operator, "DepthToSpace", inputs, blocksize=operator.options.BlockSize(), mode="DCR")


Rule = Callable[[Translation, Operator], None]

OPERATORS: dict[str, Rule] = {
    "ADD": _arithmetic("Add"),
    "AVERAGE_POOL_2D": _pool("AveragePool", count_include_pad=0),
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "Convolution2DTransposeBias": _mediapipe_transpose_conv,
    "DEPTHWISE_CONV_2D": _convolution,
    "DEPTH_TO_SPACE": _depth_to_space,
    "DEQUANTIZE": _simple("Identity"),
    "DIV": _arithmetic("Div"),
    "ELU": _simple("Elu"),
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _simple("HardSwish"),
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _simple("Sigmoid"),
    "MAXIMUM": _arithmetic("Max"),
    "MAX_POOL_2D": _pool("MaxPool"),
    "MEAN": _mean,
    "MINIMUM": _arithmetic("Min"),
    "MUL": _arithmetic("Mul"),
    "PAD": _pad,
    "PADV2": _pad,
    "PRELU": _prelu,
    "QUANTIZE": _simple("Identity"),
    "RELU": _simple("Relu"),
    "RELU6": _relu6,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize("linear"),
    "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
    "SUB": _arithmetic("Sub"),
    "TANH": _simple("Tanh"),
    "TRANSPOSE_CONV": _transpose_conv,
}

"""TFLite operators as ONNX nodes: one small function for each, named in OPERATORS."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamseg.errors import ModelError
from streamseg.models.tflite_graph import Operator
from streamseg.models.tflite_translation import TO_NCHW, TO_NHWC, Rule, Step, Translation, onnx_axis
from streamseg.models.tflite_windows import convolution, mediapipe_transpose_conv, pool, transpose_conv


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
    inputs, axes = [to.value(operator.inputs[0])], _reduced(to, operator)
    to.emit(operator, "ReduceMean", inputs, axes=axes, keepdims=_kept(operator))


def _sum(to: Translation, operator: Operator) -> None:
    # Unlike ReduceMean, ReduceSum takes its axes as an input since opset 13.
    axes = np.array(_reduced(to, operator), np.int64)
    inputs = [to.value(operator.inputs[0]), to.writer.constant(f"{to.name(operator.outputs[0])}_axes", axes)]
    to.emit(operator, "ReduceSum", inputs, keepdims=_kept(operator))


def _kept(operator: Operator) -> int:
    return int(operator.options.KeepDims())


def _reduced(to: Translation, operator: Operator) -> list[int]:
    """Return the ONNX axes a reduction goes over. Raises ModelError where those left would change places."""
    rank = len(to.tensor(operator.inputs[0]).shape)
    axes = {axis % rank for axis in to.constant(operator.inputs[1]).reshape(-1).tolist()}
    if rank == 4 and not _kept(operator) and len(axes & {1, 2}) == 1 and 3 not in axes:
        raise ModelError(f"{operator.kind} over one of height and width is not supported")
    return sorted(onnx_axis(axis, rank) for axis in axes)


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


def _transpose(to: Translation, operator: Operator) -> None:
    order = to.constant(operator.inputs[1]).tolist()
    if len(order) == 4:
        order = [onnx_axis(order[axis], 4) for axis in TO_NCHW]
    to.emit(operator, "Transpose", [to.value(operator.inputs[0])], perm=order)


def _fully_connected(to: Translation, operator: Operator) -> None:
    source, weights = operator.inputs[:2]
    bias, activation = to.bias(operator, 2), operator.options.FusedActivationFunction()
    ranks = [len(to.tensor(index).shape) for index in (source, operator.outputs[0])]
    if ranks == [4, 4]:
        kernel = to.writer.constant(to.name(weights), to.constant(weights)[:, :, None, None])
        to.emit(operator, "Conv", [to.value(source), kernel, *bias], activation)
    elif ranks == [2, 2]:
        inputs = [to.value(source), to.weight(weights, (0, 1)), *bias]
        to.emit(operator, "Gemm", inputs, activation, transB=1)
    else:
        raise ModelError(f"FULLY_CONNECTED from {ranks[0]} to {ranks[1]} axes is not supported")


def _depth_to_space(to: Translation, operator: Operator) -> None:
    inputs = [to.value(operator.inputs[0])]
    to.emit(operator, "DepthToSpace", inputs, blocksize=operator.options.BlockSize(), mode="DCR")


OPERATORS: dict[str, Rule] = {
    "ADD": _arithmetic("Add"),
    "AVERAGE_POOL_2D": pool("AveragePool", count_include_pad=0),
    "CONCATENATION": _concatenation,
    "CONV_2D": convolution,
    "Convolution2DTransposeBias": mediapipe_transpose_conv,
    "DEPTHWISE_CONV_2D": convolution,
    "DEPTH_TO_SPACE": _depth_to_space,
    "DEQUANTIZE": _simple("Identity"),
    "DIV": _arithmetic("Div"),
    "ELU": _simple("Elu"),
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _simple("HardSwish"),
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _simple("Sigmoid"),
    "MAXIMUM": _arithmetic("Max"),
    "MAX_POOL_2D": pool("MaxPool"),
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
    "SUM": _sum,
    "TANH": _simple("Tanh"),
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": transpose_conv,
}

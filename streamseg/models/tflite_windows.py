"""TFLite operators that slide a window over a picture, as ONNX nodes: convolutions and pooling."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from streamseg.errors import ModelError
from streamseg.models.tflite_graph import Operator
from streamseg.models.tflite_translation import TO_NCHW, Rule, Translation

_SAME = 0  # tflite.Padding; the other is VALID


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
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
        _same_padding(*axis) for axis in zip(sizes, kernel, strides, dilations, strict=True)
    )
    return [vertical[0], horizontal[0], vertical[1], horizontal[1]]


def convolution(to: Translation, operator: Operator) -> None:
    """Write CONV_2D or DEPTHWISE_CONV_2D."""
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


def transpose_conv(to: Translation, operator: Operator) -> None:
    """Write TRANSPOSE_CONV."""
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


def mediapipe_transpose_conv(to: Translation, operator: Operator) -> None:
    """Write MediaPipe's Convolution2DTransposeBias."""
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


def pool(kind: str, **attributes: int) -> Rule:
    """Return the rule of a pooling operator."""

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

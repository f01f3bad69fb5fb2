"""Converts a .tflite network to ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamseg.errors import ModelError, reason
from streamseg.models.card import InputSpec, OutputSpec
from streamseg.models.onnx_writer import OnnxWriter
from streamseg.models.rewriting import rewrite
from streamseg.models.tflite_graph import DAMAGE, Graph, Operator, read_graph
from streamseg.models.tflite_ops import OPERATORS
from streamseg.models.tflite_translation import Translation

_TRANSPARENT = {"DEQUANTIZE", "QUANTIZE", "RESHAPE", "RESIZE_BILINEAR"}
"""Operators that leave open what the numbers mean."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A network as ONNX, and what the TFLite file told about it."""

    onnx: bytes
    input: InputSpec
    output: OutputSpec
    channels: int


def convert(path: Path) -> Conversion:
    """Convert a .tflite file with one picture as input. Raises ModelError naming what cannot be converted.

    float16 weights stay float16, quantised networks become float32.
    """
    try:
        return _convert(read_graph(path))
    except ModelError as error:
        raise ModelError(f"cannot import {str(path)!r}: {error}") from error
    except DAMAGE as error:
        raise ModelError(f"cannot import {str(path)!r}: damaged TFLite file ({reason(error)})") from error


def _convert(graph: Graph) -> Conversion:
    picture = _picture(graph)
    scores, align_corners = _scores(graph)
    writer = OnnxWriter()
    translation = Translation(graph, writer)
    translation.names = {index: graph.tensors[index].name for index in (picture, scores)}
    for operator in _needed(graph, scores):
        _write(translation, operator)
    shapes = translation.shapes()
    rewrite(writer, shapes)
    taken, given = translation.name(picture), translation.name(scores)
    return Conversion(
        onnx=writer.serialised(inputs={taken: shapes[taken]}, outputs={given: shapes[given]}),
        input=_input_spec(graph, picture),
        output=OutputSpec(name=given, kind=_kind(graph, scores), align_corners=align_corners),
        channels=shapes[given][1],
    )


def _picture(graph: Graph) -> int:
    shapes = [graph.tensors[index].shape for index in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][0] != 1 or shapes[0][3] not in {1, 3}:
        raise ModelError(f"it takes {_listed(shapes)}, expected one picture (1, H, W, 3) or (1, H, W, 1)")
    return graph.inputs[0]


def _scores(graph: Graph) -> tuple[int, bool]:
    """Return the output that is a score for each cell, and whether its corner cells sit on corner pixels.

    A final argmax and enlarging are left out: scores are better interpolated once, to the frame's own size.
    """
    for index in graph.outputs:
        align_corners = False
        maker = graph.maker(index)
        while maker and maker.kind in {"ARG_MAX", "CAST", "RESIZE_BILINEAR"}:
            if maker.kind == "RESIZE_BILINEAR":
                if not (maker.options.AlignCorners() or maker.options.HalfPixelCenters()):
                    break
                align_corners = bool(maker.options.AlignCorners())
            index = maker.inputs[0]
            maker = graph.maker(index)
        if len(graph.tensors[index].shape) == 4:
            return index, align_corners
    shapes = [graph.tensors[index].shape for index in graph.outputs]
    raise ModelError(f"it gives {_listed(shapes)}, expected scores (1, h, w, C)")


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes)) or "nothing"


def _needed(graph: Graph, scores: int) -> list[Operator]:
    """Return the operators that `scores` depends on, in order."""
    wanted, needed = {scores}, []
    for operator in reversed(graph.operators):
        if wanted.intersection(operator.outputs):
            wanted.update(operator.inputs)
            needed.append(operator)
    return needed[::-1]


def _write(translation: Translation, operator: Operator) -> None:
    source, target = operator.inputs[0], operator.outputs[0]
    if operator.kind == "DEQUANTIZE" and translation.tensor(source).constant is not None:
        translation.tensor(target).constant = translation.tensor(source).constant
        return
    if operator.kind not in OPERATORS:
        raise ModelError(
            f"operator {operator.kind} is not supported; supported: {', '.join(sorted(OPERATORS))}"
        )
    OPERATORS[operator.kind](translation, operator)


def _input_spec(graph: Graph, index: int) -> InputSpec:
    """Return the input as the file has it; a float network is taken to expect 0..1."""
    tensor = graph.tensors[index]
    _, height, width, channels = tensor.shape
    spec = InputSpec(name=tensor.name, width=width, height=height, colour="rgb" if channels == 3 else "grey")
    if tensor.code_scale is None:
        return spec
    lowest = tensor.code_range[0]  # int8 codes are a picture's codes minus 128
    mean = (tensor.code_zero - lowest) * tensor.code_scale
    return InputSpec(
        name=spec.name,
        width=width,
        height=height,
        colour=spec.colour,
        scale=tensor.code_scale,
        mean=(mean,),
    )


def _kind(graph: Graph, scores: int) -> Literal["probability", "logits"]:
    maker = graph.maker(scores)
    while maker and maker.kind in _TRANSPARENT:
        maker = graph.maker(maker.inputs[0])
    return "probability" if maker and maker.kind in {"LOGISTIC", "SOFTMAX"} else "logits"

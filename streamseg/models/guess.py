"""A card for a bare .onnx file: shapes from ONNX Runtime, meaning from names, shapes and a probe run.

What a file cannot tell (normalisation, colour order, class names) gets the usual values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import ModelError, reason
from streamseg.models.card import InputSpec, Layout, ModelCard, OutputSpec, StateSpec
from streamseg.models.files import sha256
from streamseg.models.usual import guessed_classes, guessed_range
from streamseg.runtimes.onnxruntime import why

DYNAMIC_SIZE = 256
"""Width and height of a network that leaves its input's size open."""

_MATTES = ("pha", "alpha", "matte")
"""Outputs preferred to earlier ones: matting networks give the coloured foreground first."""

_STATE_ENDINGS = (("i", "o"), ("in", "out"), ("input", "output"))


class _Port(NamedTuple):
    """An input or output as ONNX Runtime reports it; open sizes are texts or None."""

    name: str
    shape: list[int | str | None]
    type: str


def guess_card(path: Path) -> ModelCard:
    """Return a card for an .onnx file. Raises ModelError: unreadable or not understood."""
    try:
        digest = sha256(path)
    except OSError as error:
        raise ModelError(f"cannot open model {str(path)!r}: {reason(error)}") from error
    session = _session(path)
    try:
        return _guessed(session, path, digest)
    except ModelError as error:
        raise ModelError(f"cannot use model {str(path)!r}: {error}") from error


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base but this
        raise ModelError(f"cannot open model {str(path)!r}: {why(error)}") from error


def _guessed(session: Any, path: Path, digest: str) -> ModelCard:
    inputs = [_Port(port.name, list(port.shape), port.type) for port in session.get_inputs()]
    outputs = [_Port(port.name, list(port.shape), port.type) for port in session.get_outputs()]
    picture = _picture(inputs)
    states = _states([port for port in inputs if port.name != picture.name], outputs)
    handed_on = {state.output for state in states}
    output, channels = _output(session, picture, states, [o for o in outputs if o.name not in handed_on])
    classes, foreground = guessed_classes(channels)
    return ModelCard(
        name=path.stem,
        title=f"Guessed from {path.name}",
        licence="unknown",
        source=str(path),
        weights=path.name,
        sha256=digest,
        classes=classes,
        foreground=foreground,
        input=guessed_range(picture, output),
        output=output,
        states=states,
        path=path.resolve().parent,
    )


def _picture(inputs: list[_Port]) -> InputSpec:
    for port in inputs:
        layout = _input_layout(port.shape)
        if layout is None:
            continue
        if port.type != "tensor(float)":
            raise ModelError(
                f"input {port.name!r} is {port.type}, expected float32; export it with float32 input"
            )
        _, *cells = port.shape
        height, width = cells[1:] if layout == "nchw" else cells[:2]
        channels = cells[0] if layout == "nchw" else cells[2]
        return InputSpec(
            name=port.name,
            width=width if isinstance(width, int) else DYNAMIC_SIZE,
            height=height if isinstance(height, int) else DYNAMIC_SIZE,
            colour="grey" if channels == 1 else "rgb",
            layout=layout,
        )
    found = ", ".join(f"{port.name!r} {port.shape}" for port in inputs)
    raise ModelError(f"found inputs {found}; expected a picture (1, 3, H, W) or (1, H, W, 3), or grey")


def _input_layout(shape: list[int | str | None]) -> Layout | None:
    if len(shape) != 4:
        return None
    if shape[1] in {1, 3}:
        return "nchw"
    return "nhwc" if shape[3] in {1, 3} else None


def _states(inputs: list[_Port], outputs: list[_Port]) -> tuple[StateSpec, ...]:
    """Return pairs like r1i and r1o, state_in and state_out: same beginning, same shape."""
    states = []
    for port in inputs:
        names = {port.name.removesuffix(i) + o for i, o in _STATE_ENDINGS if port.name.endswith(i)}
        partner = next((output for output in outputs if output.name in names), None)
        fixed = tuple(size for size in port.shape if isinstance(size, int))
        if partner is None or len(fixed) != len(port.shape) or partner.shape != port.shape:
            raise ModelError(
                f"input {port.name!r} {port.shape} is neither the picture nor a recurrent state of fixed "
                "size; export the network with all sizes and options fixed"
            )
        states.append(StateSpec(input=port.name, output=partner.name, shape=fixed))
    return tuple(states)


def _output(
    session: Any, picture: InputSpec, states: tuple[StateSpec, ...], candidates: list[_Port]
) -> tuple[OutputSpec, int]:
    """Return the output to read and its channels, judged by two runs on noise."""
    ordered = sorted(candidates, key=lambda port: port.name not in _MATTES)
    names = [port.name for port in ordered if port.type.startswith("tensor(")]
    random = np.random.default_rng(0)
    runs = [_probe(session, names, picture, states, random) for _ in range(2)]
    for name, *tensors in zip(names, *runs, strict=True):
        if tensors[0].dtype.kind in "iu" and tensors[0].ndim in {3, 4}:
            return OutputSpec(name=name, kind="labels", layout=_output_layout(tensors[0])), 256
        if tensors[0].ndim == 4:
            layout = _output_layout(tensors[0])
            axis = 1 if layout == "nchw" else 3
            corners = _align_corners(picture, tensors[0].shape[2 if layout == "nchw" else 1])
            spec = OutputSpec(name=name, kind=_kind(tensors, axis), layout=layout, align_corners=corners)
            return spec, tensors[0].shape[axis]
    shapes = ", ".join(f"{name!r} {tensor.shape}" for name, tensor in zip(names, runs[0], strict=True))
    raise ModelError(f"found outputs {shapes or 'none'}, expected scores (1, C, h, w) or labels (1, h, w)")


def _probe(
    session: Any,
    names: list[str],
    picture: InputSpec,
    states: tuple[StateSpec, ...],
    random: np.random.Generator,
) -> list[NDArray[Any]]:
    """Return these outputs for a picture of noise."""
    feeds = {state.input: np.zeros(state.shape, np.float32) for state in states}
    feeds[picture.name] = random.random(picture.shape, np.float32)
    try:
        tensors: list[NDArray[Any]] = session.run(names, feeds)
    except Exception as error:  # as in _session
        raise ModelError(f"it does not run on a picture {picture.shape}: {why(error)}") from error
    return tensors


def _output_layout(scores: NDArray[Any]) -> Layout:
    """Return which axis is the classes': the last if it is the shortest."""
    return "nhwc" if scores.ndim == 4 and scores.shape[3] < min(scores.shape[1:3]) else "nchw"


def _align_corners(picture: InputSpec, height: int) -> bool:
    """Return whether the output stride is whole only between corner cells: 513 to 33, not 512 to 32."""
    tiled = picture.height % height == 0
    return not tiled and height > 1 and (picture.height - 1) % (height - 1) == 0


def _kind(runs: list[NDArray[Any]], axis: int) -> Literal["probability", "logits"]:
    """Return whether scores are probabilities: within 0..1 and, of several classes, summing to one."""
    for scores in runs:
        if scores.min() < 0 or scores.max() > 1:
            return "logits"
        if scores.shape[axis] > 1 and not np.allclose(scores.sum(axis), 1, atol=1e-2):
            return "logits"
    return "probability"

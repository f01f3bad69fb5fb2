"""The ONNX network as TensorRT is to see it: batch, sizes and types are said in the network itself.

TensorRT takes every type from the ONNX file and chooses none, so half precision is a change of the file. ONNX
Runtime brings a converter for that, which is kept up with it and needs only `onnx` beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from streamseg.errors import ModelError, pip_install, reason
from streamseg.models.card import ModelCard
from streamseg.plans.int8 import Calibration, quantised
from streamseg.plans.plan import PlanSpec, Profile, Shape

RECIPE = 2
"""Goes up when the same card and spec become another network: plans are then built anew."""

_BATCH = "batch"

_FULL_PRECISION = ("CumSum", "NonMaxSuppression", "Range", "RoiAlign", "TopK")
"""Operators that count or sort: no gain in half precision, and wrong beyond 2048."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network ready to be parsed."""

    onnx: bytes
    dtypes: dict[str, str]
    """Input or output -> type as numpy names it."""
    profiles: dict[str, Profile]
    """Input -> the shapes it may have."""

    @property
    def ranged(self) -> bool:
        """Whether any shape is left open."""
        return any(profile.low != profile.high for profile in self.profiles.values())


def prepared(card: ModelCard, spec: PlanSpec, calibration: Calibration | None = None) -> Network:
    """Return a card's network with the batch, sizes and types of `spec`. Raises ModelError."""
    try:
        model = folded(load(card))
        _drop_outputs(model, card)
        profiles = _profiles(card, spec)
        _open(model, card, profiles)
        if spec.batch > 1:
            _free_batch(model, card, spec.batch)
        if calibration is not None:
            model = quantised(model, calibration)
        if spec.precision != "fp32":
            model = halved(model)
        types = {value.name: _dtype(value) for value in [*model.graph.input, *model.graph.output]}
        return Network(model.SerializeToString(), types, profiles)
    except ModelError:
        raise
    except Exception as error:  # onnx and the converter raise what they like
        raise ModelError(f"cannot prepare network {card.weights!r}: {reason(error)}") from error


def load(card: ModelCard) -> Any:
    """Return a card's verified network as onnx reads it. Raises ModelError."""
    try:
        import onnx
        import onnx.shape_inference
    except ImportError as error:
        raise ModelError(
            f"building plans needs the package 'onnx'; install it: {pip_install('onnx')}"
        ) from error
    path = card.verified_weights()
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's and onnx's own types share no base but this
        raise ModelError(f"cannot read network {path.name!r}: {reason(error)}") from error


def folded(model: Any) -> Any:
    """Compute the casts of stored weights now, so that weights are constants for all that follows."""
    from onnx import helper, numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    casts = [node for node in model.graph.node if node.op_type == "Cast" and node.input[0] in weights]
    for node in casts:
        target = helper.tensor_dtype_to_np_dtype(node.attribute[0].i)
        stored = numpy_helper.to_array(weights[node.input[0]])
        model.graph.initializer.append(numpy_helper.from_array(stored.astype(target), node.output[0]))
        model.graph.node.remove(node)
    used = {name for node in model.graph.node for name in node.input}
    for name, tensor in weights.items():
        if name not in used:
            model.graph.initializer.remove(tensor)
    return model


def halved(model: Any) -> Any:
    """Return the network in half precision, inputs and outputs too: they are rounded once either way."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    half = convert_float_to_float16(
        model,
        keep_io_types=False,
        op_block_list=list(_FULL_PRECISION),
        force_fp16_initializers=True,
    )
    _sort(half.graph)
    return half


def _sort(graph: Any) -> None:
    """Put every node after those it reads; the converter appends its casts of inputs at the end."""
    waiting = [type(node).FromString(node.SerializeToString()) for node in graph.node]
    made = {name for node in waiting for name in node.output}
    del graph.node[:]
    while waiting:
        ready = [node for node in waiting if made.isdisjoint(_reads(node))]
        if not ready:
            raise ModelError("the network's nodes wait for each other")
        graph.node.extend(ready)
        made.difference_update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not made.isdisjoint(node.output)]


def _reads(node: Any) -> set[str]:
    """Return what a node reads, also in the branches of an If or the body of a Loop."""
    inner = [part for attribute in node.attribute for part in attribute.g.node]
    return set(node.input).union(*map(_reads, inner))


def _profiles(card: ModelCard, spec: PlanSpec) -> dict[str, Profile]:
    if spec.sizes and card.states:
        raise ModelError(f"the input size of {card.name!r} is fixed by the states on its card")
    usual = card.input.width, card.input.height
    low, usual, high = spec.sizes or (usual, usual, usual)

    def picture(batch: int, size: tuple[int, int]) -> Shape:
        width, height = size
        channels = card.input.channels
        nchw = card.input.layout == "nchw"
        return (batch, channels, height, width) if nchw else (batch, height, width, channels)

    profiles = {
        card.input.name: Profile(picture(1, low), picture(spec.batch, usual), picture(spec.batch, high))
    }
    for state in card.states:
        full = spec.batch, *state.shape[1:]
        profiles[state.input] = Profile((1, *state.shape[1:]), full, full)
    return profiles


def _drop_outputs(model: Any, card: ModelCard) -> None:
    """Leave out the outputs nobody reads: a matting network's colours cost time and memory."""
    names = [card.output.name, *(state.output for state in card.states)]
    found = {value.name: value for value in model.graph.output}
    for name in names:
        if name not in found:
            listed = ", ".join(map(repr, found))
            raise ModelError(f"network {card.weights!r} has no output {name!r}; it has {listed}")
    for name in found.keys() - set(names):
        model.graph.output.remove(found[name])


def _open(model: Any, card: ModelCard, profiles: dict[str, Profile]) -> None:
    """Give every input the shape of its profile, a name where that is a range."""
    found = {value.name: value for value in model.graph.input}
    if set(found) != set(profiles):
        given, taken = (", ".join(map(repr, names)) for names in (profiles, found))
        raise ModelError(f"network {card.weights!r} takes {taken}, its card {card.name!r} gives {given}")
    for name, profile in profiles.items():
        axes = found[name].type.tensor_type.shape.dim
        stored = [axis.dim_value for axis in axes]
        if len(stored) != len(profile.high):
            raise ModelError(f"input {name!r} of {card.weights!r} is {stored}, the plan {list(profile.high)}")
        for axis, size, low, high in zip(range(len(stored)), stored, profile.low, profile.high, strict=True):
            if axis and size and not size == low == high:
                raise ModelError(
                    f"input {name!r} of {card.weights!r} has the fixed shape {stored}, asked for was "
                    f"{list(profile.low)} to {list(profile.high)}; only networks with open sizes take others"
                )
            if low == high:
                axes[axis].dim_value = low
            else:
                axes[axis].dim_param = _BATCH if axis == 0 else f"{name}_{axis}"
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def _free_batch(model: Any, card: ModelCard, batch: int) -> None:
    """Rewrite what says batch 1 in so many words, then make sure that every output follows the batch."""
    import onnx

    single = onnx.ModelProto()
    single.CopyFrom(model)
    sizes = _shapes(single, 1)
    for node in model.graph.node:
        if node.op_type == "Resize" and len(node.input) == 4:
            _scale(model, node, sizes)
        elif node.op_type == "Reshape":
            _keep_batch(model, node)
    many = onnx.ModelProto()
    many.CopyFrom(model)
    found = _shapes(many, batch)
    for value in model.graph.output:
        before, after = sizes.get(value.name), found.get(value.name)
        if not before or not after or before[0] != 1 or after != (batch, *before[1:]):
            raise ModelError(
                f"network {card.weights!r} works on one picture at a time: for {batch} its output "
                f"{value.name!r} is {after and list(after)}; leave the batch at 1"
            )


def _shapes(model: Any, batch: int) -> dict[str, Shape]:
    """Return the shape of every tensor whose shape is known, for a batch."""
    import onnx

    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = batch
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    return {
        value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim) for value in values
    }


def _scale(model: Any, node: Any, shapes: dict[str, Shape]) -> None:
    """Have a Resize multiply its sizes rather than name them: they name the batch as well."""
    import numpy as np
    from onnx import numpy_helper

    before, after = shapes.get(node.input[0], ()), shapes.get(node.output[0], ())
    if not before or not all(before) or not all(after):
        return
    scales = [_ratio(old, new) for old, new in zip(before, after, strict=True)]
    name = f"{node.output[0]}_scales"
    model.graph.initializer.append(numpy_helper.from_array(np.array(scales, np.float32), name))
    node.input[2] = name
    del node.input[3]


def _ratio(old: int, new: int) -> float:
    """Return the float32 whose product with `old` rounds down to `new`."""
    import numpy as np

    ratio = np.float32(new / old)
    while math.floor(float(np.float32(old) * ratio)) < new:
        ratio = np.nextafter(ratio, np.float32(np.inf))
    return float(ratio)


def _keep_batch(model: Any, node: Any) -> None:
    """Have a Reshape to (1, ...) copy the batch instead."""
    from onnx import numpy_helper

    for tensor in model.graph.initializer:
        if tensor.name == node.input[1]:
            shape = numpy_helper.to_array(tensor).copy()
            if len(shape) > 1 and shape[0] == 1:
                shape[0] = 0
                name = f"{node.output[0]}_shape"
                model.graph.initializer.append(numpy_helper.from_array(shape, name))
                node.input[1] = name
            return


def _dtype(value: Any) -> str:
    from onnx import helper

    return str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))

"""The emulated TensorRT computes in half precision: ONNX Runtime alone would only pretend to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from streamseg.models import find_model
from streamseg.plans import PlanSpec
from streamseg.plans.onnx_types import prepared
from tests import networks
from tests.emulator.half import rounded
from tests.planning import portrait, run


def computed(network: bytes, picture: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of a network of one input and one output."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: picture})[0])


@pytest.mark.parametrize("operator", ["Add", "Mul", "Sub", "Div"])
def test_each_result_is_that_of_float16(operator: str, tmp_path: Path) -> None:
    """To the bit, whatever is added or multiplied, and in between too."""
    some, others = (np.random.default_rng(seed).normal(0, 8, 4096).astype(np.float16) for seed in (1, 2))
    nodes = [
        helper.make_node(operator, ["picture", "others"], ["between"]),
        helper.make_node("Add", ["between", "large"], ["scores"]),
    ]
    constants = {"others": others, "large": np.array([1000], np.float16)}
    places = [("picture", [4096])], [("scores", [4096])]
    path = networks.save(tmp_path / "sum.onnx", nodes, *places, constants, networks.FLOAT16)
    with np.errstate(all="ignore"):
        kinds = {"Add": np.add, "Mul": np.multiply, "Sub": np.subtract, "Div": np.divide}
        between = kinds[operator](some, others)
        wanted = between + np.float16(1000)
    usable = (np.abs(between) < 30000) & (np.abs(wanted) > 0.01)  # no overflow, nothing subnormal
    found = computed(rounded(path.read_bytes()), some.astype(np.float32))
    assert usable.mean() > 0.9
    np.testing.assert_array_equal(found[usable], wanted[usable])


def test_a_network_differs_as_it_does_in_true_float16() -> None:
    """The default one: about as far from full precision as onnx's own evaluator in float16 is."""
    card = find_model("selfie")
    half, full = (prepared(card, PlanSpec(precision=each)).onnx for each in ("fp16", "fp32"))  # type: ignore[arg-type]
    picture = portrait(card)[0].astype(np.float16)
    exact = run(card, full, picture.astype(np.float32))
    with np.errstate(all="ignore"):
        true = ReferenceEvaluator(onnx.load_from_string(half)).run(None, {card.input.name: picture})[0]
    found = computed(rounded(half), picture.astype(np.float32))
    shares = [float(np.abs(each.astype(np.float32) - exact).mean()) for each in (found, true)]
    assert 0.5 * shares[1] < shares[0] < 2 * shares[1]
    assert np.abs(found - true).mean() < shares[1]


def test_networks_without_float16_stay_as_they_are() -> None:
    """Full precision is not touched; stored weights in half precision become float32 of the same value."""
    card = find_model("selfie")
    full, half = (prepared(card, PlanSpec(precision=each)).onnx for each in ("fp32", "fp16"))  # type: ignore[arg-type]
    assert rounded(full) == full
    before, after = (onnx.load_from_string(each).graph.initializer for each in (half, rounded(half)))
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in after}
    for tensor in before:
        np.testing.assert_array_equal(stored[tensor.name], numpy_helper.to_array(tensor))
        assert stored[tensor.name].dtype != np.float16

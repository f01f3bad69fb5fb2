"""The network TensorRT is given: folded weights, half precision, batches, sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from streamseg.errors import ModelError, UsageError
from streamseg.models import find_model
from streamseg.models.card import InputSpec, StateSpec
from streamseg.plans import PlanSpec
from streamseg.plans.onnx_types import _ratio, prepared
from tests import networks
from tests.planning import portrait, run, shared

FULL, HALF = PlanSpec(precision="fp32"), PlanSpec()


def kinds(model: onnx.ModelProto) -> set[int]:
    """The types of all floating-point weights."""
    floats = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    return {tensor.data_type for tensor in model.graph.initializer if tensor.data_type in floats}


@pytest.mark.parametrize("name", ["selfie", "selfie-landscape"])
def test_full_precision_is_the_network_of_the_card(name: str) -> None:
    """Weights stored in half precision become float32 constants, and the output stays the same to the bit."""
    card = find_model(name)
    network = prepared(card, FULL)
    model = onnx.load_from_string(network.onnx)
    assert kinds(model) == {onnx.TensorProto.FLOAT}
    assert not [node for node in model.graph.node if node.op_type == "Cast"]
    picture = portrait(card)[0]
    assert np.array_equal(
        run(card, network.onnx, picture), run(card, card.verified_weights().read_bytes(), picture)
    )


@pytest.mark.parametrize("name", ["selfie", "selfie-landscape"])
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # the evaluator's own sigmoid overflows
def test_half_precision_finds_the_same_mask(name: str) -> None:
    """Computed in true float16, every pixel that is not within 0.01 of the threshold keeps its class."""
    card = find_model(name)
    half = onnx.load_from_string(prepared(card, HALF).onnx)
    onnx.checker.check_model(half)
    assert kinds(half) == {onnx.TensorProto.FLOAT16}
    picture = portrait(card)[0]
    full = run(card, prepared(card, FULL).onnx, picture)
    found = ReferenceEvaluator(half).run(None, {card.input.name: picture.astype(np.float16)})[0]
    assert found.dtype == np.float16
    differing = (found > 0.5) != (full > 0.5)
    assert 0.05 < (full > 0.5).mean() < 0.95
    assert not (differing & (np.abs(full - 0.5) > 0.01)).any()


def test_recurrent_half_precision(data: Path) -> None:
    """RobustVideoMatting in half precision keeps its mask, and every stored weight is half."""
    card = shared(data, "rvm")
    network, picture = prepared(card, HALF), portrait(card)[0]
    assert kinds(onnx.load_from_string(network.onnx)) == {onnx.TensorProto.FLOAT16}
    full, half = run(card, prepared(card, FULL).onnx, picture), run(card, network.onnx, picture)
    assert not (((full > 0.5) != (half > 0.5)) & (np.abs(full - 0.5) > 0.01)).any()


def test_nineteen_classes_in_half_precision(data: Path) -> None:
    """Scores reach 20, where float16 rounds to 0.016: classes stay the same wherever they are 0.2 apart."""
    card = shared(data, "deeplab-cityscapes")
    picture = portrait(card)[0]
    full, half = (run(card, prepared(card, spec).onnx, picture) for spec in (FULL, HALF))
    best = np.sort(full, axis=1)
    clear = best[:, -1] - best[:, -2] > 0.2
    assert clear.mean() > 0.8
    assert np.array_equal(full.argmax(1)[clear], half.argmax(1)[clear])


def test_outputs_nobody_reads_are_left_out(data: Path) -> None:
    """Of RobustVideoMatting's outputs the opacity and the states stay; the colours are not computed."""
    card = shared(data, "rvm")
    assert "fgr" not in prepared(card, HALF).dtypes
    assert set(prepared(card, HALF).dtypes) >= {"pha", "r1o", "r4o", "src", "r1i"}


def test_inputs_and_outputs_in_half_precision() -> None:
    """The network takes and gives float16 itself: nothing is cast on the way."""
    network = prepared(find_model("selfie"), HALF)
    assert set(network.dtypes.values()) == {"float16"}
    assert not [node for node in onnx.load_from_string(network.onnx).graph.node if node.op_type == "Cast"]
    assert set(prepared(find_model("selfie"), FULL).dtypes.values()) == {"float32"}


@pytest.mark.parametrize("name", ["selfie", "selfie-landscape", "rvm", "deeplab-cityscapes"])
def test_a_batch_is_what_its_pictures_are_alone(name: str, data: Path) -> None:
    """Three pictures at once give what each gives alone, though the file says batch 1 in its resizings."""
    card = find_model(name) if name.startswith("selfie") else shared(data, name)
    pictures = portrait(card, 3)
    single = prepared(card, FULL).onnx
    many = run(card, prepared(card, PlanSpec(precision="fp32", batch=4)).onnx, np.concatenate(pictures))
    for picture, found in zip(pictures, many, strict=True):
        assert np.allclose(run(card, single, picture)[0], found, atol=1e-4)


def test_a_network_that_cannot_take_a_batch(tmp_path: Path) -> None:
    """A network that adds up over its batch is refused, in a line that says what came out."""
    nodes = [helper.make_node("ReduceMean", ["picture"], ["scores"], axes=[0], keepdims=1)]
    networks.save(tmp_path / "mean.onnx", nodes, [("picture", [1, 3, 32, 32])], [("scores", [1, 3, 32, 32])])
    with pytest.raises(
        ModelError, match=r"one picture at a time: for 2 its output 'scores' is \[1, 3, 32, 32\]"
    ):
        prepared(networks.card(tmp_path, "mean.onnx"), PlanSpec(batch=2))


def test_a_reshape_follows_the_batch(tmp_path: Path) -> None:
    """A network that reshapes to batch 1 by name takes more all the same."""
    nodes = [
        helper.make_node("Reshape", ["picture", "flat"], ["row"]),
        helper.make_node("Sigmoid", ["row"], ["sure"]),
        helper.make_node("Reshape", ["sure", "square"], ["scores"]),
    ]
    shape = [1, 1, 32, 32]
    constants = {"flat": np.array([1, 1024]), "square": np.array(shape)}
    networks.save(tmp_path / "row.onnx", nodes, [("picture", shape)], [("scores", shape)], constants)
    spec = InputSpec(name="picture", width=32, height=32, colour="grey")
    card = networks.card(tmp_path, "row.onnx", input=spec)
    pictures = np.random.default_rng(0).random((3, 1, 32, 32), np.float32)
    assert run(card, prepared(card, PlanSpec(precision="fp32", batch=4)).onnx, pictures).shape == (
        3,
        1,
        32,
        32,
    )


def test_sizes_a_network_leaves_open(tmp_path: Path) -> None:
    """A size is fixed where one is asked for, open where a range is; each reaches the profile."""
    card = open_sizes(tmp_path)
    fixed = prepared(card, PlanSpec(sizes=((64, 48),) * 3))
    assert not fixed.ranged
    assert fixed.profiles["picture"].usual == (1, 3, 48, 64)
    ranged = prepared(card, PlanSpec(sizes=((32, 32), (64, 48), (128, 96)), batch=2))
    profile = ranged.profiles["picture"]
    assert (profile.low, profile.usual, profile.high) == ((1, 3, 32, 32), (2, 3, 48, 64), (2, 3, 96, 128))
    assert prepared(card, PlanSpec()).profiles["picture"].high == (1, 3, 128, 128)
    picture = np.random.default_rng(0).random((1, 3, 40, 56), np.float32)
    assert run(card, ranged.onnx, picture).shape == (1, 2, 40, 56)


def open_sizes(folder: Path) -> networks.ModelCard:
    """A network with an open height and width."""
    card = networks.bright_two_classes(folder)
    model = onnx.load(str(folder / "bright.onnx"))
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in ((2, "h"), (3, "w")):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    onnx.save(model, str(folder / "open.onnx"))
    return networks.card(folder, "open.onnx", input=card.input)


def test_sizes_a_network_has_fixed(tmp_path: Path) -> None:
    """Another size than the file's is refused; so is any for a network that remembers."""
    with pytest.raises(ModelError, match=r"has the fixed shape \[1, 3, 256, 256\]"):
        prepared(find_model("selfie"), PlanSpec(sizes=((64, 48),) * 3))
    with pytest.raises(ModelError, match="fixed by the states on its card"):
        prepared(networks.counting(tmp_path), PlanSpec(sizes=((32, 32),) * 3))


def test_a_card_that_describes_another_network(tmp_path: Path) -> None:
    """Missing inputs, missing outputs and other ranks are said in a line."""
    card = networks.identity(tmp_path)
    state = StateSpec(input="before", output="after", shape=(1, 1))
    with pytest.raises(ModelError, match="has no output 'after'; it has 'scores'"):
        prepared(replace(card, states=(state,)), HALF)
    with pytest.raises(ModelError, match="takes 'picture', its card 'identity' gives 'picture', 'before'"):
        prepared(replace(card, states=(replace(state, output="scores"),)), HALF)
    (tmp_path / "no.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"cannot read network 'no\.onnx'"):
        prepared(networks.card(tmp_path, "no.onnx"), HALF)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"precision": "fp8"}, "no precision 'fp8'; known: fp32, fp16, int8"),
        ({"batch": 0}, "batch 0 is not possible"),
        ({"batch": 65}, "pass 1 to 64"),
        ({"sizes": ((64, 64), (32, 32), (128, 128))}, "not smallest, usual, largest"),
        ({"workspace_mb": 0}, "workspace 0 is not possible"),
    ],
)
def test_nonsense_is_refused(wrong: dict[str, object], said: str) -> None:
    """What no plan can be is a usage error before anything is built."""
    with pytest.raises(UsageError, match=said):
        PlanSpec(**wrong)  # type: ignore[arg-type]


def test_scales_reach_the_size_they_stand_for() -> None:
    """Whatever float32 makes of the ratio of two sizes, their product rounds down to the new one."""
    for old in range(1, 200):
        for new in range(1, 200):
            assert int(np.float32(old) * np.float32(_ratio(old, new))) == new

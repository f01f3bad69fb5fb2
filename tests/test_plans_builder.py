"""Building plans with TensorRT-RTX itself, which needs no GPU for it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from onnx import helper

from streamseg.errors import ModelError
from streamseg.models import find_model
from streamseg.plans import PlanSpec, Precision, TensorSpec
from streamseg.plans.builder import Built, _configure, _remind, build
from streamseg.plans.onnx_types import Network, prepared
from streamseg.plans.package import Package
from tests import networks
from tests.planning import RTX4090, TURING, needs_tensorrt, rtx, shared
from tests.test_plans_types import open_sizes

pytestmark = needs_tensorrt


def inside(log: list[str]) -> dict[str, str]:
    """Inputs and outputs of the engine, as its builder logs them at the end: name -> `Float[1,3,256,256]`."""
    layers = next(line for line in reversed(log) if line.startswith("Engine Layer Information:"))
    return dict(re.findall(r"([^\s,]+) \((\w+\[[-\d,]+\])\)", layers))


@pytest.mark.parametrize("name", ["selfie", "selfie-landscape"])
@pytest.mark.parametrize("spec", [PlanSpec(precision="fp32"), PlanSpec(), PlanSpec(batch=4)])
def test_embedded_models(name: str, spec: PlanSpec) -> None:
    """Inputs and outputs have the names, types and shapes that were asked for, as parsed and as built."""
    card, log = find_model(name), list[str]()
    built = build(rtx(), prepared(card, spec), spec, hear=log.append)
    batch = -1 if spec.batch > 1 else 1
    height, width = card.input.height, card.input.width
    dtype, kind = ("float32", "Float") if spec.precision == "fp32" else ("float16", "Half")
    assert built.inputs == (TensorSpec(card.input.name, dtype, (batch, 3, height, width)),)
    assert built.outputs == (TensorSpec(card.output.name, dtype, (batch, 1, height, width)),)
    found = inside(log)
    assert found[card.input.name] == f"{kind}[{batch},3,{height},{width}]"
    assert found[card.output.name] == f"{kind}[{batch},1,{height},{width}]"
    assert len(built.data) > 100_000
    assert built.timing == b""


@pytest.mark.parametrize(("name", "inputs", "outputs"), [("rvm", 5, 5), ("deeplab-cityscapes", 1, 1)])
def test_other_networks(name: str, inputs: int, outputs: int, data: Path) -> None:
    """A recurrent network and one of many classes become plans with all their inputs and outputs."""
    card = shared(data, name)
    built = build(rtx(), prepared(card, PlanSpec()), PlanSpec())
    assert (len(built.inputs), len(built.outputs)) == (inputs, outputs)
    assert built.inputs[0].shape == card.input.shape
    shapes = {tensor.name: tensor.shape for tensor in (*built.inputs, *built.outputs)}
    assert all(shapes[state.input] == shapes[state.output] == state.shape for state in card.states)


def test_twenty_one_classes(tmp_path: Path, data: Path) -> None:
    """DeepLab's 21 classes are read off the plan."""
    path = next((data / "models").rglob("deeplabv3_mnv2_pascal_513_logits33.onnx"))
    card = find_model(str(path))
    built = build(rtx(), prepared(card, PlanSpec()), PlanSpec())
    assert built.outputs[0].shape == (1, 21, 33, 33)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_layer_computes_in_the_precision_asked_for(precision: Precision) -> None:
    """In half precision no layer computes in float32; in full precision nothing is half."""
    trt, spec = rtx().module, PlanSpec(precision=precision)
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    definition = builder.create_network(rtx().network_flags)
    assert trt.OnnxParser(definition, log).parse(prepared(find_model("selfie"), spec).onnx)
    layers = [definition.get_layer(index) for index in range(definition.num_layers)]
    computing = [layer for layer in layers if layer.type.name not in ("CONSTANT", "CAST")]
    assert len(computing) > 100
    found = {layer.get_output(0).dtype.name for layer in computing}
    assert found == {{"fp32": "FLOAT", "fp16": "HALF"}[precision]}


def test_full_precision_is_never_silent() -> None:
    """A network that stayed in float32 is refused where half precision was asked for."""
    card = find_model("selfie")
    with pytest.raises(ModelError, match=r"55 of 55 heavy layers of 'net' compute in float32"):
        build(rtx(), prepared(card, PlanSpec(precision="fp32")), PlanSpec(), name="net")


def test_types_that_were_not_asked_for() -> None:
    """An input of another type than asked for is refused before anything is built."""
    network = prepared(find_model("selfie"), PlanSpec())
    wrong = replace(network, dtypes=dict.fromkeys(network.dtypes, "float32"))
    with pytest.raises(ModelError, match=r"was parsed with .*float16.*, asked for was .*float32"):
        build(rtx(), wrong, PlanSpec())


def test_ranges_of_sizes(tmp_path: Path) -> None:
    """A range of sizes and batches becomes one plan with open shapes."""
    spec = PlanSpec(sizes=((32, 32), (64, 48), (128, 96)), batch=2)
    built = build(rtx(), prepared(open_sizes(tmp_path), spec), spec)
    assert built.inputs[0].shape == (-1, 3, -1, -1)
    assert built.outputs[0].shape == (-1, 2, -1, -1)


def test_plans_are_for_the_gpu_they_are_built_for() -> None:
    """Turing's kernels differ from those of later cards; one RTX has no name for gets the usual targets."""
    network = prepared(find_model("selfie"), PlanSpec())
    usual, older, later, unknown = (
        build(rtx(), network, PlanSpec(), gpu=gpu).data
        for gpu in (None, TURING, RTX4090, replace(RTX4090, compute_capability=(9, 0)))
    )
    assert len(older) > 2 * len(later)
    assert unknown == usual


def test_progress_is_told() -> None:
    """Shares of the whole lie between 0 and 1, reach 1, and phases have names."""
    told: list[tuple[str, float]] = []
    network = prepared(find_model("selfie"), PlanSpec())
    build(rtx(), network, PlanSpec(), watch=lambda phase, share: told.append((phase, share)))
    assert told[0] == ("building engine", 0.0)
    assert all(0 <= share <= 1 for _, share in told)
    assert max(share for _, share in told) == 1.0
    assert len({phase for phase, _ in told}) > 3


@pytest.mark.parametrize("listener", ["watch", "hear"])
def test_an_interrupt_stops_the_build(listener: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C, wherever it comes in, ends the build as Ctrl-C does, with nothing printed."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    network = prepared(find_model("selfie"), PlanSpec())
    with pytest.raises(KeyboardInterrupt):
        build(rtx(), network, PlanSpec(), **{listener: interrupt})  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")


def test_what_tensorrt_cannot_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No network, and an operator TensorRT does not know: one line with its reason, nothing printed."""
    with pytest.raises(ModelError, match=r"^tensorrt_rtx [\d.]+ cannot read 'net': .*[Ff]ailed to parse"):
        build(rtx(), Network(b"no network", {}, {}), PlanSpec(), name="net")
    graph = helper.make_graph(
        [helper.make_node("Magic", ["a"], ["b"])],
        "test",
        [helper.make_tensor_value_info("a", 1, [1, 3])],
        [helper.make_tensor_value_info("b", 1, [1, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(ModelError, match=r"cannot read 'net': operator Magic: .{10}") as raised:
        build(rtx(), Network(model.SerializeToString(), {}, {}), PlanSpec(), name="net")
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_a_build_that_fails(tmp_path: Path) -> None:
    """What TensorRT said last is the reason."""
    network = prepared(open_sizes(tmp_path), PlanSpec(batch=2, sizes=((32, 32), (64, 48), (128, 96))))
    profile = network.profiles["picture"]
    wrong = replace(network, profiles={"picture": replace(profile, high=(2, 4, 96, 128))})
    with pytest.raises(ModelError, match=r"cannot build 'network': .{20}"):
        build(rtx(), wrong, PlanSpec(batch=2))


def test_a_tensorrt_that_does_not_start() -> None:
    """Its bindings raise TypeError then; the line says what TensorRT said."""
    trt = rtx().module

    def refused(log: Any) -> None:
        log.log(trt.ILogger.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    broken = replace(rtx(), module=SimpleNamespace(ILogger=trt.ILogger, Builder=refused))
    with pytest.raises(ModelError, match=r"tensorrt_rtx 1\.\S+ does not start: CUDA init.* error: 35$"):
        build(broken, prepared(find_model("selfie"), PlanSpec()), PlanSpec())


def test_timings_of_another_card_are_not_taken() -> None:
    """TensorRT refuses them: then there is no cache at all, unless it is given an empty one."""

    taken: list[bytes] = []

    class Config:
        def create_timing_cache(self, content: bytes) -> bytes | None:
            return None if content == b"damaged" else content

        def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
            assert not ignore_mismatch
            if cache != b"another card's":
                taken.append(cache)
            return cache != b"another card's"

    for timing in (b"another card's", b"damaged", b"its own"):
        _remind(Config(), timing)
    assert taken == [b"", b"", b"its own"]


@pytest.mark.filterwarnings("ignore:.*Timing cache operations are no-ops:DeprecationWarning")
def test_timings_are_taken_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where kernels are timed, the next build gets the cache of the last; RTX has one, though it is empty."""
    monkeypatch.setattr(Package, "times_kernels", True)
    network = prepared(find_model("selfie"), PlanSpec())
    first = build(rtx(), network, PlanSpec())
    assert first.timing
    for timing in (first.timing, b"damaged"):
        second: Built = build(rtx(), network, PlanSpec(), timing=timing)
        assert second.data == first.data


def test_importing_plans_imports_no_gpu_package() -> None:
    """The package is for every machine: TensorRT, onnx and filelock come in when a plan is built."""
    code = (
        "import sys, streamseg.plans, streamseg.plans.builder, streamseg.cli.build; "
        "sys.exit(any(name in sys.modules for name in ('tensorrt', 'tensorrt_rtx', 'onnx', 'filelock')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_network_made_by_a_test(tmp_path: Path) -> None:
    """A synthetic network of the project's ancestor's shape becomes a plan too."""
    card = networks.bright_two_classes(tmp_path)
    built = build(rtx(), prepared(card, PlanSpec()), PlanSpec())
    assert built.outputs[0].shape == (1, 2, 128, 128)


def test_precision_and_workspace_reach_tensorrt() -> None:
    """Full precision is full: no TF32. The workspace is limited to the MiB asked for."""
    trt = rtx().module
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    for spec, tf32 in (
        (PlanSpec(precision="fp32", workspace_mb=64), False),
        (PlanSpec(workspace_mb=64), True),
    ):
        config = builder.create_builder_config()
        _configure(trt, builder, config, prepared(find_model("selfie"), spec), spec)
        assert config.get_flag(trt.BuilderFlag.TF32) is tf32
        assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 64 << 20

"""Convolutions in 8 bits, calibrated on a clip."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import av
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from streamseg import sources
from streamseg.errors import ModelError
from streamseg.models import find_model
from streamseg.plans import Calibration, PlanSpec, ensure, keep_calibration
from streamseg.plans.builder import build
from streamseg.plans.calibrating import calibrate
from streamseg.plans.onnx_types import prepared
from streamseg.plans.package import number
from tests import networks
from tests.planning import needs_tensorrt, portrait, rtx, run, shared

PORTRAIT = Path(sources.__file__).parent / "portrait.jpg"
INT8 = PlanSpec(precision="int8")
CARD = find_model("selfie")


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    """The default model on the demo portrait in motion."""
    return calibrate(CARD, "demo:640x360@30,8s")


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Of two masks."""
    return float((one & other).sum() / (one | other).sum())


def test_masks_stay_the_same(calibration: Calibration) -> None:
    """On each frame of the portrait the mask keeps an IoU of 0.98 to full precision, 0.99 over the clip."""
    assert calibration.iou >= 0.99
    assert calibration.frames >= 32
    full, few = (
        prepared(CARD, spec, given).onnx
        for spec, given in ((PlanSpec(precision="fp32"), None), (INT8, calibration))
    )
    for picture in portrait(CARD, 8):
        masks = [run(CARD, network, picture) > 0.5 for network in (full, few)]
        assert iou(*masks) >= 0.98


def test_quantisation_is_in_the_network(calibration: Calibration) -> None:
    """Each chosen convolution reads 8-bit codes, symmetric, a scale per output channel; the rest is half."""
    model = onnx.load_from_string(prepared(CARD, INT8, calibration).onnx)
    onnx.checker.check_model(model)
    count = len(calibration.ranges)
    assert 20 <= count <= calibration.convolutions == 55
    nodes = Counter(node.op_type for node in model.graph.node)
    assert (nodes["QuantizeLinear"], nodes["DequantizeLinear"]) == (count, 2 * count)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    codes = {name: value for name, value in weights.items() if name.endswith("_codes")}
    assert len(codes) == count
    assert all(value.dtype == np.int8 and value.min() >= -127 for value in codes.values())
    assert all(not value.any() for name, value in weights.items() if name.endswith(("_zero", "_zeros")))
    floats = {value.dtype for value in weights.values() if value.dtype.kind == "f"}
    assert floats == {np.dtype(np.float16)}
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    reading = [node for node in model.graph.node if node.op_type.startswith("Conv")]
    chosen = [
        node
        for node in reading
        if makers.get(node.input[0]) == makers.get(node.input[1]) == "DequantizeLinear"
    ]
    assert len(chosen) == count


def test_codes_and_scales_give_the_weights_back(calibration: Calibration) -> None:
    """A code times its channel's scale is within half a step of the weight it stands for."""
    weights = {
        tensor.name: numpy_helper.to_array(tensor).astype(np.float32)
        for tensor in onnx.load_from_string(prepared(CARD, PlanSpec(precision="fp32")).onnx).graph.initializer
    }
    model = onnx.load_from_string(prepared(CARD, INT8, calibration).onnx)
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    plain = {
        node.output[0]: node
        for node in onnx.load_from_string(prepared(CARD, PlanSpec(precision="fp32")).onnx).graph.node
    }
    for out in calibration.ranges:
        codes, scales = found[f"{out}_codes"], found[f"{out}_scales"].astype(np.float32)
        steps = scales.reshape(-1, *[1] * (codes.ndim - 1))
        kernel = weights[plain[out].input[1]]
        if plain[out].op_type == "Conv":
            assert (np.abs(codes * steps - kernel) <= 0.6 * steps).all()


@needs_tensorrt
def test_tensorrt_takes_it(calibration: Calibration, tmp_path: Path) -> None:
    """TensorRT-RTX builds a plan with the quantisation in it; it is found again without the clip."""
    try:
        rtx().require("int8")
    except ModelError as error:
        pytest.skip(f"needs TensorRT-RTX 1.7: {error}")
    log: list[str] = []
    build(rtx(), prepared(CARD, INT8, calibration), INT8, hear=log.append)
    assert any("QuantizeLinear" in line for line in log)
    with pytest.raises(ModelError, match="streamseg build selfie --precision int8 --calibrate CLIP"):
        ensure(CARD, INT8, folder=tmp_path)
    keep_calibration(CARD, calibration, tmp_path)
    said: list[str] = []
    first = ensure(CARD, INT8, folder=tmp_path, say=said.append)
    assert ensure(CARD, INT8, folder=tmp_path, say=said.append) == first
    assert len(said) == 1
    other = Calibration(CARD.sha256, dict(list(calibration.ranges.items())[:3]), 55, 1.0, "another", 5)
    keep_calibration(CARD, other, tmp_path)
    ensure(CARD, INT8, folder=tmp_path, say=said.append)
    assert "built with calibration" in said[-1]


def test_a_calibration_survives_its_file(calibration: Calibration) -> None:
    """What is read back is what was written."""
    assert Calibration.from_json(calibration.to_json()) == calibration


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"network": "x"}'])
def test_a_broken_calibration_is_none(tmp_path: Path, content: bytes, calibration: Calibration) -> None:
    """A damaged file asks for a clip again."""
    keep_calibration(CARD, calibration, tmp_path).write_bytes(content)
    with pytest.raises(ModelError, match="--calibrate CLIP"):
        ensure(CARD, INT8, folder=tmp_path)


def test_a_clip_without_anybody(tmp_path: Path) -> None:
    """A clip in which the network finds nobody cannot tell what masks bear."""
    card = networks.bright_two_classes(tmp_path, size=32, foreground=("person",))
    with pytest.raises(ModelError, match=r"finds no person in '.*black\.mkv'; calibrate with a clip that"):
        calibrate(card, black(tmp_path))


def black(folder: Path) -> str:
    """A black clip."""
    path = folder / "black.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(6):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        file.mux(stream.encode())
    return str(path)


def test_a_folder_of_pictures_is_taken_whole(tmp_path: Path) -> None:
    """Of a clip every fifth frame is looked at, of a folder every picture."""
    for name in "abc":
        shutil.copy(PORTRAIT, tmp_path / f"{name}.jpg")
    card = networks.bright_two_classes(tmp_path, size=32)
    assert calibrate(card, str(tmp_path / "?.jpg")).frames == 3
    assert calibrate(card, "demo:64x64@10,1s").frames == 2


def test_all_convolutions_where_all_bear_it(tmp_path: Path) -> None:
    """A network that does not mind is quantised whole."""
    card = networks.bright_two_classes(tmp_path, size=64)
    found = calibrate(card, "demo:320x180@10,3s")
    assert len(found.ranges) == found.convolutions == 1
    assert found.iou >= 0.99


def test_a_recurrent_network_is_calibrated_in_motion(data: Path) -> None:
    """RobustVideoMatting's states come from frame to frame; most convolutions bear 8 bits."""
    card = shared(data, "rvm")
    found = calibrate(card, "demo:320x180@10,2s")
    assert len(found.ranges) >= 70
    assert found.iou >= 0.99


def test_a_real_clip(data: Path) -> None:
    """On a filmed head most convolutions of the landscape model bear 8 bits."""
    clip = data / "clips" / "liveportrait_heads" / "d3.mp4"
    found = calibrate(find_model("selfie-landscape"), str(clip))
    assert found.iou >= 0.99
    assert len(found.ranges) >= 40


@needs_tensorrt
@pytest.mark.parametrize(("groups", "kernel"), [(1, (4, 6, 2, 2)), (2, (4, 3, 2, 2))])
def test_transposed_convolutions_have_a_scale_per_channel(
    tmp_path: Path, groups: int, kernel: tuple[int, ...]
) -> None:
    """Their kernels hold output channels on the second axis, grouped ones on the first beside it."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=kernel).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["picture", "spread"], ["four"]),
        helper.make_node("ConvTranspose", ["four", "kernel"], ["scores"], group=groups, strides=[2, 2]),
    ]
    constants = {"spread": rng.normal(size=(4, 3, 1, 1)).astype(np.float32), "kernel": weights}
    networks.save(
        tmp_path / "up.onnx", nodes, [("picture", [1, 3, 32, 32])], [("scores", [1, 6, 64, 64])], constants
    )
    card = networks.card(tmp_path, "up.onnx", classes=tuple("abcdef"), foreground=("a",))
    found = Calibration(card.sha256, {"scores": 4.0}, 2, 1.0, "", 1)
    network = prepared(card, INT8, found)
    stored = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(network.onnx).graph.initializer
    }
    axis = 1 if groups == 1 else 0
    assert len(stored["scores_scales"]) == kernel[axis]
    steps = np.expand_dims(
        stored["scores_scales"].astype(np.float32), tuple(a for a in range(4) if a != axis)
    )
    assert (np.abs(stored["scores_codes"] * steps - weights) <= 0.51 * steps).all()
    if number(rtx().version) >= (1, 7):
        build(rtx(), network, INT8)

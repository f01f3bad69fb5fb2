"""Networks and whole runs on a real card, where there is one. `pytest -m gpu`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import streamseg
from streamseg import plans
from streamseg.effects import EFFECTS
from streamseg.models import find_model
from streamseg.runtimes.tensorrt import TensorrtRuntime
from streamseg.runtimes.upgrade import missing
from streamseg.segmenter import Segmenter
from tests.card_runs import differences, mattes_of, require_same_masks, run_network
from tests.compositing import frame_of, noise
from tests.planning import shared

pytestmark = pytest.mark.gpu

NETWORKS = ["selfie", "selfie-landscape", "rvm", "deeplab-voc"]
CLIP = "demo:1280x720@30,1s"


@pytest.fixture(autouse=True)
def card() -> None:
    """All that it takes."""
    if lack := missing():
        pytest.skip(lack)


@pytest.mark.parametrize("model", NETWORKS)
def test_masks_are_those_of_onnx_runtime(model: str, request: pytest.FixtureRequest) -> None:
    """In half precision, on real frames."""
    network = find_model(model) if "selfie" in model else shared(request.getfixturevalue("data"), model)
    require_same_masks(network, mattes_of(network, "tensorrt", CLIP), mattes_of(network, "onnxruntime", CLIP))


@pytest.mark.parametrize("name", EFFECTS)
def test_runs_make_the_same_pictures(name: str) -> None:
    """Only samples on edges differ by more than two codes from those of a run on the processor."""
    network, recipe = find_model("selfie"), streamseg.effect(name)
    wanted, _ = run_network(CLIP, network, recipe, runtime="onnxruntime")
    frames, report = run_network(CLIP, network, recipe, runtime="tensorrt")
    assert report.runtime == "tensorrt"
    assert report.failures == []
    assert len(frames) == len(wanted)
    for frame, other in zip(frames, wanted, strict=True):
        assert (differences(frame, other) > 2).mean() < 0.02


def resident() -> int:
    """Bytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_ten_thousand_frames_leave_memory_as_it_was() -> None:
    """On the card nothing is allocated after the first hundred, on the host next to nothing."""
    recipe = streamseg.effect("blur")
    pictures = [noise(1280, 720, "yuv420p", seed) for seed in range(4)]
    with (
        Segmenter("selfie", runtime="tensorrt") as segmenter,
        streamseg.open_compositor(recipe) as compositor,
    ):
        runtime = segmenter._runtimes[0]
        assert isinstance(runtime, TensorrtRuntime)
        device = runtime.device

        def free() -> int:
            return int(device.run(device.driver.mem_get_info)[0])

        for number in range(10_000):
            frame = frame_of(pictures[number % 4], number)
            compositor(frame, segmenter(frame))
            if number == 100:
                before, held = free(), resident()
        assert free() == before
        assert resident() - held < 20 << 20


def run_in_a_process(folder: Path, name: str) -> tuple[str, str]:
    """Run the demo on TensorRT in a process of its own; return the runtime used and what was said."""
    report = folder / f"{name}.json"
    command = [sys.executable, "-m", "streamseg", "run", "demo:640x360@30,1s", "-o", "null:"]
    command += ["--runtime", "tensorrt", "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(report.read_text())["runtime"], done.stderr


UNHURRIED = """
import sys
from streamseg.cli import main
from streamseg.gpu.device import Device
Device.FRAME = Device.LOADING = 300.0
main(sys.argv[1:])
"""
"""A run that waits for a card that is much slower than usual."""


@pytest.mark.parametrize("effect", ["silhouette", "blur", "outline"])
def test_a_short_run_is_clean(effect: str, tmp_path: Path) -> None:
    """To compute-sanitizer, which sees every read and write of every kernel; TensorRT's too."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        pytest.skip("needs compute-sanitizer (CUDA toolkit) on the PATH")
    report = tmp_path / "report.json"
    command = [tool, "--tool=memcheck", "--error-exitcode=99", sys.executable, "-c", UNHURRIED, "run"]
    command += ["demo:320x180@10,0.3s", "-o", "null:", "--effect", effect]
    command += ["--runtime", "tensorrt", "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(report.read_text())
    assert said["runtime"] == "tensorrt"
    assert said["failures"] == []


def test_plans_are_used_again_by_other_processes(tmp_path: Path) -> None:
    """Once there is one, none is built: not a byte of it changes."""
    path = plans.ensure(find_model("selfie")).path
    before = path.stat().st_mtime_ns
    for name in ("first", "second"):
        runtime, said = run_in_a_process(tmp_path, name)
        assert runtime == "tensorrt"
        assert "building a plan" not in said
    assert path.stat().st_mtime_ns == before


def test_a_run_begins_at_once_and_goes_on_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were no plan yet: no frame is missing or failed."""
    kept, absent = plans.kept, [None, None]  # at the start, and before it would be built
    monkeypatch.setattr(plans, "kept", lambda card, spec: absent.pop() if absent else kept(card, spec))
    said: list[str] = []
    with (
        Segmenter("selfie", say=said.append) as segmenter,
        streamseg.open_compositor(streamseg.effect("silhouette")) as compositor,
    ):
        assert segmenter.runtime == "onnxruntime"
        for number in range(30):
            if number == 10 and segmenter._better is not None:
                segmenter._better.result()
            frame = frame_of(noise(1280, 720, "yuv420p"), number)
            matte = segmenter(frame)
            assert matte.failure is None
            compositor(frame, matte)
            assert matte.failure is None
        assert segmenter.runtime == "onnxruntime, then tensorrt"
    assert said == ["tensorrt takes over from onnxruntime"]


@pytest.mark.parametrize("hangs", [False, True])
def test_when_the_card_fails_the_processor_takes_over(hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's error comes out of a wait, as after a kernel that went wrong, or nothing ever comes."""
    frame = frame_of(noise(1280, 720, "yuv420p"))
    with (
        Segmenter("selfie", runtime="tensorrt") as segmenter,
        streamseg.open_compositor(streamseg.effect("silhouette")) as compositor,
    ):
        compositor(frame, segmenter(frame))
        runtime = segmenter._runtimes[0]
        assert isinstance(runtime, TensorrtRuntime)
        broken = runtime.device.driver.LogicError("cuEventQuery failed: an illegal memory access")

        def query() -> bool:
            if hangs:
                return False
            raise broken

        with monkeypatch.context() as patch:
            patch.setattr("streamseg.gpu.slot.Slot.queued", lambda _slot: SimpleNamespace(query=query))
            matte = segmenter(frame)
        assert not matte.alpha.any()
        assert matte.failure is not None
        assert matte.failure.endswith("; the processor takes over")
        assert segmenter(frame).failure is None
        assert segmenter.runtime == "tensorrt, then onnxruntime"

"""Starting on the processor and going on on the GPU, on an emulated one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import streamseg
from streamseg.compositors import backdrop
from streamseg.errors import ModelError, UsageError
from streamseg.models import find_model
from streamseg.plans import Calibration, Precision, keep_calibration
from streamseg.runtimes import load_runtime, upgrade
from streamseg.segmenter import Segmenter
from tests import networks
from tests.card_runs import differences, run_network
from tests.compositing import frame_of, noise
from tests.doubles import ListSource
from tests.emulator.card import Card
from tests.emulator.tensorrt import Machine, machine

MASK = streamseg.effect("mask")
STEADY: dict[str, Any] = {"crop": "off", "smooth": 0}


def swapping(found: Machine, said: list[str], *, at: int = 4, frames: int = 10) -> ListSource:
    """Frames of which number `at` is yielded when the plan has been built and loaded."""

    def before(index: int) -> None:
        if index == at:
            found.may_build.set()
            for thread in threading.enumerate():
                if thread.name == "streamseg-upgrade":
                    thread.join(10)

    assert not said
    return ListSource(range(0, 40 * frames, 40), before=before)


@pytest.mark.parametrize("name", ["mask", "silhouette", "blur", "replace", "trail"])
def test_a_run_begins_at_once_and_goes_on_on_the_gpu(name: str, tmp_path: Path) -> None:
    """No frame is missing and none differs by more than two codes from a run on the processor."""
    card, recipe, said = networks.brightness(tmp_path), streamseg.effect(name), []
    wanted, _ = run_network(ListSource(range(0, 400, 40)), card, recipe, runtime="onnxruntime", **STEADY)
    with machine() as found:
        frames, report = run_network(
            swapping(found, said), card, recipe, runtime="auto", say=said.append, **STEADY
        )
    assert said == ["tensorrt takes over from onnxruntime"]
    assert report.runtime == "onnxruntime, then tensorrt"
    assert report.failures == []
    assert report.frames_dropped == report.frames_failed == 0
    assert len(frames) == 10
    for frame, other in zip(frames, wanted, strict=True):
        assert differences(frame, other).max() <= 2
    assert not found.card.leaks


def test_a_video_in_the_background_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened once, and shows the frames it would have shown on the processor."""
    opened, clip = [], "demo:64x48@25,2s"
    monkeypatch.setattr(backdrop, "open_source", lambda uri: opened.append(uri) or streamseg.open_source(uri))
    card, recipe = networks.brightness(tmp_path), streamseg.effect("replace", background=clip)
    wanted, _ = run_network(ListSource(range(0, 400, 40)), card, recipe, runtime="onnxruntime", **STEADY)
    said: list[str] = []
    with machine() as found:
        source = swapping(found, said)
        frames, report = run_network(source, card, recipe, runtime="auto", say=said.append, **STEADY)
        assert "blend" in found.card.launched
    assert (report.runtime, report.failures) == ("onnxruntime, then tensorrt", [])
    for frame, other in zip(frames, wanted, strict=True):
        assert differences(frame, other).max() <= 2
    assert opened == [clip, clip]


def test_what_a_network_remembers_goes_along(tmp_path: Path) -> None:
    """A network that counts its runs counts on."""
    card, said = networks.counting(tmp_path), []
    wanted, _ = run_network(ListSource(range(0, 400, 40)), card, MASK, runtime="onnxruntime")
    with machine() as found:
        frames, _ = run_network(swapping(found, said), card, MASK, runtime="auto", say=said.append)
    assert said == ["tensorrt takes over from onnxruntime"]
    for frame, other in zip(frames, wanted, strict=True):
        assert differences(frame, other).max() <= 2


def test_the_smoothing_and_the_view_go_along() -> None:
    """The people followed before are followed after: no new look at the whole frame, no jump of the matte."""
    card, mattes = find_model("selfie"), {}
    for runtime in ("onnxruntime", "auto"):
        with (
            machine() as found,
            streamseg.open_source("demo:640x360@30,0.7s") as source,
            streamseg.Segmenter(card, runtime=runtime, smooth=0.9) as segmenter,
        ):
            mattes[runtime] = []
            for number, frame in enumerate(source):
                if number == 10:
                    found.may_build.set()
                    if segmenter._better is not None:
                        segmenter._better.result()
                mattes[runtime].append(segmenter(frame).alpha)
    for alpha, other in zip(*mattes.values(), strict=True):
        assert alpha.shape == other.shape
        assert (apart_by(alpha, other) > 16).mean() < 0.003


def apart_by(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """By how many codes two mattes differ."""
    return np.abs(one.astype(int) - other)


def test_with_a_plan_it_starts_on_the_gpu(tmp_path: Path) -> None:
    """Nothing is built, nothing is said."""
    card, said = networks.brightness(tmp_path), []
    with machine() as found:
        found.ensure(card)
        with streamseg.Segmenter(card, say=said.append) as segmenter:
            assert segmenter.runtime == "tensorrt"
        assert not found.building.is_set()
    assert said == []


def test_a_run_that_ends_before_stops_the_build(tmp_path: Path) -> None:
    """Nothing is left running, and the network never reached the card."""
    card = networks.brightness(tmp_path)
    with machine() as found:
        frames, report = run_network(ListSource(), card, MASK, runtime="auto", **STEADY)
        assert found.building.is_set()
    assert report.runtime == "onnxruntime"
    assert len(frames) == 10
    assert found.asked == []
    assert not found.card.calls


def test_what_was_made_ready_too_late_is_given_back(tmp_path: Path) -> None:
    """The run ended while the plan was loaded."""
    card = networks.brightness(tmp_path)
    with machine() as found:
        with streamseg.Segmenter(card) as segmenter:
            found.may_build.set()
            assert segmenter._better is not None
            segmenter._better.result()
        assert "execute_async_v3" in found.card.calls
    assert not found.card.leaks


def test_a_build_that_fails_is_told_in_a_line_and_the_run_goes_on(tmp_path: Path) -> None:
    """As is a card that refuses its memory, and a plan that does not load."""
    card = networks.brightness(tmp_path)
    for trouble in (Card(memory=1000), Card(fails_at=3), None):
        said: list[str] = []
        with machine(trouble) as found:
            found.spoilt = 0 if trouble else 5
            frames, report = run_network(
                swapping(found, said), card, MASK, runtime="auto", say=said.append, **STEADY
            )
        assert len(frames) == 10
        assert report.runtime == "onnxruntime"
        assert report.failures == []
        assert len(said) == 1
        assert said[0].startswith("onnxruntime goes on: ")
        assert not found.card.leaks


def test_a_gpu_that_fails_after_taking_over_is_relieved_again(tmp_path: Path) -> None:
    """The report names all three turns."""
    card, said = networks.brightness(tmp_path), []
    with machine() as found, streamseg.Segmenter(card, say=said.append, **STEADY) as segmenter:
        found.may_build.set()
        assert segmenter._better is not None
        segmenter._better.result()
        frames = [frame_of(noise(64, 48, "yuv420p"), number) for number in range(4)]
        assert segmenter(frames[0]).failure is None
        found.card.fails_at, found.card.lost = len(found.card.calls) + 2, True
        failed = segmenter(frames[1])
        assert not failed.alpha.any()
        assert failed.failure is not None
        assert failed.failure.endswith("; the processor takes over")
        assert segmenter(frames[2]).failure is None
        assert segmenter.runtime == "onnxruntime, then tensorrt, then onnxruntime"


def test_a_plan_that_does_not_load_holds_nothing_up(tmp_path: Path) -> None:
    """The run begins on the processor at once, says why, and changes over when the plan is built anew."""
    card, said = networks.brightness(tmp_path), []
    with machine() as found:
        found.ensure(card)
        found.spoilt = 2  # at the start, and when it is tried again before it is given up
        with Segmenter(card, say=said.append, **STEADY) as segmenter:
            assert segmenter.runtime == "onnxruntime"
            assert said == ["plan 'emulated.plan' does not load: it does not say why; onnxruntime begins"]
            found.may_build.set()
            assert segmenter._better is not None
            segmenter._better.result()
            segmenter(frame_of(noise(64, 48, "yuv420p")))
            assert segmenter.runtime == "onnxruntime, then tensorrt"
        assert found.asked == ["", "it does not load"]
    assert said[1:] == ["tensorrt takes over from onnxruntime"]
    assert not found.card.leaks


def test_closing_does_not_wait_for_a_plan_to_be_built_anew(tmp_path: Path) -> None:
    """A run that ends stops that build like any other: nothing was built."""
    card = networks.brightness(tmp_path)
    with machine() as found:
        found.ensure(card)
        found.spoilt = 2
        with Segmenter(card, **STEADY):
            assert found.building.wait(10)
        assert found.asked == [""]
    assert not found.card.leaks


def test_a_plan_another_process_has_built_meanwhile_is_taken(tmp_path: Path) -> None:
    """Nothing is built a second time."""
    card = networks.brightness(tmp_path)
    with machine() as found:
        found.ensure(card)
        job = upgrade.upgrade(card)
        assert job is not None
        job.result().close()
        assert not found.building.is_set()


def test_every_reason_is_kept_when_nothing_loads(tmp_path: Path) -> None:
    """The error says why each runtime could not."""
    card = networks.brightness(tmp_path)
    with machine() as found:
        found.ensure(card)
        found.spoilt = 1
        (tmp_path / "brightness.onnx").unlink()
        with pytest.raises(ModelError, match=r"no runtime could load .*: tensorrt: plan .*; onnxruntime: "):
            load_runtime(card)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_precision_is_kept_when_the_run_changes_over(precision: Precision, tmp_path: Path) -> None:
    """The plan is built in it, and the report names it."""
    card, said = networks.brightness(tmp_path), []
    with machine() as found:
        source = swapping(found, said)
        options = {"runtime": "auto", "precision": precision, "say": said.append, **STEADY}
        _, report = run_network(source, card, MASK, **options)
        assert list(found.plans) == [(card.sha256, precision)]
    assert (report.runtime, report.precision) == ("onnxruntime, then tensorrt", precision)


def test_a_run_in_8_bits_needs_a_calibration(tmp_path: Path) -> None:
    """Without one the line says how to make it, whichever way TensorRT was asked for; nothing is begun."""
    told = (
        "int8 needs a clip to calibrate 'brightness' on: streamseg build brightness --precision int8 --calib"
    )
    with machine() as found:
        for runtime in ("tensorrt", "auto"):
            with pytest.raises(ModelError, match=told):
                Segmenter(networks.brightness(tmp_path), runtime=runtime, precision="int8")
        assert not found.building.is_set()
    assert not found.card.leaks


def test_a_run_in_8_bits(tmp_path: Path) -> None:
    """With a calibration it runs, finds what full precision finds to a step of 8 bits, and says so."""
    card = networks.brightness(tmp_path)
    keep_calibration(card, Calibration(card.sha256, {"scores": 1.0}, 1, 1.0, "clip", 8), tmp_path)
    wanted, _ = run_network(ListSource(), card, MASK, runtime="onnxruntime", **STEADY)
    with machine() as found:
        found.calibrations = tmp_path
        frames, report = run_network(ListSource(), card, MASK, runtime="tensorrt", precision="int8", **STEADY)
    assert (report.runtime, report.precision, report.failures) == ("tensorrt", "int8", [])
    apart = [differences(frame, other) for frame, other in zip(frames, wanted, strict=True)]
    assert 0 < np.max(apart) <= 4


def test_without_the_kernels_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where NVRTC is missing no plan is built for a GPU that could not be used, and the reason is told."""

    def refuse() -> None:
        raise UsageError("no libnvrtc was found")

    with machine():
        assert upgrade.missing() is None
        monkeypatch.setattr("streamseg.gpu.module.require", refuse)
        assert upgrade.missing() == "no libnvrtc was found"
        assert upgrade.upgrade(networks.brightness(tmp_path)) is None


def test_one_frame_whose_output_is_no_number_leaves_the_gpu_in_use(tmp_path: Path) -> None:
    """Its matte is clear and says why; the next frame is the GPU's again, and no other runtime came."""
    with machine(), Segmenter(networks.reciprocal(tmp_path), runtime="tensorrt", crop="off") as segmenter:
        mattes = [segmenter(frame_of(flat(level))) for level in (200, 0, 200)]
        assert segmenter.runtime == "tensorrt"
    assert [matte.failure for matte in mattes] == [None, "the network's output is not finite", None]
    assert not mattes[1].alpha.any()


def flat(level: int) -> av.VideoFrame:
    """A grey picture of one brightness."""
    return av.VideoFrame.from_ndarray(np.full((48, 64), level, np.uint8), format="gray")

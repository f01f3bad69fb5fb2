"""Whole runs with network and compositor on an emulated card: the same pictures as on the processor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import streamseg
from streamseg.effects import EFFECTS
from streamseg.models import find_model
from streamseg.models.card import ModelCard
from tests import networks
from tests.card_runs import differences, mattes_of, require_same_masks, run_network
from tests.compositing import frame_of, noise
from tests.doubles import ListSource
from tests.emulator.card import Card
from tests.emulator.tensorrt import machine
from tests.planning import shared
from tests.test_gpu_calls import GIVING_BACK

CLIP = "demo:320x180@30,0.3s"
LONGER = "demo:640x360@30,0.5s"
EXACT = sorted(set(EFFECTS) - {"outline", "labels"})
"""Effects whose picture follows the matte without jumps."""


def network(name: str, request: pytest.FixtureRequest) -> ModelCard:
    """One of the embedded networks, or one of those in the folder of real ones."""
    return find_model(name) if name == "selfie" else shared(request.getfixturevalue("data"), name)


@pytest.mark.parametrize("name", EXACT)
def test_every_effect_is_within_two_codes(name: str, tmp_path: Path) -> None:
    """With a network whose opacity is the picture's brightness, to which a code more or less is just that."""
    card, recipe = networks.brightness(tmp_path), streamseg.effect(name)
    wanted, _ = run_network(CLIP, card, recipe, runtime="onnxruntime", crop="off", smooth=0)
    with machine() as found:
        frames, report = run_network(CLIP, card, recipe, runtime="tensorrt", crop="off", smooth=0)
    assert report.runtime == "tensorrt"
    assert report.failures == []
    assert len(frames) == len(wanted) == 9
    for frame, other in zip(frames, wanted, strict=True):
        assert differences(frame, other).max() <= 2
    assert not found.card.leaks
    assert len(found.card.threads) == 1


def test_a_background_deleted_meanwhile_is_still_shown(tmp_path: Path) -> None:
    """The card shows the one that the processor has open; nothing fails."""
    beach, card = tmp_path / "beach.png", networks.brightness(tmp_path)
    cv2.imwrite(str(beach), np.full((36, 64, 3), (200, 120, 40), np.uint8))
    recipe = streamseg.effect("replace", background=str(beach))
    with (
        machine() as found,
        streamseg.Segmenter(card, runtime="tensorrt") as segmenter,
        streamseg.open_compositor(recipe) as compositor,
        streamseg.open_compositor(recipe, device="cpu") as other,
    ):
        beach.unlink()
        frame = frame_of(noise(64, 36, "yuv420p"))
        matte = segmenter(frame)
        assert matte.held is not None
        assert differences(compositor(frame, matte), other(frame, matte)).max() <= 1
        assert matte.failure is None
        assert "blend" in found.card.launched
        matte.held = None


@pytest.mark.parametrize("lost", [False, True])
def test_an_echo_goes_from_the_card_to_the_processor(lost: bool, tmp_path: Path) -> None:
    """As long as the card answers; from one that is lost it does not, and the frame is painted without."""
    card, recipe = networks.brightness(tmp_path), streamseg.effect("trail")
    frames = [frame_of(noise(64, 48, "yuv420p", seed), seed, 25) for seed in range(4)]
    with (
        machine() as found,
        streamseg.Segmenter(card, runtime="tensorrt", smooth=0) as segmenter,
        streamseg.open_compositor(recipe) as compositor,
        streamseg.open_compositor(recipe, device="cpu") as other,
        streamseg.open_compositor(recipe, device="cpu") as fresh,
    ):
        mattes = [segmenter(frame) for frame in frames]
        for frame, matte in zip(frames[:3], mattes[:3], strict=True):
            assert differences(compositor(frame, matte), other(frame, matte)).max() <= 2
        if lost:
            found.card.fails_at, found.card.lost = len(found.card.calls), True
        mattes[3].held = None
        wanted = (fresh if lost else other)(frames[3], mattes[3])
        assert differences(compositor(frames[3], mattes[3]), wanted).max() <= 2
        assert mattes[3].failure is None
        for matte in mattes:
            matte.held = None


@pytest.mark.parametrize(
    ("model", "name"),
    [
        *(("selfie", name) for name in EFFECTS),
        *(("rvm", name) for name in ("silhouette", "cutout", "trail")),
        *(("deeplab-voc", name) for name in ("overlay", "labels", "replace")),
    ],
)
def test_real_networks_make_the_same_pictures(model: str, name: str, request: pytest.FixtureRequest) -> None:
    """Tracked crops, smoothing, states, classes; only on edges do samples differ by more than two codes."""
    card, recipe = network(model, request), streamseg.effect(name)
    clip = CLIP if model == "selfie" else "demo:320x180@30,0.1s"
    wanted, _ = run_network(clip, card, recipe, runtime="onnxruntime")
    with machine() as found:
        frames, report = run_network(clip, card, recipe, runtime="tensorrt")
    assert report.failures == []
    for frame, other in zip(frames, wanted, strict=True):
        assert (differences(frame, other) > 2).mean() < 0.02
    assert not found.card.leaks


@pytest.mark.parametrize("model", ["selfie", "rvm", "deeplab-voc"])
def test_masks_are_those_of_onnx_runtime(model: str, request: pytest.FixtureRequest) -> None:
    """On real frames, in half precision."""
    card = network(model, request)
    with machine():
        fast = mattes_of(card, "tensorrt", LONGER)
    slow = mattes_of(card, "onnxruntime", LONGER)
    require_same_masks(card, fast, slow)


def test_label_maps_are_those_of_onnx_runtime(data: Path) -> None:
    """Of 21 classes, in half precision: only on edges, where a code of the input decides, is one another."""
    card = shared(data, "deeplab-voc")
    with machine():
        fast = mattes_of(card, "tensorrt", LONGER, labels=True)
    slow = mattes_of(card, "onnxruntime", LONGER, labels=True)
    for matte, other in zip(fast, slow, strict=True):
        assert matte.labels is not None
        assert other.labels is not None
        assert (matte.labels != other.labels).mean() < 0.003


def test_a_frame_goes_up_once_and_is_waited_for_once() -> None:
    """Segmented and composited: the planes up, the small matte down and up again, the picture down."""
    recipe = streamseg.effect("silhouette")
    with (
        machine() as found,
        streamseg.Segmenter(find_model("selfie"), runtime="tensorrt", crop="off") as segmenter,
        streamseg.open_compositor(recipe) as compositor,
    ):
        frames = [frame_of(noise(320, 180, "yuv420p", seed), seed) for seed in range(4)]
        for frame in frames[:3]:
            compositor(frame, segmenter(frame))
        calls = found.card.calls
        before = len(calls)
        matte = segmenter(frames[3])
        middle = len(calls)
        compositor(frames[3], matte)
        for part in (calls[before:middle], calls[middle:]):
            assert part.count("record") == 1
            assert part[-2:] == ["query", "query"]
            assert not {"mem_alloc", "pagelocked_empty", "free", "synchronize", "Event"} & set(part)
    uploads = [part.count("memcpy_htod_async") for part in (calls[before:middle], calls[middle : middle + 9])]
    assert uploads == [2, 1]  # the picture and the flag of broken scores; the smoothed matte


def test_a_matte_nothing_was_done_to_is_not_uploaded_again() -> None:
    """Without smoothing, and a reach, the compositor finds all it needs on the card."""
    selfie = find_model("selfie")
    card = replace(selfie, output=replace(selfie.output, alpha_reach=0))
    with (
        machine() as found,
        streamseg.Segmenter(card, runtime="tensorrt", crop="off", smooth=0) as segmenter,
        streamseg.open_compositor(streamseg.effect("blur")) as compositor,
    ):
        for seed in range(3):
            frame = frame_of(noise(320, 180, "yuv420p", seed), seed)
            matte = segmenter(frame)
            before = len(found.card.calls)
            compositor(frame, matte)
        assert "memcpy_htod_async" not in found.card.calls[before:]


def test_memory_is_used_again_when_nobody_holds_a_matte_any_more() -> None:
    """A hundred frames need no more than the first few."""
    with machine() as found, streamseg.Segmenter(find_model("selfie"), runtime="tensorrt") as segmenter:
        held: list[streamseg.Matte] = []
        for seed in range(100):
            held = [*held[-3:], segmenter(frame_of(noise(64, 48, "yuv420p", seed % 5), seed))]
            if seed == 20:
                before = found.card.calls.count("mem_alloc")
        assert found.card.calls.count("mem_alloc") == before


@pytest.mark.parametrize("pixels", ["yuv420p10le", "nv12", "bgr24", "yuv411p", "gray", "pal8", "yuva420p"])
@pytest.mark.parametrize("name", ["replace", "cutout", "labels"])
def test_any_pixel_format_is_seen(pixels: str, name: str) -> None:
    """Also those whose samples kernels do not find: they reach the network through the processor."""
    picture = streamseg.frame.av.VideoFrame.from_ndarray(
        np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8), "rgb24"
    ).reformat(format="rgb8" if pixels == "pal8" else pixels)
    card, recipe, out = find_model("selfie"), streamseg.effect(name), []
    for runtime in ("onnxruntime", "tensorrt"):
        with (
            machine(),
            streamseg.Segmenter(card, runtime=runtime, labels=recipe.needs_labels) as segmenter,
            streamseg.open_compositor(recipe) as compositor,
        ):
            frame = frame_of(picture)
            matte = segmenter(frame)
            assert matte.failure is None
            made = compositor(frame, matte)
            assert matte.failure is None
            out.append(made)
    assert (differences(*out) > 3).mean() < 0.02


HIDING = ["silhouette", "replace", "cutout", "blur"]


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("name", HIDING)
def test_whatever_fails_no_raw_frame_is_shown(name: str, lost: bool, tmp_path: Path) -> None:
    """Each call of driver and TensorRT refused in turn: a frame is what it should be or only background.

    None is missing, the processor takes over, the report says so in one line, and nothing leaks.
    """
    card, recipe = networks.brightness(tmp_path), streamseg.effect(name)
    options = {"crop": "off", "smooth": 0}
    clean = Card()
    with machine(clean) as found:
        plans = found.plans
        wanted, _ = run_network(ListSource(range(0, 160, 40)), card, recipe, runtime="tensorrt", **options)
    hidden = failed(recipe)
    outcomes = set()
    for number in range(clean.calls.index("Runtime"), len(clean.calls)):
        broken = Card(fails_at=number, lost=lost)
        with machine(broken) as found:
            found.plans = plans
            try:
                frames, report = run_network(
                    ListSource(range(0, 160, 40)), card, recipe, runtime="tensorrt", **options
                )
            except (streamseg.RuntimeFailure, streamseg.ModelError) as error:
                assert "\n" not in str(error)
                continue
        outcomes.add(report.runtime)
        assert len(frames) == 4
        for frame, right, background in zip(frames, wanted, hidden, strict=True):
            near = min(differences(frame, right).max(), differences(frame, background).max())
            assert near <= 3, f"call {number}, {broken.calls[number:][:1]}"
        assert len(report.failures) <= 1
        assert report.frames_failed <= 2 * len(report.failures)  # one being segmented, one being painted
        for failure in report.failures:
            assert failure.endswith("; the processor takes over")
        if not lost and not GIVING_BACK & set(broken.calls[number:][:1]):
            assert not broken.leaks, (
                f"{broken.leaks} left after call {number}, {broken.calls[number - 3 :][:40]}"
            )
    assert outcomes == {"tensorrt", "tensorrt, then onnxruntime"}


def failed(recipe: streamseg.Recipe) -> list[streamseg.Frame]:
    """What an effect shows of frames that could not be segmented."""
    with ListSource(range(0, 160, 40)) as source, streamseg.open_compositor(recipe) as compositor:
        nothing = np.zeros((1, 1), np.uint8)
        return [compositor(frame, streamseg.Matte(nothing, failure="because")) for frame in source]

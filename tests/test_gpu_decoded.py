"""Frames decoded on the card: read where they lie, and brought down only for who needs them in memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import streamseg
from streamseg.compositors.cuda import CudaCompositor
from streamseg.effects import EFFECTS
from streamseg.frame import Frame, Matte
from streamseg.gpu.decoded import decoded, points
from streamseg.models import find_model
from streamseg.shots import GRID, Shots
from streamseg.sources import reader
from streamseg.sources.hardware import CardDecoder
from tests import networks
from tests.card_runs import Frames, differences, run_network
from tests.clips import make_clip
from tests.compositing import PEOPLE, frame_of, noise
from tests.emulator.card import Card
from tests.emulator.decoder import CardContext, DecodedPicture
from tests.emulator.driver import emulated
from tests.emulator.slots import bench
from tests.emulator.tensorrt import machine
from tests.test_compositors_cuda import soft

SIZE = (320, 180)


@contextmanager
def decoding(card: Card) -> Iterator[None]:
    """Let sources decode on an emulated card, although FFmpeg does it in memory."""
    usual = reader._decoder_of

    def decoder_of(stream: Any, live: bool) -> Any:
        return CardDecoder(CardContext(card, usual(stream, live)))  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_decoder_of", decoder_of)
        patch.setattr("streamseg.sources.media.card", lambda: None)
        yield


def on_card(card: Card, picture: av.VideoFrame, index: int = 0) -> Frame:
    """A frame as the decoder leaves it."""
    frame = frame_of(picture, index)
    frame.native = DecodedPicture(card, frame.native)  # type: ignore[assignment]
    return frame


def clip_of(folder: Path, frames: int = 6) -> str:
    """A clip whose chroma the card's decoder keeps as it is."""
    make_clip(folder / "in.mp4", size=SIZE, frames=frames)
    return str(folder / "in.mp4")


def run_decoded(card: Card, clip: str, network: Any, recipe: Any, **options: Any) -> tuple[Frames, Any]:
    """A run whose source decodes on the card."""
    with decoding(card), streamseg.open_source(clip, hwaccel="cuda") as source:
        assert source._reader.on_card  # type: ignore[attr-defined]
        return run_network(source, network, recipe, **options)


def pictures_uploaded(card: Card) -> int:
    """How many of all copies to the card were of whole pictures; mattes and label maps are smaller."""
    picture = SIZE[0] * SIZE[1] * 3 // 2
    return sum(picture <= size < 1.1 * picture for size in card.uploaded)


@pytest.mark.parametrize("name", EFFECTS)
def test_runs_upload_no_picture_and_bring_none_down_to_read_it(name: str, tmp_path: Path) -> None:
    """The same pictures, to the code, as a run that decodes in memory; tracked crops and cuts included."""
    clip, network, recipe = clip_of(tmp_path), find_model("selfie"), streamseg.effect(name)
    with machine() as found:
        wanted, _ = run_network(clip, network, recipe, runtime="tensorrt")
        assert pictures_uploaded(found.card) == 6
    with machine() as found:
        frames, report = run_decoded(found.card, clip, network, recipe, runtime="tensorrt")
        gc.collect()
    assert report.failures == report.notes == []
    assert found.card.fetched == 0
    assert pictures_uploaded(found.card) == 0
    assert len(frames) == len(wanted) == 6
    for frame, other in zip(frames, wanted, strict=True):
        assert differences(frame, other).max(initial=0) == 0
    assert not found.card.leaks
    assert len(found.card.threads) == 1


def test_on_the_processor_each_is_brought_down_once(tmp_path: Path) -> None:
    """However often it is read; on edges alone swscale makes a difference between nv12 and yuv420p."""
    clip, network, recipe = clip_of(tmp_path), find_model("selfie"), streamseg.effect("blur")
    wanted, _ = run_network(clip, network, recipe, runtime="onnxruntime")
    card = Card()
    frames, report = run_decoded(card, clip, network, recipe, runtime="onnxruntime")
    assert report.failures == []
    assert card.fetched == len(frames) == 6
    for frame, other in zip(frames, wanted, strict=True):
        assert (differences(frame, other) > 2).mean() < 0.01


@pytest.mark.parametrize("pixels", ["nv12", "p010le", "p016le", "yuv444p"])
@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_every_effect_reads_every_layout_of_decoders(pixels: str, size: tuple[int, int]) -> None:
    """Odd sizes and padded rows too, with the codes that an uploaded picture gives."""
    planar = {"p010le": "yuv420p10le", "p016le": "yuv420p16le"}.get(pixels, pixels.replace("nv12", "yuv420p"))
    picture = noise(*size, planar).reformat(format=pixels)
    labels = np.random.default_rng(0).integers(0, 2, size[::-1]).astype(np.uint8)
    for name in EFFECTS:
        card = Card()
        with (
            emulated(card),
            CudaCompositor(streamseg.effect(name), classes=PEOPLE, foreground=()) as compositor,
        ):
            wanted = compositor(frame_of(picture), Matte(soft(), labels))
            compositor.reset()
            made = compositor(on_card(card, picture), Matte(soft(), labels))
        assert differences(made, wanted).max(initial=0) == 0
        assert not card.leaks
    assert card.fetched == 0


def test_its_memory_stays_until_the_frame_is_painted() -> None:
    """Whoever looked at it keeps it, though the frame itself gets another picture meanwhile."""
    with machine() as found, streamseg.Segmenter(find_model("selfie"), runtime="tensorrt") as segmenter:
        picture = noise(*SIZE, "yuv420p").reformat(format="nv12")
        recipe = streamseg.effect("blur")
        with streamseg.open_compositor(recipe) as compositor:
            wanted = compositor(frame_of(picture), segmenter(frame_of(picture)))
            segmenter.reset()
            frame = on_card(found.card, picture)
            matte = segmenter(frame)
            frame.native = av.VideoFrame(*SIZE, "nv12")
            frame.native.pts, frame.native.time_base = wanted.native.pts, wanted.native.time_base
            gc.collect()
            assert differences(compositor(frame, matte), wanted).max() == 0


@pytest.mark.parametrize("pixels", ["nv12", "p010le"])
@pytest.mark.parametrize("full", [False, True])
def test_cuts_are_seen_from_the_same_pixels(pixels: str, full: bool) -> None:
    """A code from what swscale reads, in either range; a picture with fewer pixels has none."""
    planar = "yuv420p" if pixels == "nv12" else "yuv420p10le"
    smooth = av.VideoFrame(*SIZE, "gray")
    ramp = np.add.outer(np.arange(SIZE[1]), np.arange(SIZE[0])) * 255 // (sum(SIZE) - 2)
    smooth.planes[0].update(ramp.astype(np.uint8).tobytes())
    picture = smooth.reformat(format=planar, dst_color_range=2 if full else 1).reformat(format=pixels)
    picture.color_range = 2 if full else 1
    seen: list[np.ndarray[Any, Any]] = []
    shots = Shots()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shots, "cuts", lambda grid: bool(seen.append(grid)))
        shots(picture)
    card = Card()
    with bench(card) as at:
        surface = decoded(on_card(card, picture).native)
        assert surface is not None
        found = at.device.carry_out(lambda: points(at.slot, surface, GRID))
        assert found is not None
        assert np.abs(found.astype(int) - seen[0]).max() <= 3
        tiny = decoded(on_card(card, noise(32, 16, "yuv420p").reformat(format="nv12")).native)
        assert tiny is not None
        assert at.device.carry_out(lambda: points(at.slot, tiny, GRID)) is None
        card.default.drain(card.default.queued)


@pytest.mark.parametrize("name", ["silhouette", "replace", "cutout", "blur"])
def test_when_the_card_is_lost_no_raw_frame_is_shown(name: str, tmp_path: Path) -> None:
    """At whatever call: none is missing, each is what it should be, background or black; the run goes on."""
    clip, network, recipe = clip_of(tmp_path, 16), networks.brightness(tmp_path), streamseg.effect(name)
    options = {"crop": "off", "smooth": 0}
    clean = Card()
    with machine(clean) as found:
        plans = found.plans
        right = [run_decoded(clean, clip, network, recipe, runtime="tensorrt", **options)[0]]
    # The processor sees what it decoded itself, or what it fetched: swscale makes a difference.
    right.append(run_decoded(Card(), clip, network, recipe, runtime="onnxruntime", **options)[0])
    right.append(run_network(clip, network, recipe, runtime="onnxruntime", **options)[0])
    with streamseg.open_source(clip) as source, streamseg.open_compositor(recipe) as compositor:
        nothing = Matte(np.zeros((1, 1), np.uint8), failure="because")
        hidden = [compositor(frame, nothing) for frame in source]
        black = compositor(frame_of(dark()), nothing)
    notes: set[str] = set()
    for number in range(clean.calls.index("Runtime") + 20, len(clean.calls), 41):
        broken = Card(fails_at=number, lost=True)
        with machine(broken) as found:
            found.plans = plans
            try:
                frames, report = run_decoded(broken, clip, network, recipe, runtime="tensorrt", **options)
            except (streamseg.RuntimeFailure, streamseg.ModelError):
                continue
            gc.collect()
        assert len(frames) == 16
        for frame, *possible in zip(frames, *right, hidden, strict=True):
            found_codes = min(differences(frame, each).max() for each in possible)
            dark_codes = differences(frame, frame.with_picture(black.picture)).max()
            assert min(found_codes, dark_codes) <= 3, f"call {number}"
        assert len(report.failures) <= 2
        notes |= set(report.notes)
    assert any("the GPU failed while decoding" in note for note in notes)


def dark() -> av.VideoFrame:
    """What stands in for a picture that cannot be had."""
    grey = av.VideoFrame(*SIZE, "gray")
    grey.planes[0].update(bytes(grey.planes[0].buffer_size))
    return grey.reformat(format="nv12")


def test_a_frame_that_cannot_be_brought_down_says_so_and_is_black() -> None:
    """With the same timing; the segmenter finds nothing in it, and the compositor says what happened."""
    card = Card(fails_at=0, lost=True)
    card.calls += ["", ""]
    frame = on_card(card, noise(*SIZE, "yuv420p").reformat(format="nv12"), 3)
    assert frame.picture.pts == 3
    assert frame.lost == "the GPU failed: generic error in an external library"
    assert frame.picture.format.name == "nv12"
    luma, chroma = (np.frombuffer(bytes(plane), np.uint8) for plane in frame.picture.planes)
    assert set(luma.reshape(SIZE[1], -1)[:, : SIZE[0]].ravel()) == {16}
    assert set(chroma.reshape(SIZE[1] // 2, -1)[:, : SIZE[0]].ravel()) == {128}
    with streamseg.Segmenter("selfie", runtime="null") as segmenter:
        matte = segmenter(frame)
    assert not matte.alpha.any()
    assert matte.failure == frame.lost
    found = Matte(soft())
    with streamseg.open_compositor(streamseg.effect("blur")) as compositor:
        painted = compositor(on_card(card, noise(*SIZE, "yuv420p").reformat(format="nv12"), 4), found)
    assert found.failure == frame.lost
    assert set(np.frombuffer(bytes(painted.picture.planes[0]), np.uint8).tolist()) <= {0, 16}

"""What the CUDA compositor asks of the driver: in which order, on which thread; what it does when refused."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from streamseg.compositors import open_compositor
from streamseg.effects import EFFECTS, Recipe, effect
from streamseg.errors import GpuFailure, RuntimeFailure, UsageError
from streamseg.frame import Matte
from streamseg.gpu.device import Device
from streamseg.gpu.slot import Slot
from tests.compositing import frame_of, furthest, noise
from tests.emulator.card import Card, LogicError
from tests.emulator.driver import emulated
from tests.test_compositors_cuda import ANIMALS, painted, shown, soft

GIVING_BACK = {"free", "pinned.free", "detach"}
COPIES = {"memcpy_htod_async", "memcpy_dtoh_async"}
PICTURES = [noise(61, 43, "yuv420p", seed) for seed in range(3)]
LABELS = np.random.default_rng(0).integers(0, 4, (43, 61)).astype(np.uint8)
MATTES = [Matte(soft(seed), LABELS) for seed in range(3)]


def recipe_of(name: str) -> Recipe:
    """An effect by its name, or "tinted": an overlay whose figure is before a colour."""
    if name == "tinted":
        return effect("overlay", background="#336699")
    return effect(name, feather=20 if name == "replace" else 0)


def calls_of_each_frame(name: str, card: Card, classes: Sequence[str] = ANIMALS) -> list[list[str]]:
    """What is asked of the driver for each of three frames alike."""
    recipe, seen = recipe_of(name), []
    with emulated(card), open_compositor(recipe, classes=classes, device="cuda") as compositor:
        for index, (picture, matte) in enumerate(zip(PICTURES, MATTES, strict=True)):
            before = len(card.calls)
            compositor(frame_of(picture, index), matte)
            seen.append(card.calls[before:])
    return seen


@pytest.mark.parametrize("name", sorted({*EFFECTS, "tinted"} - {"labels"}))
def test_a_frame_goes_up_once_comes_down_once_and_is_waited_for_once(name: str) -> None:
    """Each later frame: its planes and its matte up, kernels, the picture down, a wait; nothing allocated."""
    card = Card()
    _, *later = calls_of_each_frame(name, card)
    for calls in later:
        kernels = [call for call in calls if call in card.launched]
        assert calls[-4:] == ["memcpy_dtoh_async", "record", "query", "query"]
        assert calls.count("memcpy_dtoh_async") == calls.count("record") == 1
        assert calls.count("memcpy_htod_async") == (1 if name == "mask" else 2)
        assert set(calls) <= COPIES | set(kernels) | {"record", "query"}
    assert not card.leaks


def test_class_ids_of_the_host_stay_there() -> None:
    """A label map that is on no card needs none."""
    assert calls_of_each_frame("labels", Card()) == [[], [], []]


@pytest.mark.parametrize("name", EFFECTS)
def test_everything_is_asked_on_one_thread_and_given_back_in_order(name: str) -> None:
    """That thread is not the caller's; the context goes last, after a wait, and nothing is asked then."""
    card = Card()
    calls_of_each_frame(name, card)
    assert len(card.threads) == 1
    assert threading.get_ident() not in card.threads
    assert card.calls[:4] == ["init", "Device", "retain_primary_context", "push"]
    assert card.calls[-2:] == ["pop", "detach"]
    if name != "labels":
        freeing = card.calls.index("free")
        assert card.calls[freeing - 1] == "context.synchronize"
        assert set(card.calls[freeing:-2]) == {"free", "pinned.free"}


def test_larger_frames_take_the_place_of_smaller_ones() -> None:
    """Buffers grow with the frames, and frames that shrink again allocate nothing."""
    card = Card()
    sizes = [(32, 18), (64, 36), (32, 18), (64, 36)]
    counts = []
    with emulated(card), open_compositor(effect("blur"), device="cuda") as compositor:
        for index, size in enumerate(sizes):
            before = card.calls.count("mem_alloc")
            compositor(frame_of(noise(*size, "yuv420p"), index), Matte(soft()))
            counts.append(card.calls.count("mem_alloc") - before)
    assert counts[0] > 0
    assert counts[1] > 0
    assert counts[2:] == [0, 0]
    assert not card.leaks


def survived(name: str, card: Card) -> list[bool]:
    """Composite three frames, one of which may fail; say which came out. Those are as they should be."""
    recipe = effect(name, background="#336699") if name in ("silhouette", "replace") else recipe_of(name)
    wanted = [
        painted(recipe, [picture], [matte], "cpu", ANIMALS)[0]
        for picture, matte in zip(PICTURES, MATTES, strict=True)
    ]
    out = []
    try:
        compositor = open_compositor(recipe, classes=ANIMALS, device="cuda")
    except RuntimeFailure as error:
        assert "\n" not in str(error)
        return []
    with compositor:
        for index, (picture, matte) in enumerate(zip(PICTURES, MATTES, strict=True)):
            compositor.reset()
            try:
                made = compositor(frame_of(picture, index), matte).picture
            except RuntimeFailure as error:
                assert str(error).startswith("the GPU failed: ")
                assert "\n" not in str(error)
                out.append(False)
                continue
            assert furthest(shown(made), shown(wanted[index])) <= 1
            out.append(True)
    return out


@pytest.mark.parametrize(
    "name", ["replace", "blur", "cutout", "overlay", "tinted", "trail", "outline", "mask"]
)
def test_a_failure_at_any_call_costs_a_frame_and_leaks_nothing(name: str) -> None:
    """Whichever call the driver refuses: only finished frames come out, and the next one is right again."""
    with emulated(Card()) as clean:
        assert survived(name, clean) == [True, True, True]
    for number, call in enumerate(clean.calls):
        with emulated(Card(fails_at=number)) as card:
            out = survived(name, card)
        assert out.count(False) <= 1
        assert len(card.leaks) <= (call in GIVING_BACK), f"{card.leaks} left after call {number}, {call}"
        assert call not in GIVING_BACK or out == [True, True, True]
        assert len(card.threads) == 1


@pytest.mark.parametrize("name", ["replace", "blur", "cutout", "overlay"])
def test_a_card_that_is_lost_fails_every_frame_and_can_be_closed(name: str) -> None:
    """From some call on nothing works: every later frame is a failure, and closing raises nothing."""
    with emulated(Card()) as clean:
        survived(name, clean)
    for number in range(0, len(clean.calls), 3):
        with emulated(Card(fails_at=number, lost=True)) as card:
            out = survived(name, card)
        assert out == sorted(out, reverse=True), "frames came out after one had failed"


def test_an_echo_does_not_outlive_a_failure() -> None:
    """What the card remembered is gone with its memory: the next frame is as the first."""
    figure, nobody = Matte(np.full((4, 4), 255, np.uint8)), Matte(np.zeros((4, 4), np.uint8))
    with emulated(Card()) as card, open_compositor(effect("trail"), device="cuda") as compositor:
        compositor(frame_of(PICTURES[0], 0), figure)
        card.fails_at = len(card.calls)
        with pytest.raises(RuntimeFailure):
            compositor(frame_of(PICTURES[1], 1), nobody)
        made = compositor(frame_of(PICTURES[2], 2), nobody).picture
    assert (shown(made)[0] == 235).all()


def test_a_background_comes_back_after_a_failure(tmp_path: Path) -> None:
    """It goes up again, although it is the same picture."""
    path = tmp_path / "behind.png"
    assert cv2.imwrite(str(path), np.full((8, 8, 3), (40, 90, 200), np.uint8))
    nobody, recipe = Matte(np.zeros((4, 4), np.uint8)), effect("replace", background=str(path))
    with emulated(Card()) as card, open_compositor(recipe, device="cuda") as compositor:
        wanted = shown(compositor(frame_of(PICTURES[0], 0), nobody).picture)
        card.fails_at = len(card.calls)
        with pytest.raises(RuntimeFailure):
            compositor(frame_of(PICTURES[1], 1), nobody)
        assert furthest(shown(compositor(frame_of(PICTURES[2], 2), nobody).picture), wanted) == 0


def test_a_card_without_memory_for_a_frame() -> None:
    """The frame fails with the driver's reason, and what was taken is given back."""
    with emulated(Card(memory=4096)) as card:
        with open_compositor(effect("replace"), device="cuda") as compositor:
            with pytest.raises(RuntimeFailure, match="the GPU failed: cuMemAlloc failed: out of memory"):
                compositor(frame_of(noise(64, 64, "yuv420p")), Matte(soft()))
            assert card.leaks == ["the primary context", "a pushed context"]
            compositor(frame_of(noise(16, 16, "gray")), Matte(soft(0, (4, 4))))
        assert not card.leaks


def test_without_pycuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line: what is missing, and how to get it."""
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(
        UsageError, match=r"needs PyCUDA, which cannot be imported .*; install it: pip install pycuda"
    ):
        open_compositor(effect("replace"), device="cuda")


def test_an_event_taken_for_granted_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compositor that does not ask whether its work is done hands garbage out: these tests can fail."""
    (wanted,) = painted(effect("replace"), PICTURES[:1], MATTES[:1], "cpu")
    with emulated(Card()), open_compositor(effect("replace"), device="cuda") as compositor:
        monkeypatch.setattr(Slot, "queued", lambda slot: SimpleNamespace(query=lambda: True))
        made = compositor(frame_of(PICTURES[0]), MATTES[0]).picture
    assert furthest(shown(made), shown(wanted)) > 50


def test_a_missing_wait_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator works late, so a compositor that does not wait hands garbage out: these tests can fail."""
    waited = Slot.wait
    monkeypatch.setattr(Slot, "wait", lambda slot: None)
    with emulated(Card()), Device() as device:
        slot = Slot(device)

        def garbage() -> Any:
            address = slot.upload("codes", [np.zeros(64, np.uint8)])[0]
            staging = slot.download("codes down", address, 64)
            slot.wait()
            before = np.array(staging)
            waited(slot)
            return before, np.array(staging)

        before, after = device.run(garbage)
        monkeypatch.setattr(Slot, "wait", waited)
        device.run(slot.clear)
    assert (before != 0).all()
    assert (after == 0).all()


def test_an_error_keeps_nothing_of_the_cards() -> None:
    """What was in use where it happened is freed on the GPU's thread: PyCUDA can do so nowhere else."""
    freed: list[int] = []

    class Held:
        def __del__(self) -> None:
            freed.append(threading.get_ident())

    def fail(stream: Held) -> None:
        raise LogicError("refused")

    def work() -> None:
        try:
            fail(Held())
        except LogicError as error:
            raise GpuFailure("refused") from error

    with emulated(Card()), Device() as device:
        thread = device.run(threading.get_ident)
        with pytest.raises(GpuFailure):
            device.run(work)
        assert freed == [thread]


def test_what_lies_in_a_lost_context_is_not_freed() -> None:
    """PyCUDA would tell the user of each thing that it cannot free; once the context has gone it does not."""
    card = Card()
    with emulated(card), open_compositor(effect("blur"), device="cuda") as compositor:
        compositor(frame_of(PICTURES[0], 0), MATTES[0])
        card.fails_at, card.lost = len(card.calls), True
        for index in (1, 2):
            with pytest.raises(RuntimeFailure):
                compositor(frame_of(PICTURES[index], index), MATTES[index])
    assert not GIVING_BACK - {"detach"} & set(card.calls)
    assert card.calls[-2:] == ["pop", "detach"]

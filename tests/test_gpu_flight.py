"""Frames in flight: while the card works on one, the next one's work is queued. On the emulated card."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import streamseg
from streamseg.effects import effect
from streamseg.errors import GpuFailure
from streamseg.gpu.device import Device, Steps
from streamseg.gpu.slot import Slot
from tests import networks
from tests.card_runs import differences, run_network
from tests.compositing import frame_of, noise
from tests.doubles import ListSource
from tests.emulator.card import Card, LaunchError
from tests.emulator.driver import emulated
from tests.emulator.tensorrt import machine

STEADY = {"crop": "off", "smooth": 0}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card that is to work on two things and is given one is given up, not waited for."""
    monkeypatch.setattr("tests.emulator.driver.PATIENCE", 10)


def rest_until_two_are_under_way(card: Card) -> list[int]:
    """Let the card do nothing before two streams have work, all of it marked by an event; return how many."""
    most: list[int] = []

    def watch(call: str) -> None:
        if call == "query" and card.busy >= 2:
            most.append(card.busy)
            card.answers.set()

    card.watch = watch
    card.answers.clear()
    return most


def test_the_next_frame_is_queued_while_one_is_painted(tmp_path: Path) -> None:
    """The card has the work of both before either has been waited for, and both come out right."""
    frames = [frame_of(noise(64, 48, "yuv420p", seed), seed) for seed in range(3)]
    with (
        machine() as found,
        streamseg.Segmenter(networks.brightness(tmp_path), runtime="tensorrt", **STEADY) as segmenter,
        streamseg.open_compositor(effect("silhouette")) as compositor,
        ThreadPoolExecutor(2) as threads,
    ):
        first, second = segmenter(frames[1]), segmenter(frames[2])
        wanted = compositor(frames[1], first)
        most = rest_until_two_are_under_way(found.card)
        painting = threads.submit(compositor, frames[1], first)
        seeing = threads.submit(segmenter, frames[2])
        assert differences(painting.result(), wanted).max() == 0
        np.testing.assert_array_equal(seeing.result().alpha, second.alpha)
        assert first.failure is seeing.result().failure is None
        assert most
        assert len(found.card.threads) == 1
        first.held = second.held = seeing.result().held = None
    assert not found.card.leaks


def test_so_it_is_in_a_run(tmp_path: Path) -> None:
    """While the first frame is painted the second is on its way through the network."""
    card, recipe, painted = networks.brightness(tmp_path), effect("silhouette"), threading.Event()
    wanted, _ = run_network(ListSource(range(0, 240, 40)), card, recipe, runtime="onnxruntime", **STEADY)
    most: list[list[int]] = []

    def hold(index: int) -> None:
        if index:
            painted.wait(10)

    with machine() as found:

        def watch(call: str) -> None:
            if call == "blend":
                most.append(rest_until_two_are_under_way(found.card))
                painted.set()

        found.card.watch = watch
        source = ListSource(range(0, 240, 40), before=hold)
        frames, report = run_network(source, card, recipe, runtime="tensorrt", **STEADY)
    assert most[0]
    assert report.failures == []
    for frame, other in zip(frames, wanted, strict=True):
        assert differences(frame, other).max() <= 2


def copied(slot: Slot, code: int) -> Steps[NDArray[np.uint8]]:
    """Up and down again."""
    address = slot.upload("codes", [np.full(64, code, np.uint8)])[0]
    codes = slot.download("down", address, 64)
    yield slot.queued()
    return codes


def test_what_fails_takes_nothing_from_what_is_under_way() -> None:
    """One piece of work gives its memory back while the card is busy with another, which comes out whole."""
    with (
        emulated(Card()) as card,
        Device() as device,
        ThreadPoolExecutor(2) as threads,
    ):
        good, bad = Slot(device), Slot(device)

        def failing() -> Steps[None]:
            try:
                yield from copied(bad, 1)
                raise LaunchError("after its event")
            except Exception:
                bad.clear()
                raise

        most = rest_until_two_are_under_way(card)
        whole = threads.submit(device.carry_out, lambda: copied(good, 7))
        failed = threads.submit(device.carry_out, failing)
        with pytest.raises(GpuFailure, match="the GPU failed: after its event"):
            failed.result()
        assert (whole.result() == 7).all()
        assert most
        device.run(good.clear)
    assert not card.leaks


def test_an_error_of_the_card_is_raised_where_its_work_waits() -> None:
    """So that whoever queued it can clean up, on the GPU's thread."""
    seen: list[str] = []
    with emulated(Card()) as card, Device() as device:
        slot = Slot(device)

        def work() -> Steps[None]:
            try:
                yield from copied(slot, 1)
            except Exception as error:
                seen.append(str(error))
                slot.clear()
                raise

        card.watch = lambda call: fail_next(card) if call == "record" else None
        with pytest.raises(GpuFailure, match="query failed: injected"):
            device.carry_out(work)
    assert seen == ["query failed: injected"]
    assert not card.leaks


def fail_next(card: Card) -> None:
    """The next call is refused."""
    card.fails_at = len(card.calls)

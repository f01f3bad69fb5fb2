"""A card that does not answer, on the emulated one: it is given up, and nobody waits for it any more."""

from __future__ import annotations

import _thread
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

import streamseg
from streamseg.compositors import open_compositor
from streamseg.effects import effect
from streamseg.errors import GpuFailure, RuntimeFailure
from streamseg.frame import Matte
from streamseg.gpu import device
from streamseg.gpu.device import Device
from tests import networks
from tests.card_runs import differences, run_network
from tests.compositing import frame_of, furthest, noise
from tests.doubles import ListSource
from tests.emulator.card import Card
from tests.emulator.driver import emulated
from tests.emulator.tensorrt import machine
from tests.test_compositors_cuda import shown, soft
from tests.test_gpu_runs import failed

PICTURE = noise(61, 43, "yuv420p")
REPLACE = effect("replace", background="#336699")
GIVEN_UP = "the GPU did not answer within"

Hanging: TypeAlias = Callable[..., Card]


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Hanging:
    """Makes cards that hang at a call; from then on time flies for whoever waits, and not before."""

    def make(number: int, card: Card | None = None) -> Card:
        made = card or Card()
        made.hangs_at = number

        def watch(_call: str) -> None:
            if len(made.calls) == number + 1:
                monkeypatch.setattr(device, "_SLICE", 0.0001)

        made.watch = watch
        monkeypatch.setattr(device, "_SLICE", 0.1)
        return made

    return make


@contextmanager
def answering_late(card: Card) -> Iterator[None]:
    """In the end the card answers after all; its thread has ended when this is left."""
    try:
        yield
    finally:
        card.answers.set()
        for thread in threading.enumerate():
            if thread.name == "streamseg-gpu":
                thread.join(10)


def test_a_frames_limit_leaves_time_for_the_processor() -> None:
    """Of the two seconds in which it has to take over."""
    assert Device.FRAME <= 1.5


def test_a_call_that_does_not_return_fails_and_the_card_is_left_alone(hanging: Hanging) -> None:
    """Later calls fail at once, closing waits for nothing, and the card is asked for nothing any more."""
    with emulated(Card()) as card, answering_late(card), Device() as gpu:
        hanging(len(card.calls), card)
        with pytest.raises(GpuFailure, match=f"^{GIVEN_UP} 1.5 s$"):
            gpu.run(gpu.settle, within=1.5)
        assert gpu.failure == f"{GIVEN_UP} 1.5 s"
        with pytest.raises(GpuFailure, match=GIVEN_UP):
            gpu.run(lambda: 1, within=1000)
        gpu.close()
        assert not card.answers.is_set()
    assert card.calls[card.hangs_at :] == ["context.synchronize", "pop"]  # or PyCUDA ends the process


def test_who_waits_behind_such_a_call_waits_no_longer() -> None:
    """However long the hanging one would have been given: the shortest limit holds for all."""
    begun = threading.Event()
    with (
        emulated(Card()) as card,
        ThreadPoolExecutor(1) as threads,
        answering_late(card),
        Device() as gpu,
    ):

        def hang() -> None:
            begun.set()
            gpu.settle()

        card.hangs_at = len(card.calls)
        first = threads.submit(gpu.run, hang, within=10000)
        begun.wait()
        with pytest.raises(GpuFailure, match=f"{GIVEN_UP} 0.3 s"):
            gpu.run(lambda: 2, within=0.3)
        with pytest.raises(GpuFailure, match=GIVEN_UP):
            first.result()


def test_an_interrupt_leaves_no_work_to_itself() -> None:
    """Ctrl-C comes out of a call when its work is done: whoever unwinds may touch the memory."""
    done, late = [], threading.Event()

    def work() -> None:
        _thread.interrupt_main()
        late.wait(0.2)
        done.append(True)

    with emulated(Card()), Device() as gpu:
        with pytest.raises(KeyboardInterrupt):
            gpu.run(work, within=60)
        assert done


def composited(card: Card) -> list[bool]:
    """Composite three frames on a card that may not answer; say which came out, as they should be."""
    out: list[bool] = []
    with open_compositor(REPLACE, device="cpu") as other:
        wanted = shown(other(frame_of(PICTURE), Matte(soft())).picture)
    try:
        compositor = open_compositor(REPLACE, device="cuda")
    except RuntimeFailure as error:
        assert str(error).startswith(GIVEN_UP)
        return out
    with compositor:
        for index in range(3):
            try:
                made = compositor(frame_of(PICTURE, index), Matte(soft())).picture
            except RuntimeFailure as error:
                assert str(error).startswith(GIVEN_UP)
                out.append(False)
                continue
            assert furthest(shown(made), wanted) <= 1
            out.append(True)
    return out


def test_whichever_call_hangs_only_finished_frames_come_out(hanging: Hanging) -> None:
    """No frame comes after the hanging call, nothing waits for it, and what is on the card is not touched."""
    with emulated(Card()) as clean:
        assert composited(clean) == [True, True, True]
    opened = clean.calls.index("mem_alloc")
    for call in sorted(set(clean.calls)):
        last = len(clean.calls) - 1 - clean.calls[::-1].index(call)
        for number in {clean.calls.index(call), last}:
            with emulated(hanging(number)) as card, answering_late(card):
                out = composited(card)
                assert not card.answers.is_set()
                assert out == sorted(out, reverse=True)
                asked = len(card.calls)
                gc.collect()
            assert number < opened or set(card.calls[asked:]) <= {"pop"}
            assert not card.context.threads, "PyCUDA ends the process where such a thread ends"


@pytest.mark.parametrize("name", ["silhouette", "replace", "cutout", "blur"])
def test_a_run_goes_on_on_the_processor(name: str, tmp_path: Path, hanging: Hanging) -> None:
    """Frames in flight show background only, no other is lost; the run ends while the card still hangs."""
    card, recipe = networks.brightness(tmp_path), effect(name)
    options = {"crop": "off", "smooth": 0}
    clean = Card()
    with machine(clean) as found:
        plans = found.plans
        wanted, _ = run_network(ListSource(range(0, 160, 40)), card, recipe, runtime="tensorrt", **options)
    hidden = failed(recipe)
    for call in ("memcpy_htod_async", "execute_async_v3", "memcpy_dtoh_async", "query"):
        every = [number for number, name in enumerate(clean.calls) if name == call]
        number = every[len(every) // 2]
        stuck = hanging(number)
        with machine(stuck) as found, answering_late(stuck):
            found.plans = plans
            frames, report = run_network(
                ListSource(range(0, 160, 40)), card, recipe, runtime="tensorrt", **options
            )
            assert not stuck.answers.is_set()
        relieved = report.runtime == "tensorrt, then onnxruntime"
        assert relieved or call != "execute_async_v3"  # others may be the compositor's, of a last frame
        assert report.failures == [f"{GIVEN_UP} 60 s; the processor takes over"]
        assert 1 <= report.frames_failed <= 2
        assert len(frames) == 4
        for frame, right, background in zip(frames, wanted, hidden, strict=True):
            assert min(differences(frame, right).max(), differences(frame, background).max()) <= 3


def test_what_a_network_has_on_such_a_card_is_never_given_back(tmp_path: Path, hanging: Hanging) -> None:
    """TensorRT would wait for the card: not when nobody needs it, and not when the card answers late."""
    with machine() as found, answering_late(found.card):
        segmenter = streamseg.Segmenter(networks.brightness(tmp_path), runtime="tensorrt")
        hanging(len(found.card.calls), found.card)
        assert segmenter(frame_of(noise(64, 48, "yuv420p"))).failure is not None
        segmenter.close()
        del segmenter
        gc.collect()
    gc.collect()
    assert not {"~context", "~engine", "~runtime", "free"} & set(found.card.calls)


SCRIPT = """
import sys
from pathlib import Path
import streamseg
from streamseg.gpu.device import Device
from tests import networks
from tests.compositing import frame_of, noise
from tests.emulator.tensorrt import machine

with machine() as found:
    frame = frame_of(noise(64, 48, "yuv420p"))
    segmenter = streamseg.Segmenter(networks.brightness(Path(sys.argv[1])), runtime="tensorrt")
    compositor = streamseg.open_compositor(streamseg.effect("replace"))
    matte = segmenter(frame)
    found.card.hangs_at = len(found.card.calls) + int(sys.argv[2])
    Device.FRAME = 0.3
    compositor(frame, matte)
    print(matte.failure)
    if sys.argv[3] == "close":
        compositor.close()
        segmenter.close()
"""


@pytest.mark.parametrize("end", ["close", "leave"])
def test_a_process_ends_although_a_call_hangs(end: str, tmp_path: Path) -> None:
    """With everything closed or without: neither a thread nor what lies on the card is waited for."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), "2", end]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{GIVEN_UP} 0.3 s; the processor takes over\n"

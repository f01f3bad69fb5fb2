"""Whatever fails, an effect that hides the background never shows it: each output frame is compared with the
pixels of its source."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import streamseg
from streamseg.control import Control
from streamseg.errors import RuntimeFailure, StreamsegError
from streamseg.network_input import NetworkInput
from streamseg.report import Report
from streamseg.runtimes.null import NullRuntime
from streamseg.settings import Settings
from streamseg.stats import Stats
from tests.doubles import ListSink
from tests.secrets import SIZE, SecretSource, seen

FRAMES = 24
FIRST, LAST = 8, 15
"""Frames in which the fault is there."""

HIDING = [name for name in streamseg.EFFECTS if streamseg.effect(name).hides]
SHOWS_FIGURE = {"cutout", "replace", "blur"}
NOTHING = 0.05
"""Of a secret: what rounding and chance leave."""

Outputs = dict[str, NDArray[np.generic]]
Fault = Callable[[Outputs], Outputs]


def test_there_is_something_to_see() -> None:
    """The measure works: a raw frame shows all, its mean nothing, a faint ghost as much as there is of it."""
    picture = next(iter(SecretSource(1))).picture
    assert seen(picture, 0).min() > 0.95
    assert abs(seen(picture, 1)).max() < 0.25
    assert HIDING == ["silhouette", "cutout", "replace", "blur", "trail", "mask", "labels"]
    grey = picture.to_ndarray(format="gray")
    ghost = av.VideoFrame.from_ndarray((grey // 5 + 100).astype(np.uint8), "gray")
    assert 0.15 < seen(ghost, 0).mean() < 0.25


def raised(error: Exception) -> Fault:
    """Fail with an error."""

    def fault(outputs: Outputs) -> Outputs:
        raise error

    return fault


def valued(value: float, share: float = 1.0) -> Fault:
    """Put a value everywhere, or in the upper part."""

    def fault(outputs: Outputs) -> Outputs:
        ((name, scores),) = outputs.items()
        wrong = scores.copy()
        wrong[..., : round(wrong.shape[-2] * share), :] = value
        return {name: wrong}

    return fault


def reshaped(outputs: Outputs) -> Outputs:
    """Give an output of another shape."""
    ((name, scores),) = outputs.items()
    return {name: scores[..., 0]}


def missing(outputs: Outputs) -> Outputs:
    """Give no output."""
    return {}


FAULTS: dict[str, Fault] = {
    "failure": raised(RuntimeFailure("the network failed: out of memory")),
    "no memory": raised(MemoryError()),
    "opencv": raised(cv2.error("resize failed")),
    "defect": raised(ZeroDivisionError("a defect")),
    "nan": valued(np.nan),
    "part nan": valued(np.nan, 0.3),
    "infinite": valued(np.inf),
    "minus infinite": valued(-np.inf, 0.5),
    "all zero": valued(0.0),
    "negative": valued(-1e30),
    "other shape": reshaped,
    "nothing": missing,
}


class Faulty(NullRuntime):
    """Finds the disc, but for some frames, where a fault is."""

    fault: Fault
    frame = -1

    def __call__(self, tensors: object) -> Outputs:
        """Run the network, or what is left of it."""
        self.frame += 1
        outputs = super().__call__({})
        return self.fault(outputs) if FIRST <= self.frame <= LAST else outputs


def run(
    effect: str,
    *,
    source: SecretSource | None = None,
    fault: Fault | None = None,
    watch: Callable[[Stats, Control], None] = lambda stats, control: None,
    ends: bool = False,
    **settings: object,
) -> tuple[list[streamseg.Frame], Report | None]:
    """Run secrets through an effect; return what came out. `ends`: the fault may end the run."""
    wanted = Settings(effect=effect, crop="off", **settings)  # type: ignore[arg-type]
    control = Control(wanted)
    sink = ListSink()
    report = None
    with (
        streamseg.Segmenter("selfie", runtime="null", crop="off", smooth=wanted.smooth) as segmenter,
        streamseg.open_compositor(wanted.recipe()) as compositor,
    ):
        if fault is not None:
            runtime = Faulty(segmenter.card)
            runtime.fault = fault
            segmenter._use(runtime)
        try:
            report = streamseg.run(
                source or SecretSource(FRAMES),
                segmenter,
                compositor,
                [sink],
                control=control,
                watch=lambda stats: watch(stats, control),
            )
        except Exception as error:
            assert ends, error
        finally:
            control.close()
    return sink.frames, report


def background_of(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The parts in which the disc of the null runtime, an ellipse here, is not."""
    rows, columns = np.mgrid[:8, :8] - 3.5
    return parts[np.hypot(rows, columns) > 4.2]


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("effect", HIDING)
def test_no_fault_of_the_network_shows_the_background(effect: str, name: str) -> None:
    """Frames with the fault show nothing of the camera; the others no background, and the figure again."""
    frames, report = run(effect, fault=FAULTS[name], ends=name in {"defect", "nothing"})
    for index, frame in enumerate(frames):
        parts = seen(frame.picture, index)
        if FIRST <= index <= LAST:
            assert abs(parts).max() < NOTHING + 0.2 * (effect == "blur"), (index, parts.max())
            assert parts.mean() < NOTHING
        else:
            assert abs(background_of(parts)).mean() < NOTHING, index
    if report is not None:
        assert len(frames) == FRAMES
        silent = name in {"all zero", "negative", "other shape"}
        assert report.frames_failed == (0 if silent else LAST - FIRST + 1)
        if effect in SHOWS_FIGURE:
            assert seen(frames[-1].picture, FRAMES - 1)[3:5, 3:5].min() > 0.9


def test_what_ends_a_run_shows_nothing_more() -> None:
    """A defect, and a network that is not what its card says, end the run: the last frame is from before."""
    for name in ("defect", "nothing"):
        frames, report = run("replace", fault=FAULTS[name], ends=True)
        assert report is None
        assert len(frames) <= FIRST


@pytest.mark.parametrize("effect", HIDING)
def test_a_picture_that_cannot_be_scaled_is_hidden(effect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frame never reaches the network: the background is all there is."""
    original = NetworkInput.__call__
    count = iter(range(1000))

    def failing(self: NetworkInput, *arguments: object) -> object:
        if FIRST <= next(count) <= LAST:
            raise RuntimeFailure("cannot scale a picture")
        return original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(NetworkInput, "__call__", failing)
    frames, report = run(effect)
    assert report is not None
    assert report.frames_failed == LAST - FIRST + 1
    for index in range(FIRST, LAST + 1):
        assert seen(frames[index].picture, index).mean() < NOTHING


@pytest.mark.parametrize("effect", HIDING)
def test_a_compositor_that_fails_shows_nothing_more(effect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be painted ends the run; no frame goes out unpainted."""
    from streamseg.compositors.near import NearCompositor

    original = NearCompositor.__call__
    count = iter(range(1000))

    def failing(self: NearCompositor, frame: streamseg.Frame, matte: streamseg.Matte) -> streamseg.Frame:
        if next(count) == FIRST:
            raise RuntimeFailure("libavfilter failed")
        return original(self, frame, matte)

    monkeypatch.setattr(NearCompositor, "__call__", failing)
    frames, report = run(effect, ends=True)
    assert report is None
    assert len(frames) == FIRST
    for index, frame in enumerate(frames):
        assert abs(background_of(seen(frame.picture, index))).mean() < NOTHING


@pytest.mark.parametrize("effect", HIDING)
def test_pictures_of_another_size_are_hidden_too(effect: str) -> None:
    """The size changes in the middle of a run: each matte is that of its own frame."""
    source = SecretSource(FRAMES, size_of=lambda index: (96, 128) if index in range(8, 16) else SIZE)
    frames, report = run(effect, source=source)
    assert report is not None
    for index, frame in enumerate(frames):
        assert abs(background_of(seen(frame.picture, index))).mean() < NOTHING


class Walking(NullRuntime):
    """Finds somebody on the left before a long gap in time, on the right after it."""

    frame = -1

    def __call__(self, tensors: object) -> Outputs:
        """The half of the picture where the figure is."""
        self.frame += 1
        ((name, scores),) = super().__call__({}).items()
        half = np.zeros_like(scores)
        columns = slice(0, 128) if self.frame < FIRST else slice(128, None)
        half[..., columns] = 0.45 if self.frame == FIRST - 1 else 0.9
        return {name: half}


@pytest.mark.parametrize("effect", sorted(SHOWS_FIGURE))
def test_after_a_sleep_nothing_is_left_of_what_was(effect: str) -> None:
    """The computer slept and the room has changed: no matte of before, smoothed, opens the new frame."""
    source = SecretSource(FRAMES, time_of=lambda index: Fraction(index, 25) + (3600 if index >= FIRST else 0))
    wanted = Settings(effect=effect, crop="off", smooth=1.0)
    sink = ListSink()
    with (
        streamseg.Segmenter("selfie", runtime="null", crop="off", smooth=1.0) as segmenter,
        streamseg.open_compositor(wanted.recipe()) as compositor,
    ):
        segmenter._use(Walking(segmenter.card))
        streamseg.run(source, segmenter, compositor, [sink])
    woken = seen(sink.frames[FIRST].picture, FIRST)
    assert abs(woken[:, :3]).mean() < NOTHING
    assert woken[:, 5:].mean() > 0.6


@pytest.mark.parametrize("effect", HIDING)
def test_a_slow_start_shows_nothing(effect: str) -> None:
    """While the first frame waits for its network, none goes out; what then comes is hidden as all others."""
    ready = threading.Event()
    early: list[int] = []

    class Slow(NullRuntime):
        def __call__(self, tensors: object) -> Outputs:
            ready.wait(10)
            return super().__call__({})

    sink = ListSink()

    def before(index: int) -> None:
        if index == 3:
            early.append(len(sink.frames))
            ready.set()

    with (
        streamseg.Segmenter("selfie", runtime="null", crop="off") as segmenter,
        streamseg.open_compositor(streamseg.effect(effect)) as compositor,
    ):
        segmenter._use(Slow(segmenter.card))
        streamseg.run(SecretSource(FRAMES, live=True, before=before), segmenter, compositor, [sink])
    assert early == [0]
    assert sink.frames
    for frame in sink.frames:
        index = int(frame.time * 25)
        assert abs(background_of(seen(frame.picture, index))).mean() < NOTHING


@pytest.mark.parametrize("effect", HIDING)
def test_changes_during_faults_show_nothing(effect: str) -> None:
    """Another effect, model, matte asked for while the network fails, possible or not: nothing leaks."""
    asked = iter(
        [
            {"feather": 3},
            {"model": "nobody"},
            {"threshold": 0.5},
            {"classes": ["dog"]},
            {"smooth": 1.0},
            {"model": "selfie-landscape"},
            {"model": "selfie"},
        ]
    )

    def watch(stats: Stats, control: Control) -> None:
        values = next(asked, None) if stats.frames_out >= FIRST - 4 else None
        if values is not None:
            try:
                control.change(values)
            except StreamsegError:
                assert values.keys() & {"model", "classes"}

    frames, _ = run(effect, fault=FAULTS["failure"], watch=watch)
    assert len(frames) == FRAMES
    for index, frame in enumerate(frames):
        assert abs(background_of(seen(frame.picture, index))).mean() < NOTHING

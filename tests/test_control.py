"""A viewer changes what a run shows while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import streamseg
from streamseg.control import Control
from streamseg.errors import RuntimeFailure, StreamsegError
from streamseg.frame import Frame, Matte
from streamseg.report import Report
from streamseg.segmenter import Segmenter
from streamseg.settings import Settings
from streamseg.stats import Stats
from tests.doubles import ListSink, ListSource

FRAMES = 40
Act = Callable[[Control], None]


def run(
    acts: dict[int, Act],
    sink: ListSink | None = None,
    *,
    runtime: str = "null",
    spoil: Callable[[Segmenter], None] = lambda segmenter: None,
    **settings: object,
) -> tuple[list[NDArray[np.uint8]], Report, Control]:
    """Run FRAMES frames and act when so many are out; return RGB of each, the report, the strings."""
    wanted = Settings(**settings)  # type: ignore[arg-type]
    control = Control(wanted)
    sink = sink or ListSink()

    def watch(stats: Stats) -> None:
        acts.get(stats.frames_out, lambda control: None)(control)

    with (
        Segmenter(wanted.model, runtime=runtime) as segmenter,
        streamseg.open_compositor(wanted.recipe(), classes=segmenter.classes) as compositor,
    ):
        spoil(segmenter)
        source = ListSource(range(0, FRAMES * 40, 40))
        try:
            report = streamseg.run(source, segmenter, compositor, [sink], control=control, watch=watch)
        finally:
            control.close()
    return [frame.picture.to_ndarray(format="rgb24") for frame in sink.frames], report, control


def middle(picture: NDArray[np.uint8]) -> list[int]:
    """RGB of the figure."""
    return [int(code) for code in picture[24, 32]]


def corner(picture: NDArray[np.uint8]) -> list[int]:
    """RGB of the background."""
    return [int(code) for code in picture[0, 0]]


def changing(**values: object) -> Act:
    """Ask for other settings."""
    return lambda control: control.change(values)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"color": "#ffffff", "background": "#000000"}, (255, 0)),
        ({"invert": True}, (255, 0)),
        ({"classes": ["background"]}, (255, 0)),
        ({"effect": "mask"}, (255, 0)),
        ({"effect": "replace", "background": "#000000"}, (None, 0)),
    ],
)
def test_settings_change_without_a_drop(values: dict[str, object], shown: tuple[int | None, int]) -> None:
    """What follows looks as was asked for, what came before does not, and no frame is missing."""
    pictures, report, control = run({5: changing(**values)})
    assert report.frames_out == FRAMES
    assert middle(pictures[4])[0] < 10
    assert corner(pictures[4])[0] > 245
    figure, background = shown
    assert figure is None or abs(middle(pictures[-1])[0] - figure) < 10
    assert abs(corner(pictures[-1])[0] - background) < 10
    for name, value in values.items():
        assert control.settings.to_json()[name] == value


def test_a_change_is_there_within_the_frames_under_way() -> None:
    """At most the frames that were between source and sink when it was asked for look as before."""
    pictures, _, _ = run({5: changing(invert=True)})
    first = next(index for index, picture in enumerate(pictures) if middle(picture)[0] > 245)
    assert 5 <= first <= 12
    assert all(middle(picture)[0] > 245 for picture in pictures[first:])


def test_the_model_changes_at_a_frame() -> None:
    """Another network takes over, the first one comes back without loading, the report names both."""
    loaded: list[str] = []
    original = Segmenter.alike

    def counted(segmenter: Segmenter, card: str) -> Segmenter:
        loaded.append(card)
        return original(segmenter, card)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Segmenter, "alike", counted)
        wide, usual = changing(model="selfie-landscape"), changing(model="selfie")
        acts = {4: wide, 16: usual, 28: wide}
        _, report, _ = run(acts, runtime="onnxruntime")
    assert loaded == ["selfie-landscape"]
    assert report.frames_out == FRAMES
    assert report.model == "selfie, then selfie-landscape"
    assert report.runtime == "onnxruntime"
    assert not report.failures


@pytest.mark.parametrize(
    "values",
    [
        {"effect": "nonsense"},
        {"model": "nobody"},
        {"classes": ["dog"]},
        {"background": "/nowhere/beach.png", "effect": "replace"},
        {"threshold": 7},
        {"smooth": 2},
        {"effect": "blur", "feather": -1},
    ],
)
def test_what_cannot_be_changes_nothing(values: dict[str, object]) -> None:
    """Whoever asked is told, settings and pictures stay."""
    told: list[str] = []

    def attempt(control: Control) -> None:
        with pytest.raises(StreamsegError) as refused:
            control.change(values)
        told.append(str(refused.value))

    pictures, report, control = run({5: attempt})
    assert told
    assert control.settings == Settings()
    assert report.frames_out == FRAMES
    assert middle(pictures[-1])[0] < 10


def test_changes_from_many_threads_all_count() -> None:
    """Each asker changes a field of its own; in the end all have their way."""
    wanted = [{"invert": True}, {"color": "#00ff00"}, {"feather": 2.0}, {"threshold": 0.5}, {"smooth": 0.0}]

    def ask(control: Control) -> None:
        askers = [threading.Thread(target=control.change, args=(values,)) for values in wanted]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()

    _, _, control = run({5: ask})
    found = control.settings.to_json()
    for values in wanted:
        assert values.items() <= found.items()


def test_a_change_asked_for_in_passing_is_made_or_told() -> None:
    """`change_soon` waits for nothing; what is wrong comes back as a line."""
    told: list[str] = []

    def ask(control: Control) -> None:
        control.change_soon({"invert": True}, told.append)
        control.change_soon({"model": "nobody"}, told.append)

    _, _, control = run({5: ask})
    assert control.settings.invert
    assert len(told) == 1
    assert "nobody" in told[0]


def test_compositors_are_closed_when_they_have_painted_their_last() -> None:
    """However often the effect changes, no more compositors are open than frames are under way."""
    open_now, most = 0, 0
    original = streamseg.open_compositor

    def counted(*args: object, **options: object) -> streamseg.Compositor:
        nonlocal open_now, most
        compositor = original(*args, **options)  # type: ignore[arg-type]
        close = compositor.close
        open_now += 1
        most = max(most, open_now)

        def closed() -> None:
            nonlocal open_now
            open_now -= 1
            close()

        compositor.close = closed  # type: ignore[method-assign]
        return compositor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamseg.setups.open_compositor", counted)
        run({count: changing(feather=float(count)) for count in range(1, FRAMES)})
    assert open_now == 0
    assert most < 12


@pytest.mark.parametrize("effect", streamseg.EFFECTS)
def test_panic_shows_nothing_of_the_camera(effect: str) -> None:
    """While it lasts there is one colour and no figure; afterwards all is as before."""

    def panic(control: Control) -> None:
        control.panic = True

    def calm(control: Control) -> None:
        control.panic = False

    sink = ListSink()
    pictures, report, _ = run({5: panic, 25: calm}, sink, effect=effect)
    assert report.frames_out == FRAMES
    held = [sink.frames[index].picture for index in range(14, 25)]
    for picture in held:
        shown = picture.to_ndarray(format="rgb24")
        assert np.ptp(shown.reshape(-1, 3), axis=0).max() <= 1, effect
    assert np.ptp(pictures[-1].reshape(-1, 3), axis=0).max() > 20


def test_frozen_the_picture_stays_and_time_goes_on() -> None:
    """Every frame comes at its own time, with the picture that was shown when it froze."""

    def freeze(control: Control) -> None:
        control.frozen = True

    def thaw(control: Control) -> None:
        control.frozen = False

    sink = ListSink()
    pictures, _, _ = run({5: freeze, 25: thaw}, sink, effect="replace")
    assert [frame.picture.pts for frame in sink.frames] == list(range(0, FRAMES * 40, 40))
    held = pictures[14:25]
    assert all(np.array_equal(picture, held[0]) for picture in held)
    assert not np.array_equal(pictures[-1], held[0])


def failing(segmenter: Segmenter) -> None:
    """Make every segmentation after the tenth frame fail."""
    original = Segmenter.__call__
    seen = 0

    class Failing(Segmenter):
        def __call__(self, frame: Frame) -> Matte:
            nonlocal seen
            seen += 1
            if seen > 10:
                return Matte(np.zeros((1, 1), np.uint8), failure="the network failed")
            return original(self, frame)

    segmenter.__class__ = Failing


def test_a_failure_hides_shows_or_stops() -> None:
    """As asked for: the background only, the camera's picture, the end of the run with what was written."""
    hidden, report, _ = run({}, spoil=failing, effect="replace", background="#000000")
    assert max(middle(hidden[-1])) < 5
    assert report.frames_failed == FRAMES - 10
    shown, _, _ = run({}, spoil=failing, effect="replace", background="#000000", fail="show")
    assert max(corner(shown[5])) < 5
    assert max(corner(shown[-1])) > 5
    sink = ListSink()
    with pytest.raises(RuntimeFailure, match="the network failed; --fail stop"):
        run({}, sink, spoil=failing, fail="stop")
    assert len(sink.frames) == 10
    assert sink.ended == "closed"


def test_figures_tell_how_the_run_goes() -> None:
    """Rates, latencies and counts, ready for JSON."""
    found: list[dict[str, object]] = []
    run({20: lambda control: found.append(control.figures())})
    (figures,) = found
    assert figures["frames_out"] == 20
    assert figures["model"] == "selfie"
    assert figures["effect"] == "silhouette"
    latency = figures["latency_ms"]
    assert isinstance(latency, dict)
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert isinstance(figures["fps"], float)
    assert figures["fps"] > 0


def test_a_network_that_cannot_be_loaded_leaves_the_other(tmp_path: Path) -> None:
    """A file that is no network is told of, and the run goes on."""
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    told: list[str] = []

    def attempt(control: Control) -> None:
        control.change_soon({"model": str(tmp_path / "broken.onnx")}, told.append)

    _, report, control = run({5: attempt}, runtime="onnxruntime")
    assert len(told) == 1
    assert report.frames_out == FRAMES
    assert control.settings.model == "selfie"

"""What is shown while a source has no input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import streamseg
from streamseg.effects import EFFECTS
from streamseg.frame import Frame
from tests import networks
from tests.clips import picture
from tests.doubles import ListSink, ListSource
from tests.list_runs import run


class Interrupted(ListSource):
    """Ten frames of which the five in the middle are absent, and carry a picture nobody may see."""

    reconnects = 1

    def __iter__(self) -> Iterator[Frame]:
        for index, frame in enumerate(super().__iter__()):
            yield replace(frame, absent=3 <= index < 8)


def test_absent_frames_are_counted_apart_and_are_no_failures() -> None:
    """They come out at their times; the report tells them from frames read, and how often input came back."""
    sink = ListSink()
    report = run(Interrupted(), sink)
    assert [frame.picture.pts for frame in sink.frames] == list(range(0, 400, 40))
    assert (report.frames_in, report.frames_absent, report.frames_out) == (5, 5, 10)
    assert (report.frames_failed, report.failures, report.reconnects) == (0, [], 1)


@pytest.mark.parametrize("effect", ["silhouette", "replace", "cutout", "trail", "mask"])
def test_hiding_effects_show_their_background_while_there_is_no_input(effect: str) -> None:
    """Of an absent frame's picture not a pixel is seen: what comes out is the same whatever it is."""
    shown = []
    for seed in (0, 77):
        sink = ListSink()
        source = Interrupted()
        source.__class__ = type("Seeded", (Interrupted,), {"__iter__": lambda self, s=seed: _seeded(s)})
        run(source, sink, effect=effect)
        shown.append([frame.picture for frame in sink.frames if frame.absent])
    assert len(shown[0]) == 5
    for one, other in zip(*shown, strict=True):
        for before, after in zip(one.planes, other.planes, strict=True):
            if effect != "cutout" or before is one.planes[-1]:  # what is transparent has colours nobody sees
                assert bytes(before) == bytes(after)
    if effect == "cutout":
        assert not any(np.frombuffer(each.planes[3], np.uint8).any() for each in shown[0])


def _seeded(seed: int) -> Iterator[Frame]:
    for index in range(10):
        shown = picture(64, 48, index + seed * (3 <= index < 8))
        shown.pts, shown.time_base = index * 40, ListSource().video.time_base
        yield Frame(shown, 0.0, absent=3 <= index < 8)


@pytest.mark.parametrize("effect", EFFECTS)
def test_every_effect_goes_through_an_outage(effect: str) -> None:
    """None fails on a frame without input, label maps included."""
    sink = ListSink()
    report = run(Interrupted(), sink, effect=effect)
    assert (len(sink.frames), report.failures) == (10, [])


def test_the_network_is_left_alone_and_forgets(tmp_path: Path) -> None:
    """An absent frame has an all-clear matte, and the next one is segmented as if it were the first."""
    card = networks.bright_two_classes(tmp_path)
    grey, bright = (
        Frame(picture(64, 48, 0).reformat(format="gray").reformat(format="yuv420p"), 0.0),
        Frame(picture(64, 48, 40), 0.0),
    )
    with streamseg.Segmenter(card, labels=True, smooth=0.9) as segmenter:
        first = segmenter(bright)
        segmenter(grey)
        matte = segmenter(replace(grey, absent=True))
        assert not matte.alpha.any()
        assert matte.labels is not None
        assert matte.labels.shape == (48, 64) and not matte.labels.any()
        assert matte.failure is None
        np.testing.assert_array_equal(segmenter(bright).alpha, first.alpha)

"""The conductor: what arrives and in which order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np

import streamseg
from streamseg.errors import SinkClosed
from streamseg.stats import Stats
from tests.doubles import ListSink, ListSource
from tests.list_runs import run


def test_a_file_keeps_every_frame_and_every_pts() -> None:
    """Uneven pts come out of the pipeline as they went in, all of them, in order."""
    pts = [3, 40, 41, 500, 501, 502, 9000, 9001]
    sink = ListSink()
    report = run(ListSource(pts), sink)
    assert [frame.picture.pts for frame in sink.frames] == pts
    assert [frame.time for frame in sink.frames] == [Fraction(ticks, 1000) for ticks in pts]
    assert (report.frames_in, report.frames_out, report.frames_dropped) == (8, 8, 0)
    assert sink.ended == "closed"


def test_a_live_source_drops_but_never_reorders() -> None:
    """With a slow sink a live source loses frames; those shown are in order and the newest comes through."""
    held = threading.Event()

    def hold(stats: Stats) -> None:
        if stats.frames_out == 1:
            held.wait(5)

    def release(index: int) -> None:
        if index == 59:
            held.set()

    sink = ListSink()
    report = run(ListSource(range(60), live=True, before=release), sink, watch=hold)
    shown = [frame.picture.pts for frame in sink.frames]
    assert shown == sorted(shown)
    assert shown[-1] == 59
    assert report.frames_dropped > 0
    assert report.frames_in == 60
    assert report.frames_out + report.frames_dropped == 60


def test_every_matte_belongs_to_its_own_frame() -> None:
    """The picture where the matte is opaque is that of the same frame, never of the one before."""
    sink = ListSink()
    run(ListSource(range(0, 400, 40)), sink, effect="cutout")
    for index, frame in enumerate(sink.frames):
        from tests.clips import picture

        source = picture(64, 48, index).to_ndarray()[24, 32]
        assert frame.picture.reformat(format="yuv420p").to_ndarray()[24, 32] == source


def test_stop_finishes_what_was_written() -> None:
    """`control.stop()` ends the run at once and the file is finished."""
    control = streamseg.Control()
    sink = ListSink()

    def stop(stats: Stats) -> None:
        if stats.frames_out == 4:
            control.stop()

    report = run(ListSource(range(1000)), sink, control=control, watch=stop)
    assert report.interrupted
    assert 4 <= len(sink.frames) < 20
    assert sink.ended == "closed"


def test_the_effect_can_change_during_a_run() -> None:
    """A new recipe takes effect on a following frame without losing one."""
    control = streamseg.Control()
    sink = ListSink()

    def change(stats: Stats) -> None:
        if stats.frames_out == 3:
            control.show(streamseg.effect("silhouette", color="white", background="black"))

    report = run(ListSource(range(0, 4000, 40)), sink, control=control, watch=change)
    control.close()
    corners = [frame.picture.to_ndarray()[0, 0] for frame in sink.frames]
    assert report.frames_out == 100
    assert corners[0] > 200
    assert corners[-1] < 50


def test_label_maps_are_made_for_the_effect_that_needs_them() -> None:
    """Whoever runs "labels" need not tell the segmenter: the figure's class is in the picture."""
    sink = ListSink()
    run(ListSource(range(0, 400, 40)), sink, effect="labels")
    assert {frame.picture.format.name for frame in sink.frames} == {"pal8"}
    assert {tuple(np.unique(frame.picture.to_ndarray()[0])) for frame in sink.frames} == {(0, 1)}


def test_effects_that_need_label_maps_come_and_go() -> None:
    """However fast they are changed, none of them gets a frame without a label map, and none gets stuck; once
    the last has gone, no label maps are made."""
    control = streamseg.Control()
    sink = ListSink()
    segmenters: list[streamseg.Segmenter] = []

    def change(stats: Stats) -> None:
        if stats.frames_out < 80:  # the last of them has come to the segmenter ten frames later
            for name in ("silhouette", "labels", "mask", "labels")[stats.frames_out % 3 :]:
                control.show(streamseg.effect(name))
        elif stats.frames_out == 90:
            assert segmenters[0].labels
            control.show(streamseg.effect("mask"))

    source = ListSource(range(0, 4000, 40))
    report = run(source, sink, effect="labels", control=control, watch=change, spoil=segmenters.append)
    control.close()
    assert report.frames_out == 100
    kinds = [frame.picture.format.name for frame in sink.frames]
    assert kinds[-1] == "gray"
    assert kinds.count("pal8") > 50
    for frame in sink.frames:
        if frame.picture.format.name == "pal8":
            assert np.unique(frame.picture.to_ndarray()[0]).tolist() == [0, 1]
    assert not segmenters[0].labels


def test_a_pause_loses_nothing() -> None:
    """While paused no frame is written and sinks stay responsive; afterwards the rest follows."""
    control = streamseg.Control()
    idles = []

    class Patient(ListSink):
        def idle(self) -> None:
            idles.append(1)
            if len(idles) == 3:
                control.paused = False

    def pause(stats: Stats) -> None:
        control.paused = stats.frames_out == 2

    sink = Patient()
    run(ListSource(), sink, control=control, watch=pause)
    assert len(sink.frames) == 10
    assert len(idles) == 3


def test_a_pause_is_silent() -> None:
    """Of a live source what is heard during a pause is as little passed on as what is seen, and does not
    pile up."""
    control, paused, resumed = streamseg.Control(), threading.Event(), threading.Event()

    def speak(index: int) -> None:
        word = av.Packet(b"word")
        word.pts = word.dts = index
        word.time_base = Fraction(1, 1000)
        source.tracks.put(word)
        if index == 1:
            assert paused.wait(30)
        if index == 20:
            assert resumed.wait(30)

    class Viewer(ListSink):
        idles = silent = 0

        def idle(self) -> None:
            self.idles += 1
            self.silent += not source.tracks.packets
            if self.silent == 3 or self.idles == 100:
                control.paused = False
                resumed.set()

    def pause(stats: Stats) -> None:
        control.paused = stats.frames_out == 1
        paused.set()

    source, sink = ListSource(range(60), live=True, before=speak), Viewer()
    run(source, sink, control=control, watch=pause)
    heard = {packet.pts for packet in sink.packets}
    assert not heard & set(range(1, 20))
    assert max(heard) > 20


def test_panic_outdoes_a_pause() -> None:
    """Whoever panics in a pause sees the figure go: frames go on, and soon they show the background only."""
    control = streamseg.Control()

    class Startled(ListSink):
        idles = 0

        def idle(self) -> None:
            control.panic = True
            self.idles += 1
            if self.idles > 20:
                control.stop()

    def pause(stats: Stats) -> None:
        control.paused = True

    sink = Startled()
    run(ListSource(), sink, control=control, watch=pause)
    shown = [frame.picture.to_ndarray(format="gray")[24, 32] for frame in sink.frames]
    assert len(shown) == 10
    assert (shown[0], shown[-1]) == (0, 255)


def _black(frame: streamseg.Frame) -> bool:
    return bool(np.ptp(frame.picture.to_ndarray(format="gray")) == 0)


def test_panic_hides_what_was_painted_before_it() -> None:
    """From the moment on in which somebody panics no sink gets a picture of the camera's: neither one that
    was on its way, nor one that a pause held back."""
    control = streamseg.Control()

    def panic(stats: Stats) -> None:
        control.panic = stats.frames_out >= 3

    class Paused(ListSink):
        def idle(self) -> None:
            control.paused, control.panic = False, True

    sink = ListSink()
    run(ListSource(), sink, effect="overlay", control=control, watch=panic)
    assert [_black(frame) for frame in sink.frames] == [False] * 3 + [True] * 7
    control, sink = streamseg.Control(), Paused()

    def pause(stats: Stats) -> None:
        control.paused = stats.frames_out == 3

    run(ListSource(), sink, effect="overlay", control=control, watch=pause)
    assert [_black(frame) for frame in sink.frames] == [False] * 3 + [True] * 7


def test_panic_does_not_wait_for_a_silent_source() -> None:
    """Whoever watches sees the picture go though no other comes; it is not counted, and a file does not get
    it."""
    control, gone = streamseg.Control(), threading.Event()

    def fall_silent(index: int) -> None:
        if index == 5:
            assert gone.wait(30)

    class Viewer(ListSink):
        paces = True

        def idle(self) -> None:
            control.panic = len(self.frames) == 5
            if len(self.frames) > 5:
                gone.set()

    viewer, file = Viewer(), ListSink()
    report = run(ListSource(before=fall_silent), viewer, file, effect="overlay", control=control)
    assert [_black(frame) for frame in viewer.frames[:6]] == [False] * 5 + [True]
    assert viewer.frames[5].again
    assert (report.frames_in, report.frames_out, len(file.frames)) == (10, 10, 10)


def test_a_window_shows_a_file_at_its_own_speed() -> None:
    """A sink that paces gets frames no earlier than their pts say."""
    sink = ListSink()
    sink.paces = True
    report = run(ListSource([0, 50, 100, 200]), sink)
    assert report.wall_s >= 0.2


class Watched(ListSink):
    """A window whose viewer, once all pictures were shown, does a thing at each new one, and then leaves."""

    paces = True

    def __init__(self, pictures: int, *acts: Callable[[], None]) -> None:
        super().__init__(uri="window")
        self._acts = list(acts)
        self._seen = pictures - 1
        self.left = False

    def idle(self) -> None:
        """Do the next thing once the last one shows."""
        if len(self.frames) <= self._seen:
            return
        self._seen = len(self.frames)
        if not self._acts:
            self.left = True
            raise SinkClosed("the viewer quit")
        self._acts.pop(0)()


def stills(number: int) -> ListSource:
    """That many pictures."""
    source = ListSource(range(0, number * 10, 10))
    source.stills = True
    return source


def test_the_last_still_stays_until_its_viewer_leaves() -> None:
    """A window keeps the last of several pictures, and leaving it then is no early end."""
    window, file = Watched(3), ListSink()
    report = run(stills(3), window, file)
    assert window.left
    assert window.ended == file.ended == "closed"
    assert [frame.picture.pts for frame in file.frames] == [0, 10, 20]
    assert not report.interrupted


def test_a_still_that_stays_takes_another_effect() -> None:
    """Another effect is painted on the picture that is shown; files get each picture once."""
    control = streamseg.Control()
    window = Watched(
        1, lambda: control.show(streamseg.effect("silhouette", color="white", background="black"))
    )
    file = ListSink()
    report = run(stills(1), window, file, control=control)
    control.close()
    assert [frame.picture.to_ndarray()[0, 0] > 128 for frame in window.frames] == [True, False]
    assert len(file.frames) == report.frames_in == report.frames_out == 1


def test_a_still_that_stays_can_be_stopped() -> None:
    """`control.stop()` ends the wait for a viewer."""
    control = streamseg.Control()
    window = Watched(1, control.stop)
    assert run(stills(1), window, control=control).interrupted
    assert window.ended == "closed"


def test_without_a_viewer_stills_end_by_themselves() -> None:
    """Pictures that go to files alone, or whose window fails, are waited for by nobody."""
    run(stills(2), ListSink())
    window, file = ListSink(fails_at=0), ListSink()
    window.paces = True
    run(stills(2), window, file)
    assert len(file.frames) == 2

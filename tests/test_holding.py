"""Streams while their source is silent."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from random import Random

import av
import numpy as np
import pytest

import streamseg
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.report import Report
from streamseg.sinks.apart import Apart
from streamseg.sinks.holding import SILENCE, Holding
from streamseg.sources.absence import black_like
from tests.doubles import ListSink, ListSource
from tests.list_runs import run
from tests.receivers import Listener, packets_in, rising, stream_to
from tests.servers import wait_for
from tests.sinking import made_frames


class Stream(ListSink):
    """A stream that remembers."""

    apart = realtime = True


def silenced(
    stream: Stream, *beside: ListSink, held: int, control: streamseg.Control | None = None
) -> tuple[Report, bool]:
    """Run a live source of ten pictures, 40 ms apart, that is silent before the sixth until `held` more have
    come, and goes on as if nothing had been; also tell whether they did come."""
    came: list[bool] = []

    def fall_silent(index: int) -> None:
        if index == 5:
            wait_for(lambda: len(stream.frames) >= 1, "a first frame")
            before = len(stream.frames)
            wait_for(lambda: len(stream.frames) >= before + held, "frames in the silence")
            came.append(True)

    report = run(
        ListSource(live=True, before=fall_silent), stream, *beside, effect="overlay", control=control
    )
    return report, bool(came)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr("streamseg.sinks.holding.SILENCE", 0.1)


def test_a_stream_gets_the_last_frame_again() -> None:
    """While a live source is silent viewers get its last frame at growing times; files do not, and it is not
    counted. Frames of that time which come late are left out."""
    stream, file = Stream(), ListSink()
    report, came = silenced(stream, file, held=20)
    assert came
    times = [frame.time for frame in stream.frames]
    assert rising(times)
    assert times[-1] - times[0] >= Fraction(20 - 2, 25)  # it stood still in their time, too
    assert len(file.frames) == report.frames_out <= 10
    assert any("the last frame was sent again" in note for note in report.notes)
    assert any("came late for a time that was over" in note for note in report.notes)
    assert report.sinks_dropped[0] > 0


def test_copies_a_slow_stream_has_no_time_for_are_no_losses() -> None:
    """Nothing new was in them: `dropped` counts frames of the source."""
    go_on = threading.Event()

    class Slow(Stream):
        def write(self, frame: Frame) -> None:
            go_on.wait()
            super().write(frame)

    slow, (frame, last) = Slow(), made_frames([0, 90_000 * 60])
    apart = Apart(slow, leaky=True, holds=True)
    apart.start(VideoFormat(64, 48, Fraction(1, 90_000), Fraction(60)), frame, Tracks())
    apart.write(frame)

    def held() -> int:
        apart.idle()
        return apart._holding.held

    wait_for(lambda: held() > 20, "copies")
    apart.write(last)
    go_on.set()
    apart.close()
    assert len(slow.frames) < 10
    assert slow.frames[-1].time == last.time
    assert slow.dropped == 0
    assert not any("not sent" in note for note in slow.notes)


def test_who_panics_in_the_silence_hides_the_stream() -> None:
    """The next picture is black, though no frame comes."""
    control = streamseg.Control()
    gone = threading.Event()

    class Hidden(Stream):
        def write(self, frame: Frame) -> None:
            super().write(frame)
            if len(self.frames) == 12:  # in the silence
                control.panic = True
            if np.ptp(frame.picture.to_ndarray(format="gray")) == 0:
                gone.set()

    stream = Hidden()
    silenced(stream, held=20, control=control)
    assert gone.is_set()
    black = [np.ptp(frame.picture.to_ndarray(format="gray")) == 0 for frame in stream.frames]
    assert black.index(True) >= 12
    assert all(black[black.index(True) :])


def test_a_connection_carries_it() -> None:
    """MPEG-TS over TCP: what a receiver gets has rising times and pictures all along."""
    with Listener() as listener:

        def fall_silent(index: int) -> None:
            if index == 5:
                wait_for(lambda: bool(listener.received), "a connection")
                had = len(listener.received[0])
                wait_for(lambda: len(listener.received[0]) > had + 188 * 150, "more of the stream")

        sink = stream_to(f"tcp://127.0.0.1:{listener.port}")
        run(ListSource(live=True, before=fall_silent), sink, effect="overlay")
        pictures = packets_in(bytes(listener.received[0]), "video")
    assert len(pictures) > 10
    assert rising([time for time, _ in pictures])


def test_a_paused_run_keeps_its_stream(tmp_path: Path) -> None:
    """Servers end what sends nothing: a pause shows the last frame."""
    control = streamseg.Control()
    recording = tmp_path / "out.mkv"

    class Paused(Stream):
        def write(self, frame: Frame) -> None:
            super().write(frame)
            control.paused = 3 <= len(self.frames) < 20

    def one_by_one(index: int) -> None:
        wait_for(lambda: len(stream.frames) >= min(index, 3), "the frame before")

    stream = Paused()
    run(
        ListSource(live=True, before=one_by_one), stream, streamseg.open_sink(str(recording)), control=control
    )
    assert len(stream.frames) >= 20
    assert rising([frame.time for frame in stream.frames])
    with av.open(str(recording)) as container:
        assert len(list(container.decode(video=0))) <= 10


@pytest.mark.parametrize("rate", [None, Fraction(25), Fraction(30), Fraction(90_000)])
def test_held_frames_come_at_the_nominal_rate(rate: Fraction | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the silence that has to be, one for each step of the clock; an impossible rate counts as 25."""
    now = [100.0]
    monkeypatch.setattr("streamseg.sinks.holding.time.monotonic", lambda: now[0])
    monkeypatch.setattr("streamseg.sinks.holding.SILENCE", SILENCE)
    holding = Holding(rate)
    assert holding.due() is None
    assert holding.took(made_frames([9000])[0])
    held = []
    for _ in range(300):
        now[0] += 0.01
        frame = holding.due()
        if frame is not None:
            held.append(frame.time)
    assert abs(len(held) - 2 * (rate if rate in (25, 30) else 25)) <= 1
    assert held[0] == pytest.approx(0.1 + SILENCE / 2, abs=0.02)
    assert held[-1] == pytest.approx(0.1 + 3.0 - SILENCE / 2, abs=0.05)
    assert rising(held)
    assert not holding.took(made_frames([9000 + 90_000])[0])
    assert holding.took(made_frames([9000 + 4 * 90_000])[0])


def test_a_source_that_goes_on_where_it_was_is_seen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its times stay behind the clock for good: no frame is made while its own come, so they catch up. Black
    of a panic is shown at once, though its time is over."""
    now = [100.0]
    monkeypatch.setattr("streamseg.sinks.holding.time.monotonic", lambda: now[0])
    holding = Holding(Fraction(25))
    assert holding.took(made_frames([0])[0])
    now[0] += 3
    last = holding.due()
    assert last is not None
    taken = []
    for index in range(1, 100):
        now[0] += 0.04
        taken.append(holding.took(made_frames([index * 3600])[0]))
        assert holding.due() is None
    assert taken == [False] * 73 + [True] * 26
    now[0] += 3
    assert holding.due() is not None
    black = made_frames([100 * 3600], size=(64, 48))[0]
    black.hidden = True
    black.native = black_like(black.native)
    black.native.pts, black.native.time_base = 100 * 3600, last.native.time_base
    assert not holding.took(black)
    shown = holding.due()
    assert shown is not None
    assert np.ptp(shown.picture.to_ndarray(format="gray")) == 0


@pytest.mark.parametrize(("interval", "late"), [(1.0, 0.06), (1.2, 0.3), (2.0, 0.06), (5.0, 0.1)])
def test_frames_far_apart_are_no_silence(
    interval: float, late: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow source, or a slow network, loses no frame to the held ones, though each may come late."""
    now = [100.0]
    monkeypatch.setattr("streamseg.sinks.holding.time.monotonic", lambda: now[0])
    monkeypatch.setattr("streamseg.sinks.holding.SILENCE", SILENCE)
    holding, random = Holding(None), Random(1)
    for index in range(50):
        comes = 100 + index * interval + random.uniform(0, late)
        while now[0] < comes:
            now[0] += 0.02
            holding.due()
        assert holding.took(made_frames([round(index * interval * 90_000)])[0]), index


def test_black_comes_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a panic the stream has no more frames than otherwise, though each late one is black."""
    now = [100.0]
    monkeypatch.setattr("streamseg.sinks.holding.time.monotonic", lambda: now[0])
    holding = Holding(Fraction(25))
    holding.took(made_frames([0])[0])
    black = made_frames([1])[0]
    black.hidden = True
    holding.hide(black)
    made = 0
    for _ in range(100):
        now[0] += 0.02
        made += holding.due() is not None
    assert made == pytest.approx(50, abs=2)

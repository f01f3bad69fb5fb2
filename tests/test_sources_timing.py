"""The pieces that keep time: lost frames, repaired pts, spliced tracks, pace."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.frame import Frame
from streamseg.sources import timing
from streamseg.sources.losses import Losses
from streamseg.sources.timing import Splices, Timeline, paced, swapped_back


@given(st.lists(st.one_of(st.none(), st.integers(-1000, 1000)), min_size=1, max_size=50))
@settings(max_examples=50, derandomize=True)
def test_timeline_increases_strictly(ticks: list[int | None]) -> None:
    """Whatever pts come in, those that go out increase strictly."""
    timeline = Timeline(Fraction(100, 3))
    placed = [timeline.place(value) for value in ticks]
    assert all(early < late for early, late in pairwise(placed))


@given(st.sets(st.integers(-(10**12), 10**12), min_size=1))
@settings(max_examples=50, derandomize=True)
def test_timeline_leaves_good_pts_alone(ticks: set[int]) -> None:
    """Strictly increasing pts come out as they went in."""
    timeline = Timeline(Fraction(1))
    assert [timeline.place(value) for value in sorted(ticks)] == sorted(ticks)
    assert timeline.repaired == 0


def test_missing_pts_do_not_drift() -> None:
    """Frames without a pts go on by the exact nominal distance, not by its rounded value."""
    timeline = Timeline(Fraction(100, 3))
    assert [timeline.place(value) for value in (10, None, None, None)] == [10, 43, 77, 110]


def _decode(*events: tuple[str, int | None]) -> list[int | None]:
    losses, lost = Losses(), []
    for event, pts in events:
        if event == "sent":
            losses.sent(pts)
        elif event == "failed":
            losses.failed(pts)
        else:
            lost += losses.before(pts)
    return lost + losses.at_end()


def test_lost_frame_is_the_one_that_never_came_out() -> None:
    """After an error the pts that did not come out in its turn is the lost one, however late it was told."""
    sent = [("sent", pts) for pts in (0, 40, 20, 30)]
    assert _decode(*sent, ("failed", 30), ("out", 0), ("out", 20), ("out", 40)) == [30]


def test_nothing_is_lost_without_an_error() -> None:
    """A packet that was never meant to become a picture is no lost frame."""
    assert _decode(("sent", 0), ("sent", 1), ("sent", 2), ("out", 0), ("out", 2)) == []


def test_an_error_that_lost_nothing_is_forgotten() -> None:
    """An error after which every picture still came out does not make a later gap a lost frame."""
    events = [("sent", 0), ("failed", 0), ("out", 0), ("sent", 1), ("sent", 2), ("out", 2)]
    assert _decode(*events) == []


def test_lost_frames_without_pts_are_counted() -> None:
    """In a stream without timestamps every error stands for one frame without a pts."""
    assert _decode(("sent", None), ("failed", None), ("sent", None), ("out", None)) == [None]


def _packet(track: int, dts: int, duration: int = 100) -> SimpleNamespace:
    return SimpleNamespace(
        stream_index=track, dts=dts, pts=dts + 5, duration=duration, time_base=Fraction(1, 1000 * (track + 1))
    )


def test_spliced_tracks_keep_their_distance() -> None:
    """Where the clock jumps back all tracks are shifted alike, each at its own packet."""
    splices = Splices()
    packets = [_packet(0, 0), _packet(1, 0), _packet(0, 1000), _packet(0, 0), _packet(1, 2000), _packet(1, 0)]
    for packet in packets:
        splices.mend(packet)  # type: ignore[arg-type]
    assert [packet.dts for packet in packets] == [0, 0, 1000, 1100, 2000, 2200]
    assert all(packet.pts == packet.dts + 5 for packet in packets)
    assert splices.count == 1


def test_a_leap_ahead_of_the_clock_is_no_pause_in_a_broadcast() -> None:
    """All tracks go on from where they were; a pause that really was one stays, and so does one in a file."""
    moments = iter([0.0, 0.0, 0.04, 0.04, 0.08, 60.0, 60.1])
    splices = Splices(lambda: next(moments))
    hour = 3_600_000
    packets = [_packet(0, 0), _packet(1, 0), _packet(0, 100), _packet(0, hour), _packet(1, 2 * hour)]
    packets += [_packet(0, hour + 60_000), _packet(1, 2 * hour + 120_100)]
    for packet in packets:
        splices.mend(packet)  # type: ignore[arg-type]
    assert [packet.dts for packet in packets] == [0, 0, 100, 200, 400, 60_200, 120_500]
    assert all(packet.pts == packet.dts + 5 for packet in packets)
    assert (splices.count, splices.leaps) == (0, 1)
    stored = Splices()
    stored.mend(_packet(0, 0))  # type: ignore[arg-type]
    late = _packet(0, hour)
    stored.mend(late)  # type: ignore[arg-type]
    assert late.dts == hour


def _video(track: int, dts: int | None, pts: int | None) -> SimpleNamespace:
    time_base = Fraction(1, 1000)
    return SimpleNamespace(stream_index=track, dts=dts, pts=pts, duration=40, time_base=time_base)


def test_timestamps_beyond_any_clock_go_on_from_where_they_were() -> None:
    """Times centuries from zero, at the start or later, are brought back for all tracks alike."""
    far = 2**62
    splices = Splices()
    packets = [_video(0, None, far), _video(1, far + 10, far + 10), _video(0, far + 40, far + 40)]
    packets += [_video(0, -far, -far), _video(1, -far + 10, -far + 10)]
    for packet in packets:
        splices.mend(packet)  # type: ignore[arg-type]
    assert [packet.pts for packet in packets] == [0, 10, 40, 80, 90]
    assert [packet.dts for packet in packets] == [None, 10, 40, 80, 90]
    assert (splices.count, splices.beyond) == (0, 4)


def test_a_pts_far_from_its_dts_is_none() -> None:
    """Where only the pts is nonsense, the packet has none and its track stays where it is."""
    splices = Splices()
    packets = [_video(0, 0, 0), _video(0, 40, 2**61), _video(0, 80, 80)]
    for packet in packets:
        splices.mend(packet)  # type: ignore[arg-type]
    assert [(packet.dts, packet.pts) for packet in packets] == [(0, 0), (40, None), (80, 80)]


def test_a_clock_that_counts_from_1900_is_kept() -> None:
    """Times of today in seconds since 1900 are far from zero and exact."""
    today = 4_000_000_000_000
    splices = Splices()
    packet = _video(0, today, today)
    splices.mend(packet)  # type: ignore[arg-type]
    assert (packet.dts, packet.pts, splices.beyond) == (today, today, 0)


def _frames(*ticks: int) -> Iterator[Frame]:
    for value in ticks:
        picture = av.VideoFrame(16, 16, "gray")
        picture.pts, picture.time_base = value, Fraction(1, 10)
        yield Frame(picture, captured=0.0)


def test_swapped_neighbours_change_places_once() -> None:
    """Only neighbours that are swapped exchange their pts; a jump back behind what went out is left alone."""
    pictures = [(frame.picture, False) for frame in _frames(1, 3, 2, 4, 0, 5)]
    assert [picture.pts for picture, _ in swapped_back(pictures)] == [1, 2, 3, 4, 0, 5]


def test_pace_follows_the_pts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A paced file lets each frame out when its time has come, and at once when it is late."""
    clock = SimpleNamespace(now=100.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(timing, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    out = []
    for frame in paced(_frames(10, 15, 16, 20)):
        out.append((round(clock.now, 3), round(frame.captured, 3)))
        clock.now += 0.3
    assert out == [(100.0, 100.0), (100.5, 100.5), (100.8, 100.8), (101.1, 101.1)]


def test_pace_is_given_up_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour's gap between two frames keeps nobody who wants to stop waiting."""
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(timing, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    assert len(list(paced(_frames(0, 36000), lambda: clock.now > 1.5))) == 1
    assert clock.now < 2

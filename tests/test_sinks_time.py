"""Times: every pts comes out as it went in, and `pts_exact` says whether it did."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.errors import SinkError
from streamseg.sinks import Encoding
from tests.clips import TICKS, frame_times, make_clip
from tests.sinking import copy_clip, made_frames, write_frames

UNEVEN = [0, 3000, 6100, 9000, 20000, 20001, 40000, 43003, 46000, 50000, 59999]
LATE = [ticks + 450_000 for ticks in UNEVEN]
EVEN = list(range(0, 30_000, 3000))
FAST = Encoding(preset="ultrafast")


def times(ticks: list[int], time_base: Fraction = TICKS) -> list[Fraction]:
    """Seconds of every tick."""
    return [each * time_base for each in ticks]


@pytest.mark.parametrize("pts", [UNEVEN, LATE], ids=["uneven", "late"])
@pytest.mark.parametrize("extension", ["mp4", "m4v", "mov", "ts", "m2ts", "nut"])
def test_uneven_times_in_ticks_of_90_000_come_out_exactly(
    tmp_path: Path, extension: str, pts: list[int]
) -> None:
    """Variable frame rate, two frames one tick apart and a start at five seconds survive, B-frames or not."""
    path = tmp_path / f"out.{extension}"
    sink = write_frames(path, made_frames(pts))
    assert frame_times(path) == times(pts)
    assert sink.pts_exact


@pytest.mark.parametrize("extension", ["mkv", "webm", "flv"])
def test_containers_that_count_milliseconds_are_exact_on_their_grid(tmp_path: Path, extension: str) -> None:
    """Whole milliseconds, uneven and late, come out exactly, and the sink says so."""
    pts = [5000, 5033, 5066, 5100, 5500, 5501, 7000]
    path = tmp_path / f"out.{extension}"
    sink = write_frames(path, made_frames(pts, time_base=Fraction(1, 1000), duration=33))
    assert frame_times(path) == times(pts, Fraction(1, 1000))
    assert sink.pts_exact


@pytest.mark.parametrize("extension", ["mkv", "webm", "flv"])
def test_rounding_to_milliseconds_is_admitted(tmp_path: Path, extension: str) -> None:
    """Off that grid every time is right to half a millisecond, and `pts_exact` is false."""
    path = tmp_path / f"out.{extension}"
    sink = write_frames(path, made_frames(UNEVEN))
    assert not sink.pts_exact
    off = [abs(got - wanted) for got, wanted in zip(frame_times(path), times(UNEVEN), strict=True)]
    assert 0 < max(off) <= Fraction(1, 2000)


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm", "ts", "flv", "nut", "avi", "y4m", "gif"])
@pytest.mark.parametrize(
    "pts", [EVEN, UNEVEN, LATE, [t - 4500 for t in EVEN]], ids=["even", "uneven", "late", "early"]
)
def test_pts_exact_tells_the_truth(tmp_path: Path, extension: str, pts: list[int]) -> None:
    """Read back, the times equal the frames' own if and only if the sink said so; no frame is ever lost."""
    path = tmp_path / f"out.{extension}"
    sink = write_frames(path, made_frames(pts))
    read = frame_times(path)
    assert len(read) == len(pts)
    assert (read == times(pts)) == sink.pts_exact


@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_the_last_frame_keeps_its_length(tmp_path: Path, extension: str) -> None:
    """The file ends when its last frame does, although the encoder reorders frames of uneven length."""
    path = tmp_path / f"out.{extension}"
    frames = made_frames(UNEVEN, duration=9000)
    write_frames(path, frames)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        length = stream.duration * stream.time_base
    assert length == (UNEVEN[-1] + 9000) * TICKS


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1", "vp9", "mpeg4"])
@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_clips_of_very_few_frames_are_whole(tmp_path: Path, codec: str, frames: int) -> None:
    """Fewer frames than an encoder reorders (a still, say): all come out at their times, again and again."""
    for again in range(3):
        path = tmp_path / f"out{again}.mp4"
        sink = write_frames(path, made_frames(EVEN[:frames]), encoding=Encoding(codec=codec))
        assert frame_times(path) == times(EVEN[:frames])
        assert sink.pts_exact


def test_an_avi_keeps_gaps_to_the_frame(tmp_path: Path) -> None:
    """AVI counts frames: uneven times come out within one frame, in order, none lost."""
    path = tmp_path / "out.avi"
    write_frames(path, made_frames(EVEN[:4] + [t + 30_000 for t in EVEN]))
    off = [
        abs(a - b)
        for a, b in zip(frame_times(path), times(EVEN[:4] + [t + 30_000 for t in EVEN]), strict=True)
    ]
    assert max(off) <= Fraction(1, 30)


def test_frames_are_lent_not_changed(tmp_path: Path) -> None:
    """A sink with a clock of its own gives the frame back with its pts, time base and duration."""
    frames = made_frames(EVEN)
    before = [(f.picture.pts, f.picture.time_base, f.picture.duration) for f in frames]
    write_frames(tmp_path / "out.avi", frames)
    assert [(f.picture.pts, f.picture.time_base, f.picture.duration) for f in frames] == before


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    steps=st.lists(st.integers(1, 200_000), min_size=1, max_size=12),
    base=st.sampled_from(["1/90000", "1001/30000", "1/30", "1/1000", "1/48000", "1/1000000", "1/12800"]),
    start=st.integers(0, 10**6),
)
def test_any_times_in_any_time_base_are_kept_by_mp4(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], base: str, start: int
) -> None:
    """Whatever the steps and the time base, an MP4 gives them back."""
    pts = [start]
    for step in steps:
        pts.append(pts[-1] + step)
    time_base = Fraction(base)
    path = tmp_path_factory.mktemp("times") / "out.mp4"
    sink = write_frames(path, made_frames(pts, size=(16, 16), time_base=time_base, duration=1), encoding=FAST)
    assert frame_times(path) == times(pts, time_base)
    assert sink.pts_exact


@pytest.mark.parametrize("extension", [".mp4", ".mov"])
def test_a_pause_longer_than_mp4_can_hold_is_said(tmp_path: Path, extension: str) -> None:
    """Two days between frames are 2^31 of its ticks: the error says what can hold them, and Matroska does."""
    frames = made_frames([0, 40, 180_000_000], time_base=Fraction(1, 1000), duration=40)
    with pytest.raises(SinkError, match=f"its pictures pause longer than '{extension}' can hold; use .mkv"):
        write_frames(tmp_path / f"out{extension}", frames)
    write_frames(tmp_path / "out.mkv", frames)
    assert frame_times(tmp_path / "out.mkv")[-1] == 180_000


@pytest.mark.parametrize(("name", "negative"), [("out.mp4", True), ("out.flv", False), ("out.nut", False)])
def test_sound_before_zero_is_told_apart_from_exact_times(tmp_path: Path, name: str, negative: bool) -> None:
    """Containers that cannot hold AAC's packet before zero shift everything, and `pts_exact` is false."""
    before = tmp_path / "in.mp4"
    make_clip(before, audio="aac", time_base=Fraction(1, 1000), pts=list(range(0, 1000, 40)))
    sink = copy_clip(before, tmp_path / name)
    assert sink.pts_exact == negative
    assert (frame_times(tmp_path / name) == frame_times(before)) == negative


@pytest.mark.parametrize("target", ["flv", "nut"])
@pytest.mark.parametrize("rate", [25, 30])
def test_what_moves_for_sound_before_zero_is_told(tmp_path: Path, target: str, rate: int) -> None:
    """The note names by how much all was moved, whether or not the times are rounded too."""
    make_clip(tmp_path / "in.mp4", rate=rate, audio="aac")
    sink = copy_clip(tmp_path / "in.mp4", tmp_path / f"out.{target}")
    moved = frame_times(tmp_path / f"out.{target}")[0] - frame_times(tmp_path / "in.mp4")[0]
    assert moved == pytest.approx(1024 / 48_000, abs=0.001)
    told, _, amount = sink.notes[-1].partition(" +")
    assert told == f"{target} cannot begin before zero, as its sound does: all was moved by"
    assert float(amount.removesuffix(" ms")) == pytest.approx(float(moved * 1000), abs=0.5)

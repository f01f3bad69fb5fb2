"""Damaged files: the last good picture stands in, and nothing crashes."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.errors import SourceError
from streamseg.sources import open_source
from tests.clips import frame_times, make_clip, read_frames
from tests.reading import read
from tests.sinking import copy_source

INTRA = {"codec": "ffv1", "pixel_format": "yuv444p"}
"""Options for clips in which every frame stands for itself."""


def _damaged(source: Path, target: Path, *broken: int) -> None:
    """Copy a clip, its packets of these numbers filled with nonsense."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as copy:
        stream = copy.add_stream_from_template(clip.streams.video[0])
        for number, packet in enumerate(packet for packet in clip.demux(video=0) if packet.size):
            if number in broken:
                packet.update(b"\xff" * packet.size)
            packet.stream = stream
            copy.mux(packet)


@pytest.mark.parametrize("broken", [(3,), (3, 4, 5), (9,), (2, 7)])
def test_damaged_frames_repeat_the_last_good_one(tmp_path: Path, broken: tuple[int, ...]) -> None:
    """A frame that cannot be decoded, also the last, is replaced by the picture before it, at its time."""
    times = make_clip(tmp_path / "good.mov", codec="png", pixel_format="rgb24", frames=10)
    _damaged(tmp_path / "good.mov", tmp_path / "bad.mov", *broken)
    frames, warnings = read(tmp_path / "bad.mov")
    assert [frame.time for frame in frames] == times
    assert tuple(number for number, frame in enumerate(frames) if frame.repaired) == broken
    plain = read_frames(tmp_path / "good.mov")
    for number, frame in enumerate(frames):
        shown = max(good for good in range(number + 1) if good not in broken)
        assert np.array_equal(frame.picture.to_ndarray(), plain[shown].to_ndarray())
    assert len(warnings) == 1
    assert f"{len(broken)} damaged frame" in warnings[0]


def test_damage_before_the_first_good_frame_is_left_out(tmp_path: Path) -> None:
    """Frames damaged at the very start cannot be replaced: they are left out, and that is said."""
    times = make_clip(tmp_path / "good.mov", codec="png", pixel_format="rgb24", frames=6)
    _damaged(tmp_path / "good.mov", tmp_path / "bad.mov", 0, 1)
    frames, warnings = read(tmp_path / "bad.mov")
    assert [frame.time for frame in frames] == times[2:]
    assert "2 damaged frames were left out" in warnings[0]


def test_damage_among_reordered_frames_keeps_every_time(tmp_path: Path) -> None:
    """In H.264 with B-frames a damaged packet costs no time: as many frames come out as went in."""
    times = make_clip(tmp_path / "good.mp4", frames=30, options={"bf": "2", "g": "10"})
    _damaged(tmp_path / "good.mp4", tmp_path / "bad.mp4", 14)
    frames, _ = read(tmp_path / "bad.mp4")
    assert [frame.time for frame in frames] == times
    assert any(frame.repaired for frame in frames)


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    """A file in which no frame can be decoded is refused when it is opened."""
    make_clip(tmp_path / "good.mov", codec="png", pixel_format="rgb24", frames=4)
    _damaged(tmp_path / "good.mov", tmp_path / "bad.mov", 0, 1, 2, 3)
    with pytest.raises(SourceError, match=r"bad\.mov': none of its 4 frames could be decoded"):
        open_source(str(tmp_path / "bad.mov"))


def test_cut_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """A file that ends before its header says so yields what is there, and one warning."""
    path = tmp_path / "clip.mkv"
    make_clip(path, frames=60, **INTRA)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    frames, warnings = read(path)
    assert 10 < len(frames) < 30
    assert len(warnings) == 1
    assert "where its header says 2.0 s: cut short" in warnings[0]


def test_a_file_left_early_is_not_called_cut_short(tmp_path: Path) -> None:
    """Whoever stops reading, by leaving or by an interrupt, hears nothing about an end never reached."""
    make_clip(tmp_path / "clip.mkv", frames=60, **INTRA)
    for leave in ("close", "interrupt"):
        with open_source(str(tmp_path / "clip.mkv"), live=True) as source:
            frames = iter(source)
            next(frames)
            if leave == "interrupt":
                source.interrupt()
                assert len(list(frames)) < 2
            else:
                frames.close()
        assert source.warnings == []


@pytest.mark.parametrize(
    ("name", "base"),
    [("a.mkv", 2**62), ("a.mkv", 2**53), ("a.nut", 2**53), ("a.mov", 2**53), ("a.mp4", 2**53)],
)
@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
def test_huge_timestamps_cost_no_frame(tmp_path: Path, name: str, base: int, target: str) -> None:
    """A clip whose times are centuries from zero is brought near it, frames as far apart as they were."""
    pts = [base + 40 * index for index in range(5)]
    make_clip(tmp_path / name, size=(64, 48), pts=pts, time_base=Fraction(1, 1000))
    frames, warnings = read(tmp_path / name)
    assert len(frames) == 5
    assert [after.time - before.time for before, after in pairwise(frames)] == 4 * [Fraction(1, 25)]
    assert len(warnings) == 1
    assert "timestamps centuries from zero were moved" in warnings[0]
    copy_source(tmp_path / name, tmp_path / target)
    assert frame_times(tmp_path / target) == [frame.time for frame in frames]


def test_a_jump_into_nonsense_is_repaired(tmp_path: Path) -> None:
    """Frames whose time is nonsense follow the others at the usual distance."""
    pts = [0, 40, 80, 2**61, 2**61 + 40]
    make_clip(tmp_path / "a.mkv", size=(64, 48), pts=pts, time_base=Fraction(1, 1000), rate=25)
    frames, warnings = read(tmp_path / "a.mkv")
    assert [frame.picture.pts for frame in frames] == [0, 40, 80, 120, 160]
    assert len(warnings) == 1

"""Time and tracks through the whole program: every pts as it came, sound bit for bit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

import streamseg
from tests.clips import frame_times, make_clip, packets_of, read_frames
from tests.runs import run_uris

VARIABLE = [0, 3000, 3100, 9000, 9001, 90_000, 93_003, 100_000, 190_000]
"""Ticks of 1/90 000 s, far from any constant rate."""


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts"])
@pytest.mark.parametrize(
    "pts",
    [VARIABLE, [ticks + 108_000 for ticks in VARIABLE], list(range(0, 45_045, 3003))],
    ids=["variable", "late", "ntsc"],
)
def test_every_pts_comes_out_as_it_went_in(tmp_path: Path, suffix: str, pts: list[int]) -> None:
    """Variable frame rate, a late start and 29.97 frames/s keep every time, and the report says so."""
    clip, target = tmp_path / "clip.mp4", tmp_path / f"out{suffix}"
    make_clip(clip, pts=pts)
    expected = frame_times(clip)
    report = run_uris(str(clip), str(target))
    assert frame_times(target) == expected
    assert report.pts_exact
    assert report.frames_out == len(pts)


def test_matroska_keeps_what_it_can_hold_and_says_so(tmp_path: Path) -> None:
    """Matroska stores milliseconds: times are right to half of one; the report does not call them exact."""
    clip, target = tmp_path / "clip.mp4", tmp_path / "out.mkv"
    make_clip(clip, pts=VARIABLE)
    report = run_uris(str(clip), str(target))
    for before, after in zip(frame_times(clip), frame_times(target), strict=True):
        assert abs(before - after) <= Fraction(1, 2000)
    assert not report.pts_exact


@pytest.mark.parametrize(
    ("source", "target"), [(".mp4", ".mp4"), (".mp4", ".mkv"), (".mkv", ".mkv"), (".ts", ".ts")]
)
def test_sound_is_copied_bit_for_bit(tmp_path: Path, source: str, target: str) -> None:
    """Each packet of sound has the same bytes and the same time as before."""
    clip, out = tmp_path / f"clip{source}", tmp_path / f"out{target}"
    make_clip(clip, audio="aac", frames=30)
    report = run_uris(str(clip), str(out))
    before, after = packets_of(clip), packets_of(out)
    assert [content for _, content in after] == [content for _, content in before]
    for (time, _), (copied, _) in zip(before, after, strict=True):
        assert abs(time - copied) <= Fraction(1, 2000)
    assert report.audio == "copied"
    assert report.av_offset_ms is not None and abs(report.av_offset_ms) <= 0.5


def test_sound_the_container_cannot_hold_is_encoded_anew(tmp_path: Path) -> None:
    """AAC into WebM becomes Opus of the same length, and the report says so."""
    clip, out = tmp_path / "clip.mp4", tmp_path / "out.webm"
    make_clip(clip, audio="aac", frames=30)
    report = run_uris(str(clip), str(out))
    times = [time for time, _ in packets_of(out)]
    assert report.audio == "encoded"
    assert float(times[-1]) == pytest.approx(1.0, abs=0.06)


def test_a_rotated_clip_comes_out_upright(tmp_path: Path) -> None:
    """A clip marked as rotated is written the way it is meant to be seen, with no mark left."""
    clip, out = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    make_clip(clip, size=(96, 64), rotation=90)
    run_uris(str(clip), str(out))
    frame = read_frames(out)[0]
    assert (frame.width, frame.height, frame.rotation) == (64, 96, 0)


def test_the_shape_of_pixels_is_kept(tmp_path: Path) -> None:
    """A clip whose pixels are wider than high keeps its display size."""
    import av

    clip, out = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    make_clip(clip, size=(96, 64), sample_aspect_ratio=Fraction(64, 45))
    run_uris(str(clip), str(out))
    with av.open(str(out)) as container:
        assert Fraction(container.streams.video[0].sample_aspect_ratio or 1) == Fraction(64, 45)


def test_several_sinks_share_one_segmentation(tmp_path: Path) -> None:
    """A file, pictures and nothing at once: each gets every frame, each file its sound."""
    clip = tmp_path / "clip.mp4"
    make_clip(clip, audio="aac", frames=12)
    (tmp_path / "pictures").mkdir()
    outs = [
        str(tmp_path / "a.mp4"),
        str(tmp_path / "b.mkv"),
        str(tmp_path / "pictures" / "%03d.png"),
        "null:",
    ]
    report = run_uris(str(clip), *outs, effect=streamseg.effect("replace", background="#204060"))
    assert report.frames_out == 12
    assert len(frame_times(outs[0])) == len(frame_times(outs[1])) == 12
    assert [content for _, content in packets_of(outs[0])] == [content for _, content in packets_of(outs[1])]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir())[0] == "001.png"
    assert len(list((tmp_path / "pictures").iterdir())) == 12

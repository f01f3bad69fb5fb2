"""Every file of the awkward collection ends as its list says."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from streamseg.errors import SourceError
from streamseg.sources import open_source

_UNLISTED_LENGTH = 150
"""Characters of a message beside the file's name: one line of a terminal and a half."""


def test_awkward_files_end_as_listed(data: Path) -> None:
    """Each file yields the listed frames at strictly increasing times, or one line that says why not."""
    rows = (data / "awkward" / "EXPECT.tsv").read_text(encoding="utf-8").splitlines()[1:]
    problems = [problem for row in rows if (problem := _problem(data / "awkward", *row.split("\t")[:5]))]
    assert len(rows) > 100
    assert not problems, "\n".join(problems)


def _problem(
    folder: Path, name: str, outcome: str, frames: str, _coded: str, display: str = ""
) -> str | None:
    path = str(folder / name)
    try:
        source = open_source(path)
    except SourceError as error:
        if not outcome.startswith("ERROR"):
            return f"{name}: {error}"
        message = str(error)
        good = message.count("\n") == 0 and Path(name).name in message and "[Errno" not in message
        return (
            None
            if good and len(message) < len(path) + _UNLISTED_LENGTH
            else f"{name}: poor message: {message}"
        )
    with source:
        if outcome.startswith("ERROR"):
            return f"{name}: opened"
        times, sizes, repaired = [], set(), 0
        for frame in source:
            times.append(frame.time)
            sizes.add(frame.size)
            repaired += frame.repaired
        width = round(source.video.width * source.video.sample_aspect_ratio)
        if not len(times) - repaired <= int(frames) <= len(times):
            return f"{name}: {len(times)} frames instead of {frames}"
        if any(late <= early for early, late in pairwise(times)):
            return f"{name}: times do not increase"
        if f"{width}x{source.video.height}" != display:
            return f"{name}: shown as {width}x{source.video.height} instead of {display}"
        damaged = "warn" in outcome or (repaired and "truncated" in name)
        if damaged != bool(repaired) or (repaired and not source.warnings):
            return f"{name}: {repaired} frames repaired, warnings {source.warnings}"
        if any("\n" in warning for warning in source.warnings):
            return f"{name}: a warning of several lines"
    return None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("starts_at_1h.ts", "3601.4"),
        ("video_starts_late.mp4", "1.2"),
        ("pts_wraps_33bit.ts", "0.182"),
        ("gap_10s.mkv", "0"),
    ],
)
def test_first_time_is_kept(data: Path, name: str, expected: str) -> None:
    """A stream that starts late, after an hour or just before its counter wraps keeps its first time."""
    with open_source(str(data / "awkward" / "generated" / name)) as source:
        first = next(iter(source))
    assert abs(first.time - Fraction(expected)) < Fraction(1, 1000)


def test_frames_before_time_zero_are_counted_back(data: Path) -> None:
    """Frames before time zero, which come without a pts, end one frame before the first that has one."""
    with open_source(str(data / "awkward" / "generated" / "negative_pts.mkv")) as source:
        ticks = [frame.picture.pts for frame in source]
    assert ticks[15] == 0
    assert ticks[0] == -500
    assert all(32 <= late - early <= 34 for early, late in pairwise(ticks))


def test_swapped_times_are_put_right(data: Path) -> None:
    """An AVI whose neighbours have their pts swapped comes out evenly, without a repaired timestamp."""
    with open_source(str(data / "awkward" / "opencv_doc" / "Megamind_bugy.avi")) as source:
        ticks = [frame.picture.pts for frame in source]
        assert not source.warnings
    assert ticks == list(range(ticks[0], ticks[0] + 270))


def test_encryption_is_named(data: Path) -> None:
    """A file none of whose frames can be decoded because it is encrypted says so and what to do."""
    with pytest.raises(
        SourceError, match="encrypted: none of its 77 frames could be decoded; decrypt it first"
    ):
        open_source(str(data / "awkward" / "generated" / "encrypted_cenc.mp4"))

"""Gaps in time are noticed, and nothing else."""

from __future__ import annotations

from fractions import Fraction

import av

from streamseg.frame import Frame
from streamseg.gaps import Gaps


def at(seconds: float) -> Frame:
    """A frame of that time."""
    picture = av.VideoFrame(16, 16, "gray")
    picture.pts, picture.time_base = round(seconds * 1000), Fraction(1, 1000)
    return Frame(picture, 0.0)


def test_frames_far_apart_are_noticed() -> None:
    """More than two seconds on, or as many back; a slow slide show's rate and small steps are none."""
    gaps = Gaps()
    found = [gaps(at(seconds)) for seconds in (0, 0.04, 1, 3, 5.1, 5.2, 4.9, 2, 2.1)]
    assert found == [False, False, False, False, True, False, False, True, False]


def test_a_sleep_is_noticed_though_pts_go_on() -> None:
    """A camera's pts are counted by a clock that stands still while the computer sleeps."""
    slept = 0.0
    now = 100.0
    gaps = Gaps(wall=lambda: 1e9 + now + slept, awake=lambda: now)
    assert [gaps(at(0)), gaps(at(0.04))] == [False, False]
    slept += 3600
    now += 0.04
    assert [gaps(at(0.08)), gaps(at(0.12))] == [True, False]

"""The screen, under Xvfb where that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import av
import pytest

from streamseg.errors import SourceError
from streamseg.sources import open_source, screen

linux = pytest.mark.skipif(sys.platform != "linux", reason="X displays are Linux's")


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A virtual X display of 320x240, on a number the server itself finds free."""
    program = shutil.which("Xvfb")
    if program is None or "x11grab" not in av.formats_available:
        pytest.skip("needs the program Xvfb and a PyAV with x11grab")
    reading, writing = os.pipe()
    command = [program, "-displayfd", str(writing), "-screen", "0", "320x240x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as numbers:
        yield f":{numbers.readline().strip()}"
    server.terminate()
    server.wait()


def test_screen_is_captured(display: str) -> None:
    """The whole screen arrives live, from time 0 on, for as long as asked."""
    with open_source(f"screen:{display}", fps=50, duration=0.2) as source:
        assert source.live
        assert (source.video.width, source.video.height) == (320, 240)
        assert source.video.rate == 50
        times = [frame.time for frame in source]
    assert times[0] == 0
    assert all(early < late for early, late in pairwise(times))
    assert times[-1] < Fraction(1, 5)


def test_usual_display_and_part_of_it(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name the display is the usual one; a size takes that part of it."""
    monkeypatch.setenv("DISPLAY", display)
    with open_source("screen:", size=(64, 48), live=False) as source:
        assert next(iter(source)).size == (64, 48)
        assert not source.live


def test_part_larger_than_the_screen(display: str) -> None:
    """A part that does not fit is refused with what was asked."""
    with pytest.raises(SourceError, match=r"cannot capture 'screen::\d+' .* at 9999x9999: .*; check"):
        open_source(f"screen:{display}", size=(9999, 9999))


@linux
@pytest.mark.parametrize(
    ("wayland", "why"), [("", "DISPLAY is not set"), ("wayland-0", "Wayland shows it to no program")]
)
def test_no_display(monkeypatch: pytest.MonkeyPatch, wayland: str, why: str) -> None:
    """Where there is no X display that is said, and why."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("WAYLAND_DISPLAY", wayland)
    with pytest.raises(SourceError, match=f"there is no X display \\({why}\\); name one like screen::0"):
        open_source("screen:")


@linux
def test_display_that_is_not_there() -> None:
    """A display nobody serves is named in the answer."""
    with pytest.raises(SourceError, match=r"cannot capture 'screen::9876' \(:9876\): .*; check the display"):
        open_source("screen::9876")


def test_pyav_without_a_grabber(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PyAV built without screen capture says which part is missing."""
    monkeypatch.setattr(screen, "_GRABBERS", {sys.platform: "nosuchgrab"})
    with pytest.raises(SourceError, match="this PyAV has no nosuchgrab; use a camera or a file"):
        open_source("screen:")
